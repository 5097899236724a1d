/* components.c: see components.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/components.h"
#include "wire/jid.h"

/* The hosts of ours (host.h); a test keeps this equal to the feature tables. */
static const char *const taken[] = { "rooms", "pubsub", "upload", "push", "users" };

static bool is_taken(struct str name, struct str domain)
{
    struct str first = name, rest;

    if (str_eq(name, domain))
        return true;
    rest = first;
    first = str_split(&rest, '.');
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (str_is(first, taken[i]) && str_eq(rest, domain))
            return true;
    return false;
}

/* XEP-0114 §3 wants what XML escapes to be escaped before it is hashed, and nobody does that: such secrets would not be understood. */
static bool secret_is_plain(struct str s)
{
    if (s.len > COMPONENT_SECRET_BYTES_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f || strchr("&<>'\"", s.p[i]))
            return false;
    return true;
}

/* What is wrong with the entry; NULL: nothing. Only a name that is one is told: a secret may stand in its place. */
static const char *entry_read(struct arena *a, struct str domain, struct str entry, struct component_named *out)
{
    struct str rest = entry, name = str_split(&rest, ' ');

    if (!entry.len)
        return "is empty";
    if (jid_prep_domain(a, name, &out->domain) != OK || !jid_domain_is_within(out->domain, domain)) {
        out->domain = STR_NULL;
        return "does not begin with a name below the domain";
    }
    out->secret = str_trim(rest);
    if (is_taken(out->domain, domain))
        return "has a name that is the server's own";
    if (!out->secret.len)
        return "has no secret: write the name, a space, and the secret";
    return secret_is_plain(out->secret) ? NULL : "has a secret with a space, a control character, or one of & < > ' \", or that is too long";
}

enum err components_read(struct arena *a, struct str domain, const char *text, struct component_named out[COMPONENTS_MAX], int *count,
                         struct str *why)
{
    struct str list = str_trim(str_of(text));
    int        n = 0;

    *count = 0;
    for (bool more = list.len > 0; more; n++) {
        struct component_named *c = &out[n];
        const char             *wrong;

        if (n == COMPONENTS_MAX) {
            *why = arena_printf(a, "talk.components has more than %d entries", COMPONENTS_MAX);
            return ERR_INVALID;
        }
        *c = (struct component_named){ 0 };
        wrong = entry_read(a, domain, str_trim(str_split(&list, ',')), c);
        for (int i = 0; i < n && !wrong; i++)
            if (str_eq(out[i].domain, c->domain))
                wrong = "names somebody who stands there already";
        if (wrong) {
            *why = arena_printf(a, "talk.components: entry %d%s%.*s%s %s", n + 1, c->domain.len ? " (" : "", STR_ARG(c->domain),
                                c->domain.len ? ")" : "", wrong);
            return ERR_INVALID;
        }
        more = list.p != NULL;
    }
    *count = n;
    return OK;
}
