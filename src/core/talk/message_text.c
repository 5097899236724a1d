/* message_text.c: a kept message as each reader gets it. What is kept ends with CLOSING, and what is added goes in before that.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/message.h"
#include "base/clock.h"
#include "talk/archive_id.h"

static const char CLOSING[] = "</message>";
enum { CLOSING_BYTES = sizeof CLOSING - 1 };

static void put_stanza_id(struct buf *b, struct str owner_bare, int64_t log_id)
{
    BUF_LIT(b, "<stanza-id xmlns='urn:xmpp:sid:0' by='");
    xml_put_escaped(b, owner_bare);
    BUF_LIT(b, "' id='");
    archive_id_put(b, log_id);
    BUF_LIT(b, "'/>");
}

static void put_delay(struct buf *b, int64_t us, struct str from)
{
    char time[CLOCK_TEXT_BYTES];

    BUF_LIT(b, "<delay xmlns='urn:xmpp:delay'");
    if (from.len)
        xml_put_attr(b, "from", from);
    BUF_LIT(b, " stamp='");
    buf_put_str(b, clock_format(us, time));
    BUF_LIT(b, "'/>");
}

void message_put(struct buf *b, struct str kept, struct str owner_bare, int64_t log_id, int64_t delay_us, struct str delay_from)
{
    buf_put(b, kept.p, kept.len - CLOSING_BYTES);
    if (owner_bare.len)
        put_stanza_id(b, owner_bare, log_id);
    if (delay_us)
        put_delay(b, delay_us, delay_from);
    buf_put(b, CLOSING, CLOSING_BYTES);
}

void message_put_forwarded(struct buf *b, struct str kept, struct str owner_bare, int64_t log_id, bool with_stanza_id)
{
    BUF_LIT(b, "<forwarded xmlns='urn:xmpp:forward:0'>");
    put_delay(b, log_id, STR_NULL);
    BUF_LIT(b, "<message xmlns='" NS_CLIENT "'");
    kept = str_make(kept.p + 8, kept.len - 8);      /* behind "<message" */
    message_put(b, kept, with_stanza_id ? owner_bare : STR_NULL, log_id, 0, STR_NULL);
    BUF_LIT(b, "</forwarded>");
}

void message_put_carbon(struct buf *b, struct str kept, struct str owner_bare, struct str full, int64_t log_id, bool sent)
{
    const char *end = memchr(kept.p, '>', kept.len);
    const char *type = memmem(kept.p, (size_t)(end - kept.p), " type='", 7);
    const char *type_end = type ? memchr(type + 7, '\'', (size_t)(end - type - 7)) : NULL;

    BUF_LIT(b, "<message");
    xml_put_attr(b, "from", owner_bare);
    xml_put_attr(b, "to", full);
    if (type_end)   /* XEP-0280 §7: the type of the copy is that of the original */
        buf_put(b, type, (size_t)(type_end + 1 - type));
    buf_put_z(b, sent ? "><sent xmlns='urn:xmpp:carbons:2'>" : "><received xmlns='urn:xmpp:carbons:2'>");
    BUF_LIT(b, "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='" NS_CLIENT "'");
    message_put(b, str_make(kept.p + 8, kept.len - 8), log_id ? owner_bare : STR_NULL, log_id, 0, STR_NULL);
    BUF_LIT(b, "</forwarded>");
    buf_put_z(b, sent ? "</sent></message>" : "</received></message>");
}
