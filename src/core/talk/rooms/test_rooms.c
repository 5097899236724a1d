/* test_rooms.c: what hangs together in a room, and what is written of it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "talk/rooms/room_change.h"
#include "talk/rooms/room_far.h"
#include "talk/rooms/room_message.h"
#include "talk/rooms/room_show.h"
#include "talk/rooms/room_stanza.h"
#include <stdlib.h>

/* As much of a messenger as a room needs. */
struct world {
    struct loop *loop;
    struct rooms rooms;
    struct talk  talk;
    struct room *room;
};

static void world_begin(struct world *w)
{
    *w = (struct world){ 0 };
    w->loop = loop_new();
    w->talk.loop = w->loop;
    w->talk.rooms = &w->rooms;
    w->talk.domain = STR("town.example");
    w->talk.node = 1;
    w->rooms.talk = &w->talk;
    w->rooms.domain = STR("rooms.town.example");
    strmap_init(&w->rooms.all);
    intmap_init(&w->rooms.sessions);
    intmap_init(&w->rooms.by_id);
    list_init(&w->rooms.idle);
    w->room = room_new(&w->talk, STR("cave"));
    room_config_default(&w->room->config);
    room_ref(w->room);
}

static void world_end(struct world *w)
{
    room_free(w->room);
    strmap_done(&w->rooms.all);
    intmap_done(&w->rooms.sessions);
    intmap_done(&w->rooms.by_id);
    loop_free(&w->loop);
}

static struct seat *sit(struct world *w, const char *full, const char *nick, int64_t node)
{
    return room_seat_take(w->room, str_of(full), str_of(nick), ROLE_PARTICIPANT, STR(""), node, 0);
}

static void devices_of_one_account_share_a_nickname(struct test *t)
{
    struct world w;
    struct seat *phone, *desk;

    world_begin(&w);
    phone = sit(&w, "bob@town.example/phone", "bob", 1);
    desk = sit(&w, "bob@town.example/desk", "bob", 2);
    CHECK(t, phone->occupant == desk->occupant);
    CHECK_INT(t, 1, (int64_t)w.room->occupants.count);
    CHECK_INT(t, 1, w.room->here);
    room_seat_drop(w.room, phone);
    CHECK_INT(t, 1, (int64_t)w.room->occupants.count);
    CHECK_INT(t, 0, w.room->here);
    room_seat_drop(w.room, desk);
    CHECK_INT(t, 0, (int64_t)w.room->occupants.count);
    CHECK(t, room_occupant(w.room, STR("bob")) == NULL);
    world_end(&w);
}

static void a_new_nickname_is_a_new_address_of_the_same_person(struct test *t)
{
    struct world w;
    struct seat *s;
    char         before[33];

    world_begin(&w);
    s = sit(&w, "bob@town.example/phone", "bob", 1);
    memcpy(before, s->occupant->id, sizeof before);
    room_rename(w.room, s->occupant, STR("robert"));
    CHECK_STR(t, "cave@rooms.town.example/robert", s->occupant->address);
    CHECK(t, room_occupant(w.room, STR("bob")) == NULL && room_occupant(w.room, STR("robert")) == s->occupant);
    CHECK_STR(t, before, str_of(s->occupant->id));
    s = sit(&w, "ann@town.example/phone", "ann", 1);
    CHECK(t, strcmp(before, s->occupant->id) != 0);
    world_end(&w);
}

static void the_ban_of_a_domain_holds_for_everyone_there(struct test *t)
{
    struct world w;

    world_begin(&w);
    room_member_set(w.room, STR("evil.example"), AFF_OUTCAST, STR_NULL, 1);
    room_member_set(w.room, STR("good@evil.example"), AFF_MEMBER, STR("goodie"), 2);
    CHECK_INT(t, AFF_OUTCAST, room_affiliation(w.room, STR("any@evil.example")));
    CHECK_INT(t, AFF_MEMBER, room_affiliation(w.room, STR("good@evil.example")));
    CHECK_INT(t, AFF_NONE, room_affiliation(w.room, STR("any@town.example")));
    CHECK(t, room_nick_owner(w.room, STR("goodie")) == room_member(w.room, STR("good@evil.example")));
    room_member_set(w.room, STR("good@evil.example"), AFF_OUTCAST, STR_NULL, 2);
    CHECK(t, room_nick_owner(w.room, STR("goodie")) == NULL);
    room_member_set(w.room, STR("good@evil.example"), AFF_NONE, STR_NULL, 2);
    CHECK_INT(t, AFF_OUTCAST, room_affiliation(w.room, STR("good@evil.example")));
    world_end(&w);
}

/* A change that would fill the lists is stopped there, however much it asks for at once. */
static void the_lists_of_a_room_have_a_bound(struct test *t)
{
    struct world        w;
    struct room_change *c;

    world_begin(&w);
    w.talk.limits.room_affiliations_max = 2;
    room_member_set(w.room, STR("ann@town.example"), AFF_OWNER, STR_NULL, 1);
    c = room_change_new(w.room, NULL);
    CHECK(t, room_affiliate(c, STR("bob@town.example"), AFF_MEMBER, STR_NULL, STR_NULL, STR_NULL));
    CHECK(t, room_affiliate(c, STR("bob@town.example"), AFF_OWNER, STR_NULL, STR_NULL, STR_NULL));
    CHECK_INT(t, 2, room_owners_after(c));
    CHECK(t, !room_affiliate(c, STR("eve@town.example"), AFF_OUTCAST, STR_NULL, STR_NULL, STR_NULL));
    CHECK(t, room_affiliate(c, STR("bob@town.example"), AFF_NONE, STR_NULL, STR_NULL, STR_NULL));
    CHECK(t, room_affiliate(c, STR("eve@town.example"), AFF_OUTCAST, STR_NULL, STR_NULL, STR_NULL));
    CHECK_INT(t, 1, room_owners_after(c));
    CHECK_INT(t, AFF_NONE, room_affiliation_after(c, STR("bob@town.example")));
    room_change_drop(c);
    world_end(&w);
}

static void a_configuration_comes_back_as_it_was(struct test *t)
{
    struct room_config c, again = { 0 };
    struct buf         b;

    room_config_default(&c);
    c.name = str_dup(STR("동굴"));
    c.password = str_dup(STR("cauldron"));
    c.members_only = c.non_anonymous = c.persistent = true;
    c.private_messages = ALLOW_MODERATORS;
    c.occupants_max = 50;
    buf_init(&b, 0);
    room_config_write(&c, &b);
    CHECK_OK(t, room_config_read(buf_str(&b), &again));
    CHECK_STR(t, "동굴", str_of(again.name));
    CHECK_INT(t, 0, room_config_changes(&c, &again));
    again.logging = false;
    CHECK_INT(t, CHANGED_LOGGING, room_config_changes(&c, &again));
    again.non_anonymous = false;
    again.moderated = true;
    CHECK_INT(t, CHANGED_LOGGING | CHANGED_WHOIS | CHANGED_OTHER, room_config_changes(&c, &again));
    for (size_t n = 0; n < b.len; n++)
        CHECK_INT(t, ERR_INVALID, room_config_read(str_make(b.p, n), &again));
    room_config_free(&c);
    room_config_free(&again);
    buf_done(&b);
}

static void deltas_come_back_as_they_were_or_not_at_all(struct test *t)
{
    struct room_delta d[2] = { { .kind = DELTA_SEAT,
                                 .flags = DELTA_CREATED,
                                 .jid = STR("bob@town.example/phone"),
                                 .nick = STR("bob"),
                                 .role = ROLE_VISITOR,
                                 .node = -7,
                                 .text = STR("<show>away</show>") },
                               { .kind = DELTA_AFFILIATION, .jid = STR("bob@town.example"), .affiliation = AFF_OUTCAST } };
    struct room_delta out[2];
    struct buf        b;

    buf_init(&b, 0);
    room_deltas_write(&b, d, 2);
    CHECK_INT(t, 2, room_deltas_read(buf_str(&b), out, 2));
    CHECK_STR(t, "bob", out[0].nick);
    CHECK_INT(t, -7, out[0].node);
    CHECK_INT(t, AFF_OUTCAST, out[1].affiliation);
    CHECK(t, out[1].nick.p == NULL); /* "as it was" is not "none" */
    CHECK_INT(t, -1, room_deltas_read(buf_str(&b), out, 1));
    CHECK_INT(t, -1, room_deltas_read(str_make(b.p, b.len - 1), out, 2));
    buf_clear(&b);
    d[0].nick = STR_NULL;
    room_deltas_write(&b, d, 1);
    CHECK_INT(t, -1, room_deltas_read(buf_str(&b), out, 2));
    buf_done(&b);
}

static void a_subject_is_known_from_a_message_with_a_title(struct test *t)
{
    static const struct {
        const char *kept;
        bool        subject;
    } cases[] = {
        { "<message from='r@h/a' type='groupchat'><subject>x</subject><occupant-id id='1'/></message>", true },
        { "<message from='r@h/a' type='groupchat'><subject/></message>", true },
        { "<message from='r@h/a' type='groupchat'><body>b</body><subject>x</subject></message>", false },
        { "<message from='r@h/a' type='groupchat'><subject>x</subject><body>b</body></message>", false },
        { "<message from='r@h/a' type='groupchat'><subject>x</subject><thread>t</thread></message>", false },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_INT(t, cases[i].subject, room_is_subject(str_of(cases[i].kept)));
}

static void a_delivery_names_its_reader_and_the_room(struct test *t)
{
    struct buf b;

    buf_init(&b, 0);
    room_put_delivery(&b, STR("<message from='cave@rooms.x/bob' type='groupchat'><body>1</body></message>"), STR("ann@x/it's"), 5, 0);
    CHECK(t, str_starts(buf_str(&b), STR("<message to='ann@x/it&apos;s' from='cave@rooms.x/bob' type='groupchat'>")));
    CHECK(t, memmem(b.p, b.len, "by='cave@rooms.x'", 17) != NULL);
    CHECK(t, memmem(b.p, b.len, "<delay", 6) == NULL);
    buf_done(&b);
}

static void the_history_is_a_ring(struct test *t)
{
    struct world w;

    world_begin(&w);
    for (int i = 1; i <= ROOM_HISTORY_MAX + 3; i++)
        room_said_add(w.room, i, i, STR("<message></message>"));
    CHECK_INT(t, ROOM_HISTORY_MAX, w.room->said_count);
    CHECK_INT(t, ROOM_HISTORY_MAX + 3, w.room->said[(w.room->said_at - 1 + ROOM_HISTORY_MAX) % ROOM_HISTORY_MAX].id);
    room_said_remove(w.room, 50);
    CHECK_INT(t, ROOM_HISTORY_MAX, w.room->said_count);
    world_end(&w);
}

TEST_MAIN(TEST(devices_of_one_account_share_a_nickname), TEST(a_new_nickname_is_a_new_address_of_the_same_person),
          TEST(the_ban_of_a_domain_holds_for_everyone_there), TEST(a_configuration_comes_back_as_it_was),
          TEST(deltas_come_back_as_they_were_or_not_at_all), TEST(a_subject_is_known_from_a_message_with_a_title),
          TEST(a_delivery_names_its_reader_and_the_room), TEST(the_history_is_a_ring),
          TEST(the_lists_of_a_room_have_a_bound))
