/* XEP-0045 Multi-User Chat 1.35.5 and what belongs to it. All of it is in talk/rooms/.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "talk/feature.h"
#include "talk/host.h"
#include "talk/owned.h"
#include "talk/rooms/room_far.h"
#include "talk/rooms/room_leave.h"
#include "talk/rooms/room_show.h"
#include "talk/rooms/room_stanza.h"
#include <stdlib.h>

static const struct host rooms_host = { .prefix = "rooms", .category = "conference", .type = "text", .name = "Rooms", .take = rooms_take };

static void rooms_init(struct talk *t)
{
    struct rooms *all = NEW(struct rooms);

    all->talk = t;
    all->domain = host_domain(t, &rooms_host);
    strmap_init(&all->all);
    strmap_init(&all->loads);
    intmap_init(&all->by_id);
    intmap_init(&all->sessions);
    list_init(&all->idle);
    buf_init(&all->copy, 0);
    t->rooms = all;
}

void rooms_done(struct talk *t)
{
    struct rooms *all = t->rooms;
    struct str    key;
    void         *value;

    if (!all)
        return;
    for (size_t it = 0; strmap_next(&all->all, &it, &key, &value); it = 0) {
        strmap_del(&all->all, key);
        room_free(value);
    }
    strmap_done(&all->all);
    strmap_done(&all->loads);
    intmap_done(&all->by_id);
    intmap_done(&all->sessions);
    buf_done(&all->copy);
    free(all);
    t->rooms = NULL;
}

/* RFC 6121 §4.6: whoever was shown presence is shown its end. */
static void rooms_presence(struct session *s, const struct stanza *p)
{
    struct buf inner;

    if (p->type != TYPE_UNAVAILABLE || !rooms_visitor(s->talk, s->id))
        return;
    buf_init(&inner, 0);
    room_put_inner(&inner, s, p);
    rooms_session_left(s, buf_str(&inner));
    buf_done(&inner);
}

static void rooms_ended(struct session *s)
{
    if (s->talk->rooms)
        rooms_session_left(s, STR_NULL);
}

static void rooms_tick(struct talk *t)
{
    rooms_look(t);
    rooms_leave_again(t);
}

static const struct payload rooms_payloads[] = {
    { "x", NS_MUC_USER, PAYLOAD_KEPT }, /* invitations wait for those who are away */
    { 0 },
};

static const struct owned rooms_owned[] = { { "room_affiliation", "jid = ?3" }, { "room_occupant", "bare = ?3" }, { 0 } };

const struct feature xep0045_muc = {
    .spec = "XEP-0045 1.35.5",
    .title = "Multi-User Chat",
    .note = "reflected when it is on disk; a message sent again lands once; rooms go on when a messenger or "
            "a site is lost",
    .payloads = rooms_payloads,
    .owned = rooms_owned,
    .host = &rooms_host,
    .migrations = rooms_migrations,
    .presence_out = rooms_presence,
    .ended = rooms_ended,
    .person_deleted = rooms_person_deleted,
    .tick = rooms_tick,
    .init = rooms_init,
};

const struct feature xep0410_self_ping = { .spec = "XEP-0410 1.1.0", .title = "MUC Self-Ping (Schrödinger's Chat)" };
const struct feature xep0421_occupant_id = { .spec = "XEP-0421 1.0.1", .title = "Occupant identifiers for semi-anonymous MUCs" };
const struct feature xep0425_moderation = { .spec = "XEP-0425 0.3.0", .title = "Moderated Message Retraction" };
const struct feature xep0486_avatars = { .spec = "XEP-0486 0.1.0", .title = "MUC Avatars" };
