/* room_author.c: see room_author.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room_author.h"
#include "talk/rooms/room.h"

static struct db_sql jid_of = { "SELECT bare FROM jid WHERE id = ?1" };

struct str room_author_of(struct db_conn *c, struct arena *a, struct room_author **known, int64_t number)
{
    struct room_author *r = *known;
    struct db_stmt     *s = NULL;

    while (r && r->number != number)
        r = r->next;
    if (r)
        return r->bare;
    r = ARENA_NEW(a, struct room_author);
    *r = (struct room_author){ .next = *known, .number = number };
    if (db_get(c, &s, &jid_of, "i", number) == OK)
        r->bare = arena_str(a, db_text(s, 0));
    if (s)
        db_done(s);
    *known = r;
    return r->bare;
}

struct str room_with_author(struct db_conn *c, struct arena *a, struct room_author **known, int64_t room, const struct archive_row *row,
                            struct buf *b)
{
    static const char closing[] = "</message>";
    struct str        author = row->sender == room ? STR_NULL : room_author_of(c, a, known, row->sender);

    if (!author.p)
        return row->stanza;
    buf_clear(b);
    buf_put(b, row->stanza.p, row->stanza.len - (sizeof closing - 1));
    BUF_LIT(b, "<x xmlns='" NS_MUC_USER "'><item");
    xml_put_attr(b, "jid", author);
    BUF_LIT(b, "/></x></message>");
    return buf_str(b);
}
