/* XEP-0280 Message Carbons 1.0.1: which messages are copied to a person's other devices. The copies are
 * made by talk/message.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"
#include "talk/xep/xep0198_sm.h"

#define NS_CARBONS "urn:xmpp:carbons:2"
#define NS_MUC_USER "http://jabber.org/protocol/muc#user"

static bool carries_im(const struct stanza *st)
{
    for (const struct xml_node *n = xml_first(st->node); n; n = xml_next(n))
        if ((features_payload(n->name, n->ns) & PAYLOAD_COPIED) || xml_is(n, "body", NS_CLIENT))
            return true;
    return false;
}

static bool is_mediated_invitation(const struct stanza *st)
{
    const struct xml_node *x = xml_child(st->node, "x", NS_MUC_USER);

    return x && xml_child(x, "invite", NS_MUC_USER);
}

/* §6.1. An error carries what it answers, so it is judged by that. */
static bool is_eligible(const struct stanza *st)
{
    if (stanza_has(st, "private", NS_CARBONS) || stanza_has(st, "no-copy", "urn:xmpp:hints"))
        return false;
    switch (st->type) {
    case TYPE_CHAT:
        return true;
    case TYPE_NORMAL:
    case TYPE_ERROR:
        return carries_im(st) || is_mediated_invitation(st);
    default:
        return false;
    }
}

static enum verdict choose(struct session *s, struct message *m)
{
    (void)s;
    m->carbons = is_eligible(m->stanza);
    return PASS;
}

static enum err enable_set(struct session *s, const struct stanza *iq)
{
    s->carbons = true;
    return sm_row_result(s, iq, STR_NULL);
}

static enum err disable_set(struct session *s, const struct stanza *iq)
{
    s->carbons = false;
    return sm_row_result(s, iq, STR_NULL);
}

/* Some clients ask the server instead of their account. */
static const struct iq_handler carbons_iqs[] = {
    { "enable", NS_CARBONS, IQ_TO_SELF | IQ_TO_SERVER, NULL, enable_set },
    { "disable", NS_CARBONS, IQ_TO_SELF | IQ_TO_SERVER, NULL, disable_set },
    { 0 },
};
static const char *const carbons_disco[] = { NS_CARBONS, "urn:xmpp:carbons:rules:0", NULL };

const struct feature xep0280_carbons = {
    .spec = "XEP-0280 1.0.1",
    .title = "Message Carbons",
    .disco_server = carbons_disco,
    .disco_account = carbons_disco,
    .iqs = carbons_iqs,
    .message_out = choose,
};
