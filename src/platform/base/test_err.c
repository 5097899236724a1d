/* test_err.c: every error has a name, a sentence and its place in the protocols.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/err.h"
#include "base/test.h"
#include <errno.h>

static void every_error_is_described(struct test *t)
{
    for (int e = 0; e < ERR_COUNT; e++) {
        const struct err_info *i = err_info((enum err)e);

        CHECK(t, i->name && i->sentence && i->condition && i->type && i->http_status >= 200);
        for (int other = 0; other < e; other++)
            CHECK(t, strcmp(i->name, err_info((enum err)other)->name) != 0);
    }
}

static void an_unknown_value_is_our_bug(struct test *t)
{
    CHECK(t, err_info((enum err)ERR_COUNT) == err_info(ERR_BUG));
    CHECK(t, err_info((enum err)-1) == err_info(ERR_BUG));
}

static void errno_finds_the_nearest(struct test *t)
{
    CHECK_INT(t, OK, err_from_errno(0));
    CHECK_INT(t, ERR_FULL, err_from_errno(ENOSPC));
    CHECK_INT(t, ERR_FULL, err_from_errno(EDQUOT));
    CHECK_INT(t, ERR_NOT_FOUND, err_from_errno(ENOENT));
    CHECK_INT(t, ERR_LIMIT, err_from_errno(EMFILE));
    CHECK_INT(t, ERR_IO, err_from_errno(EIO));
    CHECK_INT(t, ERR_IO, err_from_errno(9999));
}

TEST_MAIN(TEST(every_error_is_described), TEST(an_unknown_value_is_our_bug), TEST(errno_finds_the_nearest))
