/* test_buf.c: growing buffers.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/buf.h"
#include "base/test.h"

static void puts_follow_each_other(struct test *t)
{
    struct buf b;

    buf_init(&b, 0);
    buf_put_z(&b, "a");
    buf_put_c(&b, ' ');
    buf_put_u64(&b, UINT64_MAX);
    BUF_LIT(&b, " ");
    buf_put_i64(&b, INT64_MIN);
    buf_printf(&b, " %s=%d", "x", 7);
    buf_put_str(&b, STR_NULL);
    buf_put_u64(&b, 0);
    CHECK_STR(t, "a 18446744073709551615 -9223372036854775808 x=70", buf_str(&b));
    buf_done(&b);
}

static void a_put_past_the_bound_changes_nothing(struct test *t)
{
    struct buf b;

    buf_init(&b, 10);
    buf_put_z(&b, "12345678");
    buf_put_z(&b, "abc");
    CHECK(t, b.overflow);
    CHECK_STR(t, "12345678", buf_str(&b));
    buf_put_z(&b, "90");
    CHECK_STR(t, "1234567890", buf_str(&b));
    buf_printf(&b, "%d", 1);
    CHECK_INT(t, 10, b.len);
    CHECK(t, b.cap <= 10);
    buf_clear(&b);
    CHECK(t, !b.overflow);
    buf_printf(&b, "%s", "0123456789");
    CHECK(t, !b.overflow && b.len == 10);
    buf_done(&b);
    CHECK_INT(t, 10, b.bytes_max);
}

static void consuming_all_gives_the_memory_back(struct test *t)
{
    struct buf b;

    buf_init(&b, 0);
    CHECK(t, b.p == NULL);
    buf_put_z(&b, "hello town");
    buf_consume(&b, 6);
    CHECK_STR(t, "town", buf_str(&b));
    buf_consume(&b, 4);
    CHECK(t, b.p == NULL && b.cap == 0 && b.len == 0);
    buf_put_z(&b, "again");
    CHECK_STR(t, "again", buf_str(&b));
    buf_done(&b);
}

TEST_MAIN(TEST(puts_follow_each_other), TEST(a_put_past_the_bound_changes_nothing),
          TEST(consuming_all_gives_the_memory_back))
