/* XEP-0363 HTTP File Upload 1.1.0: slots for files, at the host upload.DOMAIN. Web gives them (core/files), because it holds the bytes
 * and knows the quotas; here they are asked for, and put into words. A client that asks waits for nobody else and nobody for it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/mem.h"
#include "files/client.h"
#include "talk/feature.h"
#include "talk/host.h"
#include <inttypes.h>
#include <stdlib.h>

#define NS_UPLOAD "urn:xmpp:http:upload:0"
#define NS_DISCO_INFO  "http://jabber.org/protocol/disco#info"
#define NS_DISCO_ITEMS "http://jabber.org/protocol/disco#items"
#define STANZA_ERROR(type, condition) "<error type='" type "'><" condition " xmlns='" NS_STANZA_ERRORS "'/>"
#define STANZA_TEXT "<text xmlns='" NS_STANZA_ERRORS "' xml:lang='en'>"

static int64_t bytes_max(const struct talk *t) { return settings_int(t->settings, "files.bytes_max"); }

/* ---- what it is ---- */

static enum err info_get(struct session *s, const struct stanza *iq)
{
    struct buf *b = talk_scratch(s->talk);

    if (xml_attr(iq->payload, "node").len)
        return ERR_NOT_FOUND;
    buf_printf(b, "<query xmlns='" NS_DISCO_INFO "'><identity category='store' type='file' name='HTTP File Upload'/>"
                  "<feature var='" NS_DISCO_INFO "'/><feature var='" NS_DISCO_ITEMS "'/><feature var='" NS_UPLOAD "'/>"
                  "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>" NS_UPLOAD "</value></field>"
                  "<field var='max-file-size'><value>%" PRId64 "</value></field></x></query>", bytes_max(s->talk));
    return iq_result_str(s, iq, buf_str(b));
}

static enum err items_get(struct session *s, const struct stanza *iq)
{
    return iq_result(s, iq, "<query xmlns='" NS_DISCO_ITEMS "'/>");
}

/* ---- a slot ---- */

struct asking {
    struct talk    *talk;
    struct iq_later iq;
};

static void put_slot(struct buf *b, const struct files_slot *slot)
{
    BUF_LIT(b, "<slot xmlns='" NS_UPLOAD "'><put");
    xml_put_attr(b, "url", slot->url);
    BUF_LIT(b, "><header name='Authorization'>Bearer ");
    xml_put_escaped(b, slot->token);
    BUF_LIT(b, "</header></put><get");
    xml_put_attr(b, "url", slot->url);
    BUF_LIT(b, "/></slot>");
}

/* §5 */
static void put_too_large(struct buf *b, int64_t max)
{
    buf_printf(b, STANZA_ERROR("modify", "not-acceptable") STANZA_TEXT "The largest file possible has %" PRId64 " bytes.</text>"
                  "<file-too-large xmlns='" NS_UPLOAD "'><max-file-size>%" PRId64 "</max-file-size></file-too-large></error>", max, max);
}

static void put_refusal(struct buf *b, const struct files_slot *slot)
{
    char stamp[CLOCK_TEXT_BYTES];

    if (slot->why == FILES_TOO_LARGE)
        put_too_large(b, slot->value);
    else if (slot->why == FILES_ACCOUNT_FULL)
        buf_printf(b, STANZA_ERROR("wait", "resource-constraint") STANZA_TEXT "Your files fill the room you have; %" PRId64
                      " bytes are left.</text></error>", slot->value);
    else
        buf_printf(b, STANZA_ERROR("wait", "resource-constraint") STANZA_TEXT "You have uploaded as much as you may in a day.</text>"
                      "<retry xmlns='" NS_UPLOAD "' stamp='%.*s'/></error>",
                   STR_ARG(clock_format(slot->value / 1000000 * 1000000, stamp)));
}

static void answered(void *arg, enum err e, const struct files_slot *slot)
{
    struct asking *k = arg;
    struct buf     b;

    buf_init(&b, 0);
    if (e && !(e == ERR_LIMIT && slot && slot->why)) {
        iq_later_error(k->talk, &k->iq, e == ERR_UNCERTAIN || e == ERR_TIMEOUT ? ERR_UNAVAILABLE : e);
    } else if (e) {
        put_refusal(&b, slot);
        iq_later_answer(k->talk, &k->iq, "error", buf_str(&b));
    } else {
        put_slot(&b, slot);
        iq_later_result(k->talk, &k->iq, buf_str(&b));
    }
    buf_done(&b);
    free(k);
}

static enum err slot_get(struct session *s, const struct stanza *iq)
{
    struct str     name = xml_attr(iq->payload, "filename"), size = xml_attr(iq->payload, "size");
    struct str     type = xml_attr(iq->payload, "content-type");
    uint64_t       bytes;
    struct asking *k;
    enum err       e;

    if (!s->person)
        return iq_error_condition(s, iq, "cancel", "not-allowed", "uploads are for the people of this server");
    if (!name.len || !str_to_u64(size, &bytes))
        return iq_error_condition(s, iq, "modify", "bad-request", "a slot needs filename and size");
    k = NEW(struct asking);
    *k = (struct asking){ s->talk, iq_keep(s, iq) };
    e = files_slot_ask(s->talk->bus, s->jid.local, name, bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes, type, answered, k);
    if (e)
        answered(k, e, NULL);
    return OK;
}

static const struct iq_handler upload_iqs[] = {
    { "query", NS_DISCO_INFO, IQ_TO_SERVER, info_get, NULL },
    { "query", NS_DISCO_ITEMS, IQ_TO_SERVER, items_get, NULL },
    { "request", NS_UPLOAD, IQ_TO_SERVER, slot_get, NULL },
    { 0 },
};

static void take(struct session *from, const struct stanza *st)
{
    if (st->kind == STANZA_IQ)
        host_iq(from, st, upload_iqs);
    else if (st->kind == STANZA_MESSAGE)
        session_bounce(from, st, "cancel", "service-unavailable", NULL);
}

static const struct host upload_host = { "upload", "store", "file", "HTTP File Upload", take };

const struct feature xep0363_upload = {
    .spec = "XEP-0363 1.1.0",
    .title = "HTTP File Upload",
    .host = &upload_host,
};
