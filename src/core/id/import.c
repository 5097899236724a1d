/* import.c: see import.h. A user is written when all of its element has been seen.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/import.h"
#include "base/clock.h"
#include "base/mem.h"
#include "id/pie.h"
#include "wire/base64.h"

struct importing {
    struct db_conn         *conn;
    struct str              domain;
    int                     iterations;
    struct import_accounts *out;
    import_tell_fn         *tell;
    void                   *arg;
    struct arena            arena;          /* of the user */
    struct str              name, password;
    const char             *refused;        /* why the user is not taken; NULL: it is */
    struct credential       sha1, sha256;
    bool                    has_sha1, has_sha256;
};

static enum err user_begin(struct importing *g, const struct pie_event *e)
{
    struct str host;

    arena_reset(&g->arena);
    g->has_sha1 = g->has_sha256 = false;
    g->refused = NULL;
    g->password = arena_str(&g->arena, xml_attr(e->node, "password"));
    if (jid_prep_domain(&g->arena, e->host, &host) != OK || !str_eq(host, g->domain))
        g->refused = "it is of another domain";
    else if (account_name(&g->arena, e->user, &g->name) != OK)
        g->refused = "its name is not allowed (RFC 7622)";
    return OK;
}

/* ejabberd writes base64 of base64; a key so read has the length of a key. */
static bool read_bytes(struct importing *g, const struct xml_node *n, const char *name, size_t bytes, struct str *out)
{
    struct str text = xml_child_text(&g->arena, n, name, NS_PIE_SCRAM), inner;

    if (!text.p || base64_decode(&g->arena, str_trim(text), out) != OK)
        return false;
    if (out->len != bytes && base64_decode(&g->arena, *out, &inner) == OK && inner.len == bytes)
        *out = inner;
    return out->len == bytes;
}

/* 1.1, "SCRAM credentials". What they are is seen by the length of the keys: Prosody's migrator calls all of them SCRAM-SHA-1. */
static bool read_scram(struct importing *g, const struct xml_node *n, enum digest_kind kind, struct credential *out)
{
    struct str count = xml_child_text(&g->arena, n, "iter-count", NS_PIE_SCRAM), stored, server, salt, inner;
    struct str text = xml_child_text(&g->arena, n, "stored-key", NS_PIE_SCRAM), once;
    uint64_t   iterations;

    *out = (struct credential){ .kind = kind };
    if (!read_bytes(g, n, "stored-key", digest_bytes(kind), &stored) || !read_bytes(g, n, "server-key", digest_bytes(kind), &server))
        return false;
    if (!count.p || !str_to_u64(str_trim(count), &iterations) || iterations < 1 || iterations > SCRAM_ITERATIONS_MAX)
        return false;
    text = str_trim(text);
    salt = xml_child_text(&g->arena, n, "salt", NS_PIE_SCRAM);
    if (!salt.p || base64_decode(&g->arena, str_trim(salt), &salt) != OK)
        return false;
    /* as the keys are written, so is the salt */
    if (base64_decode(&g->arena, text, &once) == OK && once.len != stored.len && base64_decode(&g->arena, salt, &inner) == OK)
        salt = inner;
    if (salt.len == 0 || salt.len > sizeof out->salt)
        return false;
    memcpy(out->salt, salt.p, salt.len);
    memcpy(out->stored_key, stored.p, stored.len);
    memcpy(out->server_key, server.p, server.len);
    out->salt_bytes = salt.len;
    out->iterations = (int)iterations;
    return true;
}

static void take_element(struct importing *g, const struct xml_node *n)
{
    struct credential k;

    if (!xml_is(n, "scram-credentials", NS_PIE_SCRAM) || !str_starts(xml_attr(n, "mechanism"), STR("SCRAM-SHA-")))
        return;
    if (read_scram(g, n, DIGEST_SHA256, &k)) {
        g->sha256 = k;
        g->has_sha256 = true;
    } else if (read_scram(g, n, DIGEST_SHA1, &k)) {
        g->sha1 = k;
        g->has_sha1 = true;
    }
}

/* The password, if there is one, gives both; it is older servers' way. */
static void keys_from_password(struct importing *g)
{
    struct account_keys keys;
    struct str          normal;

    if (account_password(&g->arena, g->password, &normal) != OK)
        return;
    account_keys_make(&keys, normal, g->iterations);
    g->sha1 = keys.sha1;
    g->sha256 = keys.sha256;
    g->has_sha1 = g->has_sha256 = true;
    mem_wipe(&keys, sizeof keys);
}

static enum err user_end(struct importing *g, const struct pie_event *e)
{
    enum err why;

    if (!g->refused) {
        why = account_exists(g->conn, g->name);
        if (why == OK) {
            g->out->there++;
            return OK;
        }
        if (why != ERR_NOT_FOUND)
            return why;
        if (g->password.len)
            keys_from_password(g);
        if (!g->has_sha1 && !g->has_sha256)
            g->refused = "there is no password and no SCRAM credential that can be used";
    }
    if (g->refused) {
        g->out->spoilt++;
        g->tell(g->arg, e->user, g->refused);
        return OK;
    }
    why = account_import(g->conn, g->name, g->has_sha1 ? &g->sha1 : NULL, g->has_sha256 ? &g->sha256 : NULL, clock_us());
    if (why == ERR_EXISTS) {
        g->out->spoilt++;
        g->tell(g->arg, e->user, "an account of that name is being deleted");
        return OK;
    }
    g->out->made += why == OK;
    g->out->sha1_only += why == OK && !g->has_sha256;
    return why;
}

static enum err take(void *arg, const struct pie_event *e)
{
    struct importing *g = arg;

    switch (e->kind) {
    case PIE_USER:
        return user_begin(g, e);
    case PIE_ELEMENT:
        if (!e->inside)
            take_element(g, e->node);
        return OK;
    case PIE_USER_END:
        return user_end(g, e);
    default:
        return OK;      /* told by the messenger's part */
    }
}

enum err import_accounts(struct db_conn *c, const char *path, struct str domain, int iterations, struct import_accounts *out,
                         import_tell_fn *tell, void *arg, struct arena *a, struct str *why)
{
    struct importing g = { .conn = c, .domain = domain, .iterations = iterations, .out = out, .tell = tell, .arg = arg };
    enum err         e;

    *out = (struct import_accounts){ 0 };
    arena_init(&g.arena);
    e = pie_read_all(path, take, &g, a, why);
    arena_done(&g.arena);
    return e;
}
