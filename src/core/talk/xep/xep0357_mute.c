/* Chats that do not wake a device (docs/push.md), our own addition to XEP-0357: the device names them when it enables push, and any
 * device of the account may change them for all that did.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/buf.h"
#include "talk/xep/xep0357_push.h"

enum err push_muted_read(struct arena *a, const struct xml_node *mute, struct str *out)
{
    struct buf b;
    enum err e = OK;
    int count = 0;

    buf_init(&b, 0);
    if (mute)
        buf_put_c(&b, '\n');
    for (const struct xml_node *n = mute ? xml_first(mute) : NULL; n && !e; n = xml_next(n)) {
        struct jid jid;

        if (!xml_is(n, "chat", NS_PUSH_OWN))
            continue;
        e = ++count > PUSH_MUTED_MAX ? ERR_LIMIT : jid_parse(a, arena_str(a, xml_attr(n, "jid")), &jid);
        if (!e) {
            buf_put_str(&b, jid.bare);
            buf_put_c(&b, '\n');
        }
    }
    *out = b.len && !e ? arena_str(a, buf_str(&b)) : STR("");
    buf_done(&b);
    return e;
}

struct str push_muted_copy(struct str muted) { return str_make(str_dup(muted), muted.len); }

static bool is_listed(struct str list, struct str jid)
{
    while (list.len)
        if (str_eq(str_split(&list, '\n'), jid))
            return true;
    return false;
}

/* XEP-0372 §3.2: the message calls the owner by address. */
static bool mentions(const struct xml_node *m, struct str owner)
{
    const struct str scheme = STR("xmpp:");

    for (const struct xml_node *n = xml_first(m); n; n = xml_next(n)) {
        struct str uri = xml_is(n, "reference", "urn:xmpp:reference:0") ? xml_attr(n, "uri") : STR_NULL;

        if (str_is(xml_attr(n, "type"), "mention") && str_starts(uri, scheme) &&
            str_eq(str_make(uri.p + scheme.len, uri.len - scheme.len), owner))
            return true;
    }
    return false;
}

bool push_is_muted(const struct push_registration *r, const struct push_event *ev, struct str owner)
{
    return ev->kind == PUSH_MESSAGE && is_listed(r->muted, ev->sender) && !mentions(ev->message, owner);
}
