/* XEP-0484 Fast Authentication Streamlining Tokens 0.2.0: the stream's side. Tokens are
 * made and checked by ident (id/fast.c).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "talk/feature.h"
#include "talk/xep/xep0388_sasl2.h"

#define NS_FAST "urn:xmpp:fast:0"

void fast_read(const struct xml_node *authenticate, struct sasl_start *start)
{
    const struct xml_node *request = xml_child(authenticate, "request-token", NS_FAST);
    const struct xml_node *fast = xml_child(authenticate, "fast", NS_FAST);
    struct str             invalidate;

    if (request)
        start->fast_request = xml_attr(request, "mechanism");
    if (!fast)
        return;
    str_to_u64(xml_attr(fast, "count"), &start->fast_count);
    invalidate = xml_attr(fast, "invalidate");
    start->fast_invalidate = str_is(invalidate, "true") || str_is(invalidate, "1");
}

void fast_put_token(const struct sasl_answer *a, struct buf *out)
{
    char time[CLOCK_TEXT_BYTES];

    if (!a->fast_token.len)
        return;
    BUF_LIT(out, "<token xmlns='" NS_FAST "'");
    xml_put_attr(out, "token", a->fast_token);
    xml_put_attr(out, "expiry", clock_format(a->fast_expires_us, time));
    BUF_LIT(out, "/>");
}

void fast_put_inline(struct session *s, struct buf *out)
{
    BUF_LIT(out, "<fast xmlns='" NS_FAST "'>");
    for (int i = 0; ident_fast_mechanisms[i]; i++) {
        if (!login_offers(s, ident_fast_mechanisms[i]))
            continue;
        BUF_LIT(out, "<mechanism>");
        buf_put_z(out, ident_fast_mechanisms[i]);
        BUF_LIT(out, "</mechanism>");
    }
    BUF_LIT(out, "</fast>");
}

const struct feature xep0484_fast = {
    .spec = "XEP-0484 0.2.0",
    .title = "Fast Authentication Streamlining Tokens",
    .note = "their devices are listed and logged out by urn:bongsu:devices:0: docs/devices.md",
};
