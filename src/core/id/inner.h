/* inner.h: what the files of the service share. Not for other folders.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/hash.h"
#include "db/commit.h"
#include "net/pool.h"
#include "id/limits.h"
#include "id/payload.h"
#include "id/sasl.h"
#include "id/service.h"
#include "id/webauthn.h"

struct ident {
    struct loop    *loop;
    struct bus     *bus;
    struct db      *db;
    struct pool *pool;
    struct ident_options o;
    char           *domain;             /* the option's text, ours */
    uint8_t         secret[IDENT_SECRET_BYTES];
    char           *rp_id, *origins;    /* the party's texts */
    struct webauthn_party party;
    struct sasl_env env;
    struct arena    arena;              /* of the request in hand */
    struct buf      out;                /* of the answer in hand */
    /* logins.c */
    struct intmap   logins;             /* exchange → struct login */
    struct list     idle;               /* logins that wait for their client, oldest first */
    struct timer    expiry;
    struct limits   by_address, by_user;
    /* changes.c */
    struct limits   registrations;
    int             change_count;
    struct timer    deletions;          /* tells of those that are not done… */
    int64_t         deletions_rest_us;  /* …for so long */
};

/* One subject's handler. `r` is open behind the version byte. Answers `rq` now or later. */
typedef void ident_handler_fn(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload);

ident_handler_fn logins_start, logins_step, logins_abort;
ident_handler_fn users_exists, users_register, users_password, users_delete;
ident_handler_fn users_add, users_disable, users_list, users_list_disabled, users_count, users_forgotten, ident_backup;
ident_handler_fn ident_key_give, devices_list, devices_end;
ident_handler_fn passkeys_ticket, passkeys_challenge, passkeys_login, passkeys_list, passkeys_offer, passkeys_add, passkeys_rename;
ident_handler_fn passkeys_remove, passkeys_password_remove, passkeys_of, passkeys_clear;

void users_init(struct ident *id);
void users_done(struct ident *id);
void logins_init(struct ident *id);
void logins_done(struct ident *id);     /* those that wait for their client */
