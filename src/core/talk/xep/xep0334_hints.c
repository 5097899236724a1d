/* XEP-0334 Message Processing Hints 1.0.0: the sender's wish about keeping. no-copy is
 * looked at by xep0280_carbons.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

#define NS_HINTS "urn:xmpp:hints"

static enum verdict follow(struct session *s, struct message *m)
{
    const struct stanza *st = m->stanza;

    (void)s;
    if (st->type == TYPE_ERROR)     /* §5: those are the hints of what it answers */
        return PASS;
    if (stanza_has(st, "store", NS_HINTS)) {
        m->archive = st->type != TYPE_GROUPCHAT;
        m->offline = st->type == TYPE_CHAT || st->type == TYPE_NORMAL;
    }
    if (stanza_has(st, "no-permanent-store", NS_HINTS))
        m->archive = false;
    if (stanza_has(st, "no-store", NS_HINTS))
        m->archive = m->offline = false;
    return PASS;
}

static const char *const hints_disco[] = { NS_HINTS, NULL };

const struct feature xep0334_hints = {
    .spec = "XEP-0334 1.0.0",
    .title = "Message Processing Hints",
    .disco_server = hints_disco,
    .message_out = follow,
};
