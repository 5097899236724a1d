/* invite.c: see invite.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/invite.h"
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "talk/person.h"
#include "talk/subscription.h"
#include "talk/xep/xep0191_blocking.h"

enum { STATE_OPEN, STATE_CLAIMED, STATE_FRIENDS };
enum { CLAIM_S = 60, KEPT_AFTER_S = 86400, LOOK_EVERY_S = 60, LOOK_AGAIN_S = 2, HASH_BYTES = 32 };

const struct db_migration invite_migrations[] = {
    { 1, "invite",
      "CREATE TABLE invite(hash TEXT PRIMARY KEY, inviter TEXT NOT NULL, username TEXT NOT NULL, may INTEGER NOT NULL,"
      " expires_us INTEGER NOT NULL, state INTEGER NOT NULL, used_by TEXT NOT NULL, claimed_us INTEGER NOT NULL) WITHOUT ROWID;"
      "CREATE INDEX invite_by_inviter ON invite(inviter);"
      "CREATE INDEX invite_by_username ON invite(username);" },
    { 0 },
};

/* ---- tokens ---- */

void invite_token_make(char out[INVITE_TOKEN_CHARS + 1])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t           bytes[INVITE_TOKEN_CHARS];

    random_bytes(bytes, sizeof bytes);
    for (int i = 0; i < INVITE_TOKEN_CHARS; i++)
        out[i] = letters[bytes[i] & 31];
    out[INVITE_TOKEN_CHARS] = '\0';
}

struct hash { char text[2 * HASH_BYTES + 1]; };

static struct str hash_of(struct str token, struct hash *out)
{
    uint8_t bytes[DIGEST_BYTES_MAX];

    digest(DIGEST_SHA256, token, bytes);
    *hex_write(out->text, bytes, HASH_BYTES) = '\0';
    return str_of(out->text);
}

/* ---- rows ---- */

static struct db_sql invite_insert = {
    "INSERT INTO invite(hash, inviter, username, may, expires_us, state, used_by, claimed_us) VALUES (?1, ?2, ?3, ?4, ?5, 0, '', 0)" };
static struct db_sql invite_count = {
    "SELECT count(*) FROM invite WHERE inviter = ?1 AND inviter <> '' AND state <> 2 AND expires_us > ?2" };
static struct db_sql invite_select = {
    "SELECT may, inviter, username, expires_us FROM invite WHERE hash = ?1 AND expires_us > ?2 AND (state = 0 OR (state = 1 AND claimed_us < ?3))" };
static struct db_sql invite_named = {
    "SELECT 1 FROM invite WHERE username = ?1 AND username <> '' AND hash <> ?2 AND expires_us > ?3 AND state <> 2 LIMIT 1" };
static struct db_sql claim_update = {
    "UPDATE invite SET state = 1, used_by = ?2, claimed_us = ?3 WHERE hash = ?1 AND (state = 0 OR (state = 1 AND claimed_us < ?4))" };
static struct db_sql release_update = { "UPDATE invite SET state = 0, used_by = '', claimed_us = 0 WHERE hash = ?1 AND state = 1" };
static struct db_sql used_friends = { "UPDATE invite SET state = 2, used_by = ?2 WHERE hash = ?1 AND (may / 2) % 2 = 1 AND inviter <> ''" };
static struct db_sql used_delete = { "DELETE FROM invite WHERE hash = ?1 AND state <> 2" };
static struct db_sql contact_update = {
    "UPDATE invite SET state = 1, used_by = ?3, claimed_us = 9000000000000000 WHERE hash = ?1 AND inviter = ?2 AND (may / 2) % 2 = 1"
    " AND expires_us > ?4 AND (state = 0 OR used_by = ?3 OR (state = 1 AND claimed_us < ?5))" };
static struct db_sql invite_expired = { "DELETE FROM invite WHERE expires_us < ?1 AND state <> 2" };
static struct db_sql friends_select = { "SELECT hash, inviter, used_by FROM invite WHERE state = 2 AND hash > ?1 ORDER BY hash LIMIT 1" };
static struct db_sql friends_delete = { "DELETE FROM invite WHERE hash = ?1" };

bool invite_holds(struct db_conn *c, struct str username, struct str but_token, int64_t now_us)
{
    struct db_stmt *s;
    struct hash     h;
    enum err        e = db_get(c, &s, &invite_named, "ssi", username, hash_of(but_token, &h), now_us);

    if (s)
        db_done(s);
    return e == OK;
}

enum err invite_put(struct db_conn *c, struct str token, const struct invite *i, int64_t now_us)
{
    struct db_stmt *s;
    struct hash     h;
    enum err        e = db_get(c, &s, &invite_count, "si", i->inviter, now_us);
    int64_t         open = e ? 0 : db_i64(s, 0);

    if (s)
        db_done(s);
    if (e)
        return e;
    if (open >= INVITES_PER_PERSON_MAX)
        return ERR_LIMIT;
    if (invite_holds(c, i->username, token, now_us))
        return ERR_EXISTS;
    return db_run(c, &invite_insert, "sssii", hash_of(token, &h), i->inviter, i->username, (int64_t)i->may, i->expires_us);
}

static int64_t claims_before(int64_t now_us)
{
    return now_us - CLAIM_S * 1000000LL;
}

enum err invite_get(struct db_conn *c, struct arena *a, struct str token, int64_t now_us, struct invite *out)
{
    struct db_stmt *s;
    struct hash     h;
    enum err        e = db_get(c, &s, &invite_select, "sii", hash_of(token, &h), now_us, claims_before(now_us));

    if (!e)
        *out = (struct invite){ .may = (unsigned)db_i64(s, 0), .inviter = arena_str(a, db_text(s, 1)),
                                .username = arena_str(a, db_text(s, 2)), .expires_us = db_i64(s, 3) };
    if (s)
        db_done(s);
    return e;
}

/* On PostgreSQL db_changes of a statement that travels with its batch is not known yet: what it did is looked up. */
static struct db_sql claimed_by = { "SELECT 1 FROM invite WHERE hash = ?1 AND used_by = ?2 AND state = 1" };

static enum err is_claimed(struct db_conn *c, struct str hash, struct str by)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &claimed_by, "ss", hash, by);

    if (s)
        db_done(s);
    return e;
}

enum err invite_claim(struct db_conn *c, struct str token, struct str by, int64_t now_us)
{
    struct hash h;
    struct str  hash = hash_of(token, &h);
    enum err    e = db_run(c, &claim_update, "ssii", hash, by, now_us, claims_before(now_us));

    return e ? e : is_claimed(c, hash, by);
}

enum err invite_release(struct db_conn *c, struct str token)
{
    struct hash h;

    return db_run(c, &release_update, "s", hash_of(token, &h));
}

enum err invite_used(struct db_conn *c, struct str token, struct str by)
{
    struct hash h;
    struct str  hash = hash_of(token, &h);
    enum err    e = db_run(c, &used_friends, "ss", hash, by);

    return e ? e : db_run(c, &used_delete, "s", hash);
}

enum err invite_contact(struct db_conn *c, struct str token, struct str inviter, struct str by, int64_t now_us)
{
    struct hash h;
    struct str  hash = hash_of(token, &h);
    enum err    e = db_run(c, &contact_update, "sssii", hash, inviter, by, now_us, claims_before(now_us));

    return e ? e : is_claimed(c, hash, by);
}

/* ---- the link ---- */

/* RFC 5122 §2.2: what may stand in a local part as it is. */
static void put_local(struct buf *b, struct str local)
{
    for (size_t i = 0; i < local.len; i++) {
        unsigned char c = (unsigned char)local.p[i];
        bool          plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || memchr("-._~!$*+", c, 8);

        if (plain)
            buf_put_c(b, (char)c);
        else
            buf_printf(b, "%%%02X", c);
    }
}

static void put_target(struct buf *b, const struct invite *i, struct str domain, struct str token)
{
    bool       contact = (i->may & INVITE_CONTACT) && i->username.len == 0;
    struct str local = contact ? i->inviter : i->username;

    put_local(b, local);
    if (local.len)
        buf_put_c(b, '@');
    buf_put_str(b, domain);
    buf_put_z(b, contact ? "?roster;preauth=" : "?register;preauth=");
    buf_put_str(b, token);
    if (contact && (i->may & INVITE_ACCOUNT))
        BUF_LIT(b, ";ibr=y");
}

void invite_put_uri(struct buf *b, const struct invite *i, struct str domain, struct str token)
{
    BUF_LIT(b, "xmpp:");
    put_target(b, i, domain, token);
}

void invite_put_page(struct buf *b, const char *page, const struct invite *i, struct str domain, struct str token)
{
    buf_put_z(b, page);
    buf_put_c(b, '#');
    put_target(b, i, domain, token);
}

/* ---- friends ----
 * Two accounts on their way to see each other: the row stays until their lists say that they do, so a crash or another
 * messenger's change in between delays it. */

struct friends {
    struct db_read read;
    struct change  change;
    struct talk   *t;
    struct arena   arena;
    struct str     hash, inviter, guest;
    struct person *one;
};

static void look_from(struct talk *t, struct str hash);

static void friends_end(struct friends *f, bool goes_on)
{
    struct talk *t = f->t;
    struct arena a = f->arena;

    if (f->one)
        person_unref(f->one);
    t->invites_busy = false;
    if (!goes_on && t->invites_again) {         /* one was used meanwhile */
        t->invites_again = false;
        f->hash = STR("");
        goes_on = true;
    }
    if (goes_on && !t->stopping)
        look_from(t, f->hash);
    arena_done(&a);
    free(f);
}

static enum err forget_apply(struct db_conn *c, struct change *ch)
{
    return db_run(c, &friends_delete, "s", LIST_ITEM(ch, struct friends, change)->hash);
}

static void forgotten(struct talk *t, struct change *ch, enum err e)
{
    (void)t;
    friends_end(LIST_ITEM(ch, struct friends, change), e == OK);
}

static void forget(struct friends *f)
{
    f->change = (struct change){ .apply = forget_apply, .done = forgotten };
    if (session_change(NULL, f->t, &f->change) != OK)
        friends_end(f, false);
}

static bool see_each_other(struct person *a, struct person *b)
{
    const struct roster_item *x = person_item(a, b->jid.bare), *y = person_item(b, a->jid.bare);

    return x && y && x->subscription == SUB_BOTH && y->subscription == SUB_BOTH;
}

static void guest_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct friends *f = arg;

    if (e == ERR_NOT_FOUND || (p && (see_each_other(f->one, p) || blocking_between(f->one, p)))) {
        forget(f);
        return;
    }
    if (!e && subscription_befriend(t, NULL, f->one, p, true, NULL))
        t->invite_look_in_s = LOOK_AGAIN_S;     /* whether it held */
    friends_end(f, true);
}

static void inviter_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct friends *f = arg;

    if (e == ERR_NOT_FOUND) {
        forget(f);
    } else if (e) {
        friends_end(f, true);
    } else {
        person_ref(p);
        f->one = p;
        person_find(t, f->guest, guest_found, f);
    }
}

static enum err friends_work(struct db_conn *c, struct db_read *read)
{
    struct friends *f = LIST_ITEM(read, struct friends, read);
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &friends_select, "s", f->hash);

    if (!e) {
        f->hash = arena_str(&f->arena, db_text(s, 0));
        f->inviter = arena_str(&f->arena, db_text(s, 1));
        f->guest = arena_str(&f->arena, db_text(s, 2));
    }
    if (s)
        db_done(s);
    return e;
}

static void friends_read(struct db_read *read, enum err e)
{
    struct friends *f = LIST_ITEM(read, struct friends, read);

    if (e)
        friends_end(f, false);
    else
        person_find(f->t, f->inviter, inviter_found, f);
}

static void look_from(struct talk *t, struct str hash)
{
    struct friends *f = NEW(struct friends);

    f->t = t;
    arena_init(&f->arena);
    f->hash = arena_str(&f->arena, hash);
    f->read = (struct db_read){ .work = friends_work, .done = friends_read };
    t->invites_busy = true;
    if (db_read_start(t->db, &f->read) != OK)
        friends_end(f, false);
}

/* ---- in time ---- */

static enum err expire_apply(struct db_conn *c, struct change *ch)
{
    (void)ch;
    return db_run(c, &invite_expired, "i", clock_us() - KEPT_AFTER_S * 1000000LL);
}

static void expired(struct talk *t, struct change *ch, enum err e)
{
    (void)t;
    (void)e;
    free(ch);
}

void invite_look(struct talk *t)
{
    t->invite_look_in_s = LOOK_EVERY_S;
    t->invites_again = t->invites_busy;
    if (!t->invites_busy && !t->stopping)
        look_from(t, STR(""));
}

void invite_tick(struct talk *t)
{
    enum { HOUR_S = 3600 };

    if (--t->invite_look_in_s <= 0)
        invite_look(t);
    if (--t->invite_expire_in_s <= 0 && !t->stopping) {
        struct change *c = NEW(struct change);

        t->invite_expire_in_s = HOUR_S;
        c->apply = expire_apply;
        c->done = expired;
        if (session_change(NULL, t, c) != OK)
            free(c);
    }
}
