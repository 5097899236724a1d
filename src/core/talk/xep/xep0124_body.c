/* xep0124_body.c: see xep0124_body.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0124_body.h"
#include "talk/stanza.h"

#define RID_MAX 9007199254740991u       /* §14.1 */
#define NS_FRAMING "urn:ietf:params:xml:ns:xmpp-framing"

enum { SECONDS_MAX = 86400 };

static struct str after_declaration(struct str in)
{
    in = str_trim(in);
    if (str_starts(in, STR("<?xml ")) && str_find(in, '>') >= 0)
        str_split(&in, '>');
    return in;
}

static struct str attr_of(const struct xml_node *n, const char *ns, const char *name)
{
    for (int i = 0; i < n->attr_count; i++)
        if (str_is(n->attrs[i].ns, ns) && str_is(n->attrs[i].name, name))
            return n->attrs[i].value;
    return STR_NULL;
}

static bool is_true(struct str value) { return str_is(value, "true") || str_is(value, "1"); }

/* What is said must be a number; more than `max` is `max`. */
static bool read_number(const struct xml_node *n, const char *name, uint64_t max, uint64_t *out)
{
    struct str value = xml_attr(n, name);

    if (!value.p)
        return true;
    if (!str_to_u64(value, out))
        return false;
    if (*out > max)
        *out = max;
    return true;
}

/* "1.6" */
static bool read_version(const struct xml_node *n, int *minor)
{
    struct str rest = xml_attr(n, "ver");
    uint64_t   major = 0, low = 0;

    *minor = -1;
    if (!rest.p)
        return true;
    if (!str_to_u64(str_split(&rest, '.'), &major) || !str_to_u64(rest, &low))
        return false;
    *minor = major < 1 ? 0 : major > 1 || low > 1000 ? 1000 : (int)low;
    return true;
}

/* It becomes a line of HTTP. */
static bool is_content_type(struct str type)
{
    if (type.len > BOSH_TYPE_BYTES_MAX || (type.p && str_find(type, '/') < 1))
        return false;
    for (size_t i = 0; i < type.len; i++)
        if (type.p[i] < ' ' || type.p[i] > '~')
            return false;
    return true;
}

static bool is_space(struct str text) { return str_trim(text).len == 0; }

static bool payloads_are_fine(const struct xml_node *body)
{
    for (const struct xml_node *n = body->child; n; n = n->next) {
        if (n->name.len == 0 ? !is_space(n->text) : str_is(n->ns, NS_FRAMING))
            return false;
    }
    return true;
}

bool bosh_body_read(struct arena *a, struct str in, struct bosh_body *out)
{
    struct xml_node *n;
    struct str       type;

    *out = (struct bosh_body){ .wait_s = 60, .hold = 1 };
    if (xml_parse(a, after_declaration(in), NULL, &n) != XML_FINE || !xml_is(n, "body", NS_HTTPBIND))
        return false;
    out->sid = xml_attr(n, "sid");
    if (!str_to_u64(xml_attr(n, "rid"), &out->rid) || out->rid == 0 || out->rid > RID_MAX)
        return false;
    out->to = xml_attr(n, "to");
    out->content = xml_attr(n, "content");
    out->lang = n->lang;
    out->version = attr_of(n, NS_XBOSH, "version");
    out->restarts = is_true(attr_of(n, NS_XBOSH, "restart"));
    out->pauses = xml_attr(n, "pause").p != NULL;
    type = xml_attr(n, "type");
    out->terminates = str_is(type, "terminate");
    out->complains = out->terminates && xml_attr(n, "condition").p;
    out->payload = xml_first(n);
    return read_number(n, "wait", SECONDS_MAX, &out->wait_s) && read_number(n, "hold", SECONDS_MAX, &out->hold) &&
           read_number(n, "pause", SECONDS_MAX, &out->pause_s) && read_version(n, &out->minor) && is_content_type(out->content) &&
           payloads_are_fine(n);
}

void bosh_put_payload(struct buf *out, struct xml_node *payload)
{
    xml_rename_ns(payload, NS_HTTPBIND, STR(NS_CLIENT));
    xml_put_node(out, payload, STR_NULL);
}
