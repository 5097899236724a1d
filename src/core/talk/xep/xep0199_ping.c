/* XEP-0199 XMPP Ping 2.0.1: answers pings. Finding dead streams is talk/stream.c's work.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

#define NS_PING "urn:xmpp:ping"

static enum err ping_get(struct session *s, const struct stanza *iq)
{
    return iq_result(s, iq, NULL);
}

static const struct iq_handler ping_iqs[] = { { "ping", NS_PING, IQ_TO_SERVER | IQ_TO_SELF | IQ_FROM_GUEST, ping_get, NULL }, { 0 } };
static const char *const       ping_disco[] = { NS_PING, NULL };

const struct feature xep0199_ping = {
    .spec = "XEP-0199 2.0.1",
    .title = "XMPP Ping",
    .disco_server = ping_disco,
    .iqs = ping_iqs,
};
