/* XEP-0440 SASL Channel-Binding Type Capability 1.0.0: says which bindings the -PLUS
 * mechanisms may use, so that a client need not guess.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"
#include "talk/login.h"

static void binding_features(struct session *s, struct buf *out)
{
    uint8_t     exporter[32];
    struct tls *tls = s->conn ? conn_tls(s->conn) : NULL;

    if (s->state != SESSION_FEATURES || !tls)
        return;
    BUF_LIT(out, "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>");
    if (tls_exporter(tls, exporter) == OK)
        BUF_LIT(out, "<channel-binding type='tls-exporter'/>");
    BUF_LIT(out, "<channel-binding type='tls-server-end-point'/></sasl-channel-binding>");
}

const struct feature xep0440_channel_binding = {
    .spec = "XEP-0440 1.0.0",
    .title = "SASL Channel-Binding Type Capability",
    .stream_features = binding_features,
};
