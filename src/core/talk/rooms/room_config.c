/* room_config.c: a room's configuration as it is kept.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "bus/codec.h"
#include "talk/rooms/room.h"
#include <stdlib.h>

enum { CONFIG_VERSION = 1 };

enum {
    FLAG_PUBLIC = 1,
    FLAG_PERSISTENT = 2,
    FLAG_MEMBERS_ONLY = 4,
    FLAG_MODERATED = 8,
    FLAG_NON_ANONYMOUS = 16,
    FLAG_LOGGING = 32,
    FLAG_INVITES = 64,
    FLAG_CHANGE_SUBJECT = 128,
};

/* What an instant room is: for whoever knows its name, until the last one leaves, with addresses for
 * moderators only. */
void room_config_default(struct room_config *c)
{
    *c = (struct room_config){.logging = true,
                              .broadcast = 1 << ROLE_VISITOR | 1 << ROLE_PARTICIPANT | 1 << ROLE_MODERATOR};
}

void room_config_free(struct room_config *c)
{
    free(c->name);
    free(c->description);
    free(c->lang);
    free(c->password);
    *c = (struct room_config){0};
}

static char *copy(const char *text)
{
    return text ? str_dup(str_of(text)) : NULL;
}

void room_config_copy(struct room_config *to, const struct room_config *from)
{
    *to = *from;
    to->name = copy(from->name);
    to->description = copy(from->description);
    to->lang = copy(from->lang);
    to->password = copy(from->password);
}

static unsigned flags_of(const struct room_config *c)
{
    return (c->public ? FLAG_PUBLIC : 0u) | (c->persistent ? FLAG_PERSISTENT : 0u) |
           (c->members_only ? FLAG_MEMBERS_ONLY : 0u) | (c->moderated ? FLAG_MODERATED : 0u) |
           (c->non_anonymous ? FLAG_NON_ANONYMOUS : 0u) | (c->logging ? FLAG_LOGGING : 0u) |
           (c->invites ? FLAG_INVITES : 0u) | (c->change_subject ? FLAG_CHANGE_SUBJECT : 0u);
}

static void flags_take(struct room_config *c, uint64_t f)
{
    c->public = f & FLAG_PUBLIC;
    c->persistent = f & FLAG_PERSISTENT;
    c->members_only = f & FLAG_MEMBERS_ONLY;
    c->moderated = f & FLAG_MODERATED;
    c->non_anonymous = f & FLAG_NON_ANONYMOUS;
    c->logging = f & FLAG_LOGGING;
    c->invites = f & FLAG_INVITES;
    c->change_subject = f & FLAG_CHANGE_SUBJECT;
}

void room_config_write(const struct room_config *c, struct buf *out)
{
    codec_begin(out, CONFIG_VERSION);
    codec_put_u64(out, flags_of(c));
    codec_put_u64(out, c->private_messages);
    codec_put_u64(out, c->broadcast);
    codec_put_i64(out, c->occupants_max);
    codec_put_str(out, str_of(c->name));
    codec_put_str(out, str_of(c->description));
    codec_put_str(out, str_of(c->lang));
    codec_put_str(out, str_of(c->password));
}

static char *take(struct codec_reader *r)
{
    struct str s = codec_str(r, ROOM_TEXT_BYTES_MAX);

    if (s.len && memchr(s.p, '\0', s.len))
        r->failed = true; /* texts end there in memory */
    return s.len ? str_dup(s) : NULL;
}

enum err room_config_read(struct str kept, struct room_config *out)
{
    struct codec_reader r = codec_open(kept, CONFIG_VERSION);
    struct room_config c = {0};

    flags_take(&c, codec_u64(&r));
    c.private_messages = (uint8_t)(codec_u64(&r) & 3);
    c.broadcast = (uint8_t)codec_u64(&r);
    c.occupants_max = (int32_t)codec_i64(&r);
    c.name = take(&r);
    c.description = take(&r);
    c.lang = take(&r);
    c.password = take(&r);
    if (!codec_ok(&r)) {
        room_config_free(&c);
        return ERR_INVALID;
    }
    room_config_free(out);
    *out = c;
    return OK;
}
