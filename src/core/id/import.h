/* import.h: accounts and credentials from XEP-0227 files. What is there already stays as it is, so that the import can be
 * repeated; what a file says of somebody's password counts only when the account is new.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "id/accounts.h"

struct import_accounts {
    int64_t made, there, spoilt;        /* spoilt: no usable name or no usable credential */
    int64_t sha1_only;                  /* of those made: talk.sasl_sha_256 should be off for a while */
};
/* Tells of each user that was not taken. */
typedef void import_tell_fn(void *arg, struct str user, const char *why);
/* `path`: a file or a folder. Users of other hosts than `domain` are told and passed over. */
enum err import_accounts(struct db_conn *c, const char *path, struct str domain, int iterations, struct import_accounts *out,
                         import_tell_fn *tell, void *arg, struct arena *a, struct str *why);
