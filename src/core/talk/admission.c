/* admission.c: see admission.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/admission.h"
#include "base/metric.h"
#include "talk/feature.h"

METRIC_COUNTER(rests, "bongsu_talk_admission_rests", "Times new connections waited because too many came at once.");

int admission_rest_ms(struct talk *t)
{
    int64_t now = loop_now_ms(t->loop), since = now - t->admission_ms;
    int     allowed = t->limits.accepts_per_second_max * ADMISSION_WINDOW_MS / 1000;

    if (t->limits.accepts_per_second_max == 0)
        return 0;
    if (since >= ADMISSION_WINDOW_MS) {
        t->admission_ms = now;
        t->admitted = 0;
        since = 0;
    }
    if (++t->admitted < (allowed ? allowed : 1))
        return 0;
    metric_add(&rests, 1);
    return (int)(ADMISSION_WINDOW_MS - since);
}

int admission_spread_s(const struct talk *t)
{
    int rate = t->limits.accepts_per_second_max;
    int s = rate ? t->session_count / rate : 0;

    return s < 1 ? 1 : s > ADMISSION_SPREAD_S_MAX ? ADMISSION_SPREAD_S_MAX : s;
}

static void reconnect_features(struct session *s, struct buf *out)
{
    if (s->state == SESSION_AUTHENTICATED || s->state == SESSION_BOUND)
        buf_printf(out, "<reconnect xmlns='urn:bongsu:reconnect:0' spread='%d'/>", admission_spread_s(s->talk));
}

const struct feature rfc6120_reconnect = {
    .spec = "RFC 6120",
    .title = "Advice for reconnecting",     /* §3.3 leaves the delay to the client */
    .stream_features = reconnect_features,
};
