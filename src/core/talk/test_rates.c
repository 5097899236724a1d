/* test_rates.c: the classes of the setting, and what is no class.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "talk/rates.h"

static void classes_are_read(struct test *t)
{
    struct rate_class all[RATE_CLASSES_MAX];

    CHECK_INT(t, 0, rates_read("", all));
    CHECK_INT(t, 2, rates_read("slow 5 16k,  bot  1000   4M", all));
    CHECK_STR(t, "slow", str_of(all[0].name));
    CHECK_INT(t, 5, all[0].stanzas);
    CHECK_INT(t, 16384, all[0].bytes);
    CHECK_STR(t, "bot", str_of(all[1].name));
    CHECK_INT(t, 4 * 1024 * 1024, all[1].bytes);
    CHECK_INT(t, 1, rates_read("a, b 0 5, c 1 99999M, d 1 1, averylongnamethatdoesnotfitinhere 1 1", all));
    CHECK_STR(t, "d", str_of(all[0].name));
}

TEST_MAIN(TEST(classes_are_read))
