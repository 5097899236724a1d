/* metric.c: see metric.h. Registration happens before main, so the list needs no lock.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/metric.h"
#include <stdlib.h>
#include <string.h>

static struct metric *first;
static int            count;

void metric_register(struct metric *m)
{
    m->next = first;
    first = m;
    count++;
}

static int by_name(const void *a, const void *b)
{
    const struct metric *x = *(struct metric *const *)a, *y = *(struct metric *const *)b;
    int                  order = strcmp(x->name, y->name);

    return order ? order : strcmp(x->labels ? x->labels : "", y->labels ? y->labels : "");
}

static void put_head(struct buf *out, const struct metric *m)
{
    buf_printf(out, "# TYPE %s %s\n# HELP %s %s\n", m->name, m->kind == METRIC_COUNTER_KIND ? "counter" : "gauge",
               m->name, m->help);
}

static void put_value(struct buf *out, const struct metric *m)
{
    buf_put_z(out, m->name);
    if (m->kind == METRIC_COUNTER_KIND)
        BUF_LIT(out, "_total");
    if (m->labels)
        buf_printf(out, "{%s}", m->labels);
    buf_put_c(out, ' ');
    buf_put_i64(out, metric_get(m));
    buf_put_c(out, '\n');
}

void metric_write(struct buf *out)
{
    struct metric **sorted = malloc(sizeof(*sorted) * (size_t)(count + 1));
    int             n = 0;

    if (!sorted)
        return;
    for (struct metric *m = first; m; m = m->next)
        sorted[n++] = m;
    qsort(sorted, (size_t)n, sizeof *sorted, by_name);
    for (int i = 0; i < n; i++) {
        if (i == 0 || strcmp(sorted[i]->name, sorted[i - 1]->name) != 0)
            put_head(out, sorted[i]);
        put_value(out, sorted[i]);
    }
    free(sorted);
    BUF_LIT(out, "# EOF\n");
}
