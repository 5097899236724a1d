/* test_hash.c: SipHash and the maps.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/hash.h"
#include "base/test.h"
#include <stdlib.h>

/* The input and key of the reference implementation's vectors; values for 1 and 3 rounds. */
static void siphash_1_3_matches_known_answers(struct test *t)
{
    static const uint64_t want[] = { 0xabac0158050fc4dc, 0xc9f49bf37d57ca93, 0x82cb9b024dc7d44d, 0x8bf80ab8e7ddf7fb,
                                     0xcf75576088d38328, 0xdef9d52f49533b67, 0xc50d2b50c59f22a7, 0xd3927d989bb11140 };
    uint8_t               key[16], in[8];

    for (int i = 0; i < 16; i++)
        key[i] = (uint8_t)i;
    for (int i = 0; i < 8; i++) {
        in[i] = (uint8_t)i;
        CHECK(t, hash_bytes_keyed(key, in, (size_t)i) == want[i]);
    }
    CHECK(t, hash_bytes("a", 1) == hash_bytes("a", 1));
    CHECK(t, hash_bytes("a", 1) != hash_bytes("b", 1));
    CHECK(t, hash_str(STR_NULL) == hash_bytes("", 0));
}

enum { MANY = 5000 };
static char names[MANY][16];

static struct str name(int i)
{
    snprintf(names[i], sizeof names[i], "user%d", i);
    return str_of(names[i]);
}

static void text_entries_are_found_until_deleted(struct test *t)
{
    struct strmap m;

    strmap_init(&m);
    CHECK(t, !strmap_get(&m, STR("x")) && !strmap_del(&m, STR("x")));
    for (int i = 0; i < MANY; i++)
        CHECK(t, strmap_put(&m, name(i), names[i]) == NULL);
    CHECK_INT(t, MANY, m.count);
    CHECK(t, strmap_put(&m, STR("user7"), names[8]) == names[7]);
    CHECK(t, strmap_put(&m, name(7), names[7]) == names[8]);
    for (int i = 0; i < MANY; i += 2)
        CHECK(t, strmap_del(&m, name(i)) == names[i]);
    for (int i = 0; i < MANY; i++)
        CHECK(t, strmap_get(&m, name(i)) == (i % 2 ? names[i] : NULL));
    CHECK_INT(t, MANY / 2, m.count);
    strmap_done(&m);
}

/* Deleting what a walk just returned makes it miss nothing and see nothing twice. */
static void a_walk_may_delete_as_it_goes(struct test *t)
{
    for (int round = 0; round < 200; round++) {
        struct strmap s;
        struct intmap n;
        struct str    key;
        int64_t       number;
        void         *value;
        int           seen = 0, count = 1 + round % 40;
        char          seen_at[64] = { 0 };

        strmap_init(&s);
        intmap_init(&n);
        for (int i = 0; i < count; i++) {
            strmap_put(&s, name(i), names[i]);
            intmap_put(&n, i * 1000003, &names[i]);
        }
        for (size_t it = 0; strmap_next(&s, &it, &key, &value); seen++) {
            int i = atoi(key.p + 4);

            CHECK(t, !seen_at[i]++);
            if ((i + round) % 3)
                CHECK(t, strmap_del(&s, key) == value);
        }
        CHECK_INT(t, count, seen);
        seen = 0;
        for (size_t it = 0; intmap_next(&n, &it, &number, &value); seen++) {
            CHECK(t, value == &names[number / 1000003]);
            CHECK(t, intmap_del(&n, number) == value);
        }
        CHECK_INT(t, count, seen);
        CHECK_INT(t, 0, n.count);
        strmap_done(&s);
        intmap_done(&n);
    }
}

static void number_entries_are_found_until_deleted(struct test *t)
{
    struct intmap m;

    intmap_init(&m);
    for (int64_t i = 0; i < MANY; i++)
        CHECK(t, intmap_put(&m, i * i - 77, names[i]) == NULL || i * i == 0);
    CHECK(t, intmap_put(&m, INT64_MIN, names[1]) == NULL);
    CHECK(t, intmap_get(&m, INT64_MIN) == names[1]);
    for (int64_t i = 0; i < MANY; i += 3)
        CHECK(t, intmap_del(&m, i * i - 77) == names[i]);
    for (int64_t i = 0; i < MANY; i++)
        CHECK(t, intmap_get(&m, i * i - 77) == (i % 3 ? names[i] : NULL));
    CHECK(t, intmap_del(&m, -1) == NULL);
    intmap_done(&m);
}

TEST_MAIN(TEST(siphash_1_3_matches_known_answers), TEST(text_entries_are_found_until_deleted),
          TEST(a_walk_may_delete_as_it_goes), TEST(number_entries_are_found_until_deleted))
