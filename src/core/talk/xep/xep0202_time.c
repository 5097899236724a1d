/* XEP-0202 Entity Time 2.0: the server's clock, in UTC.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "talk/feature.h"

#define NS_TIME "urn:xmpp:time"

static enum err time_get(struct session *s, const struct stanza *iq)
{
    char        now[CLOCK_TEXT_BYTES];
    struct buf *b = talk_scratch(s->talk);

    BUF_LIT(b, "<time xmlns='" NS_TIME "'><tzo>+00:00</tzo><utc>");
    buf_put_str(b, clock_format(clock_us() / 1000000 * 1000000, now));
    BUF_LIT(b, "</utc></time>");
    return iq_result_str(s, iq, buf_str(b));
}

static const struct iq_handler time_iqs[] = { { "time", NS_TIME, IQ_TO_SERVER | IQ_FROM_GUEST, time_get, NULL }, { 0 } };
static const char *const       time_disco[] = { NS_TIME, NULL };

const struct feature xep0202_time = {
    .spec = "XEP-0202 2.0",
    .title = "Entity Time",
    .disco_server = time_disco,
    .iqs = time_iqs,
};
