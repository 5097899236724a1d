/* test_metric.c: OpenMetrics text.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/metric.h"
#include "base/test.h"

METRIC_GAUGE(open_now, "bongsu_test_open", "Open things.")
METRIC_COUNTER_L(dropped_size, "bongsu_test_dropped", "Dropped things.", "reason=\"size\"")
METRIC_COUNTER(seen, "bongsu_test_seen", "Seen things.")
METRIC_COUNTER_L(dropped_rate, "bongsu_test_dropped", "Dropped things.", "reason=\"rate\"")

static void metrics_of_one_name_stand_together(struct test *t)
{
    struct buf b;

    metric_set(&open_now, 5);
    metric_add(&open_now, -7);
    metric_add(&seen, 3);
    metric_add(&dropped_rate, 1);
    CHECK_INT(t, 0, metric_get(&dropped_size));
    buf_init(&b, 0);
    metric_write(&b);
    CHECK_STR(t, "# TYPE bongsu_test_dropped counter\n"
                 "# HELP bongsu_test_dropped Dropped things.\n"
                 "bongsu_test_dropped_total{reason=\"rate\"} 1\n"
                 "bongsu_test_dropped_total{reason=\"size\"} 0\n"
                 "# TYPE bongsu_test_open gauge\n"
                 "# HELP bongsu_test_open Open things.\n"
                 "bongsu_test_open -2\n"
                 "# TYPE bongsu_test_seen counter\n"
                 "# HELP bongsu_test_seen Seen things.\n"
                 "bongsu_test_seen_total 3\n"
                 "# EOF\n", buf_str(&b));
    buf_done(&b);
}

TEST_MAIN(TEST(metrics_of_one_name_stand_together))
