/* jid.c: see jid.h. ASCII is judged by one table; anything else goes through
 * libidn. Code points that were unassigned in Unicode 3.2 pass, as a newer
 * emoji in a resource must.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <arpa/inet.h>
#include <idna.h>
#include <stdlib.h>
#include <stringprep.h>
#include "wire/jid.h"

enum { IN_LOCAL = 1, IN_RESOURCE = 2, IN_DOMAIN = 4, UPPER = 8, BEYOND_ASCII = 16 };

/* Forbidden in a localpart: RFC 6122 A.5. In a domain: letters, digits, '-', '.', and
 * '_', which real host names have. */
static const uint8_t class[256] = {
    [' '] = IN_RESOURCE,
    ['!'] = IN_LOCAL | IN_RESOURCE, ['"'] = IN_RESOURCE, ['#' ... '%'] = IN_LOCAL | IN_RESOURCE,
    ['&' ... '\''] = IN_RESOURCE, ['(' ... ','] = IN_LOCAL | IN_RESOURCE,
    ['-' ... '.'] = IN_LOCAL | IN_RESOURCE | IN_DOMAIN, ['/'] = IN_RESOURCE,
    ['0' ... '9'] = IN_LOCAL | IN_RESOURCE | IN_DOMAIN, [':'] = IN_RESOURCE,
    [';'] = IN_LOCAL | IN_RESOURCE, ['<'] = IN_RESOURCE, ['='] = IN_LOCAL | IN_RESOURCE, ['>'] = IN_RESOURCE,
    ['?'] = IN_LOCAL | IN_RESOURCE, ['@'] = IN_RESOURCE,
    ['A' ... 'Z'] = IN_LOCAL | IN_RESOURCE | IN_DOMAIN | UPPER,
    ['[' ... '^'] = IN_LOCAL | IN_RESOURCE, ['_'] = IN_LOCAL | IN_RESOURCE | IN_DOMAIN,
    ['`'] = IN_LOCAL | IN_RESOURCE,
    ['a' ... 'z'] = IN_LOCAL | IN_RESOURCE | IN_DOMAIN,
    ['{' ... '~'] = IN_LOCAL | IN_RESOURCE,
    [0x80 ... 0xFF] = BEYOND_ASCII,
};

struct profile {
    const Stringprep_profile *prep;
    uint8_t                   class;
    bool                      fold;     /* letters become small */
    size_t                    bytes_max;
};

static const struct profile local_profile = { stringprep_xmpp_nodeprep, IN_LOCAL, true, JID_PART_BYTES_MAX };
static const struct profile resource_profile = { stringprep_xmpp_resourceprep, IN_RESOURCE, false, JID_PART_BYTES_MAX };
static const struct profile domain_profile = { stringprep_nameprep, IN_DOMAIN, true, JID_PART_BYTES_MAX };
static const struct profile sasl_profile = { stringprep_saslprep, IN_RESOURCE, false, SASL_TEXT_BYTES_MAX };

/* What all characters of `s` have in common, and with UPPER or BEYOND_ASCII if any has that. */
static uint8_t survey(struct str s, uint8_t allowed)
{
    uint8_t all = allowed, any = 0;

    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = class[(unsigned char)s.p[i]];

        all &= c | (uint8_t)-(c & BEYOND_ASCII ? 1 : 0);
        any |= c;
    }
    return (uint8_t)((all & allowed) | (any & (UPPER | BEYOND_ASCII)));
}

static void put_small(char *to, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        to[i] = class[(unsigned char)s.p[i]] & UPPER ? (char)(s.p[i] + 32) : s.p[i];
}

/* libidn works in place and grows the text; give it room and take what fits. */
static enum err prep_once(struct arena *a, struct str in, const struct profile *p, struct str *out)
{
    size_t room = p->bytes_max * 4 + 1;
    char  *text;

    if (in.len >= room)
        return ERR_INVALID;
    text = arena_alloc(a, room);
    memcpy(text, in.p, in.len);
    text[in.len] = '\0';
    if (stringprep(text, room, 0, p->prep) != STRINGPREP_OK)
        return ERR_INVALID;
    *out = str_of(text);
    return OK;
}

static enum err prep(struct arena *a, struct str in, const struct profile *p, struct str *out)
{
    struct str again;
    uint8_t    found;
    char      *text;
    enum err   e;

    *out = STR_NULL;
    if (in.len == 0 || in.len > p->bytes_max)
        return ERR_INVALID;
    found = survey(in, p->class);
    if (!(found & BEYOND_ASCII)) {
        if (!(found & p->class))
            return ERR_INVALID;
        *out = arena_str(a, in);
        text = (char *)out->p;
        if (p->fold)
            put_small(text, in);
        return OK;
    }
    if (!str_is_utf8(in) || str_find(in, '\0') >= 0)
        return ERR_INVALID;
    e = prep_once(a, in, p, out);
    if (e)
        return e;
    /* An address must stay the same however often it is read. For a few sequences
     * stringprep does not promise that; they are no addresses. */
    e = prep_once(a, *out, p, &again);
    if (e || !str_eq(*out, again) || out->len == 0 || out->len > p->bytes_max) {
        *out = STR_NULL;
        return ERR_INVALID;
    }
    return OK;
}

enum err jid_prep_local(struct arena *a, struct str in, struct str *out) { return prep(a, in, &local_profile, out); }
enum err jid_prep_resource(struct arena *a, struct str in, struct str *out)
{
    return prep(a, in, &resource_profile, out);
}
enum err jid_prep_sasl(struct arena *a, struct str in, struct str *out) { return prep(a, in, &sasl_profile, out); }

/* ---- domains ---- */

/* [v6]: RFC 7622 §3.2 takes the literal of RFC 6874, without a zone. */
static enum err ip_literal(struct arena *a, struct str in, struct str *out)
{
    char            text[INET6_ADDRSTRLEN];
    struct in6_addr ignored;

    if (in.len < 4 || in.p[in.len - 1] != ']' || !str_copy(str_make(in.p + 1, in.len - 2), text, sizeof text) ||
        strlen(text) != in.len - 2 || inet_pton(AF_INET6, text, &ignored) != 1)
        return ERR_INVALID;
    *out = arena_str(a, in);
    put_small((char *)out->p, in);
    return OK;
}

/* No empty labels, none that DNS could not carry. */
static bool labels_fine(struct str domain)
{
    while (domain.p) {
        struct str label = str_split(&domain, '.');

        if (label.len == 0 || (label.len > 63 && !(survey(label, IN_DOMAIN) & BEYOND_ASCII)))
            return false;
        if (!(survey(label, IN_DOMAIN) & IN_DOMAIN))
            return false;
    }
    return true;
}

static bool has_a_label(struct str domain)
{
    while (domain.p) {
        struct str label = str_split(&domain, '.');

        if (label.len > 4 && str_eq_nocase(str_make(label.p, 4), STR("xn--")))
            return true;
    }
    return false;
}

/* A-labels and U-labels are one name; the U-label is the normal form (RFC 7622 §3.2.1). */
static enum err to_u_labels(struct arena *a, struct str *domain)
{
    char *in = str_dup(*domain), *unicode = NULL;
    int   failed = idna_to_unicode_8z8z(in, &unicode, IDNA_ALLOW_UNASSIGNED);

    free(in);
    if (failed)
        return ERR_INVALID;
    *domain = arena_str(a, str_of(unicode));
    free(unicode);
    return OK;
}

enum err jid_domain_ascii(struct arena *a, struct str domain, struct str *out)
{
    char *in = str_dup(domain), *ascii = NULL;
    int   failed = idna_to_ascii_8z(in, &ascii, IDNA_ALLOW_UNASSIGNED);

    free(in);
    if (failed)
        return ERR_INVALID;
    *out = arena_str(a, str_of(ascii));
    free(ascii);
    return OK;
}

/* U+3002 is a dot to people (RFC 3490 §3.1). */
static struct str dots(struct str domain)
{
    char  *p = (char *)domain.p;
    size_t n = 0;

    for (size_t i = 0; i < domain.len; i++) {
        bool ideographic = domain.len - i >= 3 && memcmp(p + i, "\xE3\x80\x82", 3) == 0;

        p[n++] = ideographic ? '.' : p[i];
        i += ideographic ? 2 : 0;
    }
    p[n] = '\0';
    return str_make(p, n);
}

enum err jid_prep_domain(struct arena *a, struct str in, struct str *out)
{
    struct str domain;
    enum err   e;

    *out = STR_NULL;
    if (in.len && in.p[0] == '[')
        return ip_literal(a, in, out);
    e = prep(a, in, &domain_profile, &domain);
    if (e)
        return e;
    domain = dots(domain);
    if (has_a_label(domain)) {
        e = to_u_labels(a, &domain);
        if (e)
            return e;
        e = prep(a, domain, &domain_profile, &domain);
        if (e || has_a_label(domain))
            return ERR_INVALID;
    }
    if (domain.len && domain.p[domain.len - 1] == '.')
        domain.len--;
    if (!labels_fine(domain))
        return ERR_INVALID;
    *out = domain;
    return OK;
}

bool jid_domain_is_within(struct str domain, struct str top)
{
    if (str_eq(domain, top))
        return true;
    return domain.len > top.len + 1 && str_ends(domain, top) && domain.p[domain.len - top.len - 1] == '.';
}

/* ---- whole addresses ---- */

static void lay_out(struct jid *j, const char *p, size_t local, size_t domain, size_t resource)
{
    size_t at = local ? local + 1 : 0;

    j->local = str_make(p, local);
    j->domain = str_make(p + at, domain);
    j->bare = str_make(p, at + domain);
    j->resource = resource ? str_make(p + j->bare.len + 1, resource) : str_make(p + j->bare.len, 0);
    j->full = str_make(p, j->bare.len + (resource ? 1 + resource : 0));
}

/* Joins parts that are normal already. */
static void join(struct arena *a, struct str local, struct str domain, struct str resource, struct jid *out)
{
    char *p = arena_alloc(a, local.len + domain.len + resource.len + 3), *at = p;

    if (local.len) {
        at = mempcpy(at, local.p, local.len);
        *at++ = '@';
    }
    at = mempcpy(at, domain.p, domain.len);
    if (resource.len) {
        *at++ = '/';
        at = mempcpy(at, resource.p, resource.len);
    }
    *at = '\0';
    lay_out(out, p, local.len, domain.len, resource.len);
}

static bool plain_part(struct str s, uint8_t allowed)
{
    return s.len <= JID_PART_BYTES_MAX && (survey(s, allowed) & (allowed | BEYOND_ASCII)) == allowed;
}

/* ASCII whose domain needs nothing but small letters. */
static bool plain(struct str local, struct str domain, struct str resource)
{
    return plain_part(local, IN_LOCAL) && plain_part(domain, IN_DOMAIN) && plain_part(resource, IN_RESOURCE) &&
           domain.p[domain.len - 1] != '.' && labels_fine(domain) && !has_a_label(domain);
}

enum err jid_make(struct arena *a, struct str local, struct str domain, struct str resource, struct jid *out)
{
    enum err e;

    *out = (struct jid){ 0 };
    if (domain.len == 0)
        return ERR_INVALID;
    if (plain(local, domain, resource)) {
        join(a, local, domain, resource, out);
        put_small((char *)out->bare.p, out->bare);
        return OK;
    }
    if (local.len && (e = jid_prep_local(a, local, &local)))
        return e;
    e = jid_prep_domain(a, domain, &domain);
    if (e)
        return e;
    if (resource.len && (e = jid_prep_resource(a, resource, &resource)))
        return e;
    join(a, local, domain, resource, out);
    return OK;
}

/* RFC 7622 §3.2: the resource begins at the first '/', the domain behind the first '@' before it. */
enum err jid_parse(struct arena *a, struct str text, struct jid *out)
{
    struct str local = STR_NULL, domain = text, resource = STR_NULL;
    ptrdiff_t  slash = str_find(text, '/'), at;

    *out = (struct jid){ 0 };
    if (slash >= 0) {
        domain.len = (size_t)slash;
        resource = str_make(text.p + slash + 1, text.len - (size_t)slash - 1);
        if (resource.len == 0)
            return ERR_INVALID;
    }
    at = str_find(domain, '@');
    if (at >= 0) {
        local = str_make(domain.p, (size_t)at);
        domain = str_make(domain.p + at + 1, domain.len - (size_t)at - 1);
        if (local.len == 0)
            return ERR_INVALID;
    }
    return jid_make(a, local, domain, resource, out);
}
