/* XEP-0388: who has logged in may add other ways to log in. For passkeys a page speaks HTTP with web, which knows nobody; this
 * gives the client of an account a ticket to show there (docs/passkeys.md).
 *
 *   <iq type='get' to='DOMAIN'><ticket xmlns='urn:bongsu:passkeys:0'/></iq>
 *   <iq type='result'><ticket xmlns='urn:bongsu:passkeys:0' expires='2026-11-26T12:05:00Z'>…</ticket></iq>
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/mem.h"
#include "id/passkey.h"
#include "talk/feature.h"
#include <stdlib.h>

#define NS_PASSKEYS "urn:bongsu:passkeys:0"

struct asking {
    struct talk    *talk;
    struct iq_later iq;
};

static void answered(void *arg, enum err e, const struct passkey_answer *a)
{
    struct asking *k = arg;
    char           expires[CLOCK_TEXT_BYTES];
    struct buf     b;

    buf_init(&b, 0);
    if (e) {
        iq_later_error(k->talk, &k->iq, e == ERR_UNCERTAIN || e == ERR_TIMEOUT ? ERR_UNAVAILABLE : e);
    } else {
        buf_printf(&b, "<ticket xmlns='" NS_PASSKEYS "' expires='%.*s'>", STR_ARG(clock_format(a->expires_us / 1000000 * 1000000, expires)));
        xml_put_escaped(&b, a->ticket);
        BUF_LIT(&b, "</ticket>");
        iq_later_result(k->talk, &k->iq, buf_str(&b));
    }
    buf_done(&b);
    free(k);
}

static enum err ticket_get(struct session *s, const struct stanza *iq)
{
    struct passkey_request q = { .user = s->jid.local };
    struct asking         *k;
    enum err               e;

    if (!s->person)
        return ERR_DENIED;
    k = NEW(struct asking);
    *k = (struct asking){ s->talk, iq_keep(s, iq) };
    e = passkey_ask(s->talk->bus, PASSKEY_TICKET, &q, answered, k);
    if (e)
        answered(k, e, NULL);
    return OK;
}

static const struct iq_handler passkey_iqs[] = { { "ticket", NS_PASSKEYS, IQ_TO_SERVER, ticket_get, NULL }, { 0 } };
static const char *const       passkey_disco[] = { NS_PASSKEYS, NULL };

const struct feature xep0388_passkeys = {
    .spec = "XEP-0388 1.0.4",
    .title = "Passkeys",
    .disco_server = passkey_disco,
    .iqs = passkey_iqs,
};
