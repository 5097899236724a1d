/* XEP-0085 Chat State Notifications 2.1: passed on and copied to other
 * devices, never kept; held back from inactive clients (xep0352_csi.c).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload states[] = { { NULL, "http://jabber.org/protocol/chatstates", PAYLOAD_COPIED }, { 0 } };

const struct feature xep0085_chat_states = {
    .spec = "XEP-0085 2.1",
    .title = "Chat State Notifications",
    .note = "never stored",
    .payloads = states,
};
