/* admission.c: see admission.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/admission.h"
#include "base/metric.h"
#include "talk/feature.h"
#include <poll.h>

METRIC_COUNTER(rests, "bongsu_talk_admission_rests", "Times new connections waited because too many came at once.");
METRIC_COUNTER(gave_up, "bongsu_talk_admission_gave_up", "Connections whose clients had left again before they were taken.");
METRIC_GAUGE(rate_now, "bongsu_talk_admission_rate", "New connections taken in a second while a crowd comes in; 0: there is none.");

int admission_next(int rate, int rate_max, int late_ms, int entering)
{
    if (late_ms > ADMISSION_LATE_MS || entering > ADMISSION_ENTERING_MANY)
        rate = rate * 3 / 5;
    else if (late_ms <= ADMISSION_IN_TIME_MS && entering <= ADMISSION_ENTERING_FEW)
        rate += rate / 8 + 1;
    if (rate < ADMISSION_RATE_MIN)
        rate = ADMISSION_RATE_MIN;
    return rate > rate_max ? rate_max : rate;
}

/* A window has ended: the connections of the next one are counted anew. */
static void look(struct timer *timer)
{
    struct talk *t = LIST_ITEM(timer, struct talk, admission_look);
    int64_t      now = loop_now_ms(t->loop);

    t->admission_rate = admission_next(t->admission_rate, t->limits.accepts_per_second_max, (int)(now - t->admission_due_ms),
                                       t->entering);
    if (t->admitted)
        t->admission_seen_ms = now;
    t->admitted = 0;
    if (now - t->admission_seen_ms > ADMISSION_CALM_MS) {
        t->admission_rested = false;
        metric_set(&rate_now, 0);
        return;
    }
    metric_set(&rate_now, t->admission_rate);
    t->admission_due_ms = now + ADMISSION_WINDOW_MS;
    timer_start(t->loop, &t->admission_look, ADMISSION_WINDOW_MS, look);
}

bool admission_gave_up(const struct talk *t, int fd)
{
    struct pollfd peer = { .fd = fd, .events = POLLRDHUP };

    if (!t->admission_rested || poll(&peer, 1, 0) != 1)
        return false;
    metric_add(&gave_up, 1);
    return true;
}

int admission_rest_ms(struct talk *t)
{
    int64_t now = loop_now_ms(t->loop), left;
    int     most = t->limits.accepts_per_second_max, allowed;

    if (most == 0)
        return 0;
    if (!timer_running(&t->admission_look)) {
        t->admission_rate = most < ADMISSION_RATE_FIRST ? most : ADMISSION_RATE_FIRST;
        t->admission_seen_ms = now;
        t->admission_due_ms = now + ADMISSION_WINDOW_MS;
        timer_start(t->loop, &t->admission_look, ADMISSION_WINDOW_MS, look);
    }
    allowed = t->admission_rate * ADMISSION_WINDOW_MS / 1000;
    if (++t->admitted < (allowed ? allowed : 1))
        return 0;
    metric_add(&rests, 1);
    t->admission_rested = true;
    left = t->admission_due_ms - now;
    return left < 1 ? 1 : (int)left;
}

int admission_spread_s(int sessions, int rate_max)
{
    int s = rate_max ? sessions / rate_max : 0;

    return s > ADMISSION_SPREAD_S_MAX ? ADMISSION_SPREAD_S_MAX : s;
}

static void reconnect_features(struct session *s, struct buf *out)
{
    if (s->state == SESSION_AUTHENTICATED || s->state == SESSION_BOUND)
        buf_printf(out, "<reconnect xmlns='urn:bongsu:reconnect:0' spread='%d'/>",
                   admission_spread_s(s->talk->session_count, s->talk->limits.accepts_per_second_max));
}

const struct feature rfc6120_reconnect = {
    .spec = "RFC 6120",
    .title = "Advice for reconnecting",     /* §3.3 leaves the delay to the client */
    .stream_features = reconnect_features,
};
