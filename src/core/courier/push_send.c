/* push_send.c: one notification on its way: encrypted, signed, posted, and what its answer means (RFC 8030
 * §5, §7). SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "courier/push_inner.h"
#include "crypto/digest.h"

METRIC_COUNTER(sent, "bongsu_courier_push_sent", "Notifications that a push service took.");
METRIC_COUNTER(again, "bongsu_courier_push_retried", "Times that a notification has to be sent again.");
METRIC_COUNTER(refused, "bongsu_courier_push_refused", "Notifications that a push service refused for good.");
METRIC_COUNTER(expired, "bongsu_courier_push_expired",
               "Notifications that were too old before they could be sent.");
METRIC_COUNTER(gone, "bongsu_courier_push_gone", "Subscriptions that are no more.");

enum { TOKEN_S = 12 * 3600, GONE_AGAIN_S = 5 };

struct flight {
    struct http_call call;
    struct list link;
    struct push *push; /* NULL: given up while talk was being asked */
    struct push_row row;
    bool asking;
    char text[];
};

static const char *const urgencies[] = {"very-low", "low", "normal", "high"};

static void flight_free(struct flight *f)
{
    if (f->push) {
        list_remove(&f->link);
        f->push->flights--;
    }
    mem_wipe(f->text, f->row.payload.len); /* the first of the texts */
    free(f);
}

static void end(struct flight *f, enum push_outcome o, int64_t retry_s)
{
    struct push *p = f->push;

    push_ended(p, &f->row, o, retry_s);
    flight_free(f);
}

/* ---- talk is asked ---- */

static enum err ask(struct flight *f, const char *subject, bus_reply_fn *fn)
{
    struct buf b;
    enum err e;

    buf_init(&b, 0);
    codec_begin(&b, COURIER_PAYLOAD_VERSION);
    codec_put_i64(&b, f->row.registration);
    e = bus_ask(f->push->courier->bus, subject, buf_str(&b), PUSH_TIMEOUT_MS, fn, f);
    f->asking = !e;
    buf_done(&b);
    return e;
}

/* ---- the subscription is no more: talk forgets it, then its rows go ---- */

static void told(void *arg, enum err e, struct str payload)
{
    struct flight *f = arg;

    (void)payload;
    f->asking = false;
    if (!f->push)
        flight_free(f);
    else if (e && e != ERR_NOT_FOUND)
        end(f, PUSH_GONE, GONE_AGAIN_S);
    else
        end(f, PUSH_FORGOTTEN, 0);
}

static void tell(struct flight *f)
{
    if (ask(f, "talk.push.gone", told) != OK)
        end(f, PUSH_GONE, GONE_AGAIN_S);
}

/* ---- the answer ---- */

static int64_t retry_s(const struct flight *f)
{
    int64_t base_ms = f->push->retry_ms, s;
    int doublings = f->row.tries < 12 ? (int)f->row.tries : 12;

    if (f->row.urgency == PUSH_HIGH)
        base_ms /= 4; /* a call does not ring for long */
    s = (base_ms << doublings) / 1000;
    if (s > PUSH_RETRY_S_MAX)
        s = PUSH_RETRY_S_MAX;
    s += (int64_t)(random_u64() % (uint64_t)(s / 4 + 1)); /* not all at once */
    if (f->call.retry_after_s > s)                        /* RFC 9110 §10.2.3 */
        s = f->call.retry_after_s < PUSH_RETRY_AFTER_S_MAX ? f->call.retry_after_s : PUSH_RETRY_AFTER_S_MAX;
    return s ? s : 1;
}

static void later(struct flight *f)
{
    metric_add(&again, 1);
    end(f, PUSH_LATER, retry_s(f));
}

static enum push_outcome outcome_of(int status)
{
    if (status >= 200 && status < 300)
        return PUSH_SENT;
    if (status == 404 || status == 410) /* RFC 8030 §7.3 */
        return PUSH_GONE;
    if (status == 408 || status == 425 || status == 429 || status >= 500)
        return PUSH_LATER;
    return PUSH_FORGOTTEN; /* here: refused */
}

static void answered(struct http_call *call, enum err e)
{
    struct flight *f = (struct flight *)call;
    enum push_outcome o = e ? PUSH_LATER : outcome_of(call->status);

    if (e == ERR_DENIED || e == ERR_INVALID) /* there is no way there, and there will be none */
        o = PUSH_GONE;
    if (o != PUSH_SENT)
        LOG_INFO("push.answer", LF_I64("registration", f->row.registration), LF_I64("status", call->status),
                 LF_ERR(e), LF_I64("tries", f->row.tries));
    switch (o) {
    case PUSH_SENT:
        metric_add(&sent, 1);
        end(f, PUSH_SENT, 0);
        break;
    case PUSH_GONE:
        metric_add(&gone, 1);
        f->row.gone = true;
        tell(f);
        break;
    case PUSH_LATER:
        later(f);
        break;
    default:
        metric_add(&refused, 1);
        end(f, PUSH_SENT, 0);
    }
}

/* ---- the request ---- */

/* "Authorization: vapid t=…, k=…" */
static enum err authorization(const struct flight *f, struct buf *out)
{
    struct buf origin;
    enum err e;

    buf_init(&origin, 0);
    e = push_origin_put(&origin, f->row.endpoint, f->push->private_too);
    BUF_LIT(out, "Authorization: ");
    if (!e)
        e = webpush_vapid(out, f->push->key, buf_str(&origin), str_of(f->push->contact),
                          clock_us() / 1000000 + TOKEN_S);
    buf_put_c(out, '\0');
    buf_done(&origin);
    return e;
}

static enum err post(struct flight *f)
{
    struct buf body, token;
    char ttl[40], urgency[40], topic[PUSH_TOPIC_BYTES_MAX + 8];
    int64_t ttl_s = (f->row.expires_us - clock_us()) / 1000000;
    enum err e;

    buf_init(&body, 0);
    buf_init(&token, 0);
    snprintf(ttl, sizeof ttl, "TTL: %lld", (long long)(ttl_s > 0 ? ttl_s : 0));
    snprintf(urgency, sizeof urgency, "Urgency: %s", urgencies[f->row.urgency]);
    snprintf(topic, sizeof topic, "Topic: %.*s", STR_ARG(f->row.topic));
    e = webpush_encrypt(&body, f->row.browser, f->row.auth, f->row.payload,
                        (f->row.payload.len / PUSH_PAD_BYTES + 1) * PUSH_PAD_BYTES);
    if (!e)
        e = authorization(f, &token);
    f->call.done = answered;
    if (!e)
        e = http_client_post(
            f->push->http, &f->call,
            &(struct http_post){.url = f->row.endpoint,
                                .body = buf_str(&body),
                                .timeout_ms = PUSH_REQUEST_MS_MAX,
                                .headers = {token.p, ttl, urgency, topic, "Content-Encoding: aes128gcm",
                                            "Content-Type: application/octet-stream"}});
    buf_done(&body);
    buf_done(&token);
    return e;
}

static void go(struct flight *f)
{
    if (post(f) != OK)
        later(f);
}

static struct flight *flight_new(struct push *p, const struct push_row *r)
{
    struct flight *f =
        mem_new(sizeof *f + r->endpoint.len + r->browser.len + r->auth.len + r->topic.len + r->payload.len);
    char *at = f->text;

    f->push = p;
    f->row = *r;
    f->row.payload = str_pack(&at, r->payload);
    f->row.endpoint = str_pack(&at, r->endpoint);
    f->row.browser = str_pack(&at, r->browser);
    f->row.auth = str_pack(&at, r->auth);
    f->row.topic = str_pack(&at, r->topic);
    list_append(&p->flying, &f->link);
    p->flights++;
    return f;
}

/* Without an answer it is sent: better once too often. */
static void known(void *arg, enum err e, struct str payload)
{
    struct flight *f = arg;

    (void)payload;
    f->asking = false;
    if (!f->push) {
        flight_free(f);
    } else if (e == ERR_NOT_FOUND) {
        LOG_INFO("push.forgotten", LF_I64("registration", f->row.registration));
        end(f, PUSH_FORGOTTEN, 0);
    } else {
        go(f);
    }
}

void push_fly(struct push *p, const struct push_row *row)
{
    struct flight *f = flight_new(p, row);

    if (p->stopping) { /* the end does not wait for what leaves now */
        later(f);
    } else if (f->row.gone) {
        tell(f);
    } else if (f->row.expires_us < clock_us() && f->row.tries) { /* a TTL of 0 has one try */
        metric_add(&expired, 1);
        end(f, PUSH_SENT, 0);
    } else if (f->row.tries == 0 || ask(f, "talk.push.known", known) != OK) {
        go(f);
    }
}

void push_flights_end(struct push *p)
{
    while (!list_empty(&p->flying)) {
        struct flight *f = LIST_ITEM(p->flying.next, struct flight, link);

        http_client_cancel(&f->call);
        list_remove(&f->link);
        p->flights--;
        f->push = NULL;
        if (!f->asking)
            flight_free(f);
    }
}
