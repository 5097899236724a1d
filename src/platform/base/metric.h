/* metric.h: counters and gauges of one process, written as OpenMetrics text.
 * A metric is a static variable, registered by its own definition:
 *
 *   METRIC_COUNTER(stanzas_in, "bongsu_stanzas_in", "Stanzas received.");
 *   metric_add(&stanzas_in, 1);
 *
 * Safe from any thread.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdint.h>
#include "base/buf.h"

enum metric_kind { METRIC_COUNTER_KIND, METRIC_GAUGE_KIND };

struct metric {
    const char     *name;   /* without the _total suffix of counters */
    const char     *help;
    const char     *labels; /* "reason=\"size\"" or NULL; metrics of one name stand together */
    enum metric_kind kind;
    int64_t         value;
    struct metric  *next;
};

void metric_register(struct metric *m);
static inline void metric_add(struct metric *m, int64_t n) { __atomic_add_fetch(&m->value, n, __ATOMIC_RELAXED); }
static inline void metric_set(struct metric *m, int64_t v) { __atomic_store_n(&m->value, v, __ATOMIC_RELAXED); }
static inline int64_t metric_get(const struct metric *m) { return __atomic_load_n(&m->value, __ATOMIC_RELAXED); }
/* Appends every metric and the closing "# EOF". */
void metric_write(struct buf *out);

#define METRIC_DEFINE(var, name_, help_, labels_, kind_) \
    static struct metric var = { .name = name_, .help = help_, .labels = labels_, .kind = kind_ }; \
    __attribute__((constructor)) static void var##_register(void) { metric_register(&var); }
#define METRIC_COUNTER(var, name, help)                METRIC_DEFINE(var, name, help, NULL, METRIC_COUNTER_KIND)
#define METRIC_COUNTER_L(var, name, help, labels)      METRIC_DEFINE(var, name, help, labels, METRIC_COUNTER_KIND)
#define METRIC_GAUGE(var, name, help)                  METRIC_DEFINE(var, name, help, NULL, METRIC_GAUGE_KIND)
