/* owned.h: where rows of people are: the list that proves a deletion. Each table of the message database is either in a feature's
 * list or in the short one of owned.c that says why it holds nothing of anybody (test_owned).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "db/db.h"

struct owned {
    const char *table;
    const char *where;      /* ?1: the person's number, ?2: the local part, ?3: the bare address; NULL: "owner = ?1" */
};

/* The person's number, also of one who is deleted; 0: nobody has ever had to do with the address. */
enum err owned_number(struct db_conn *c, struct str user, struct str bare, int64_t *out);
/* Calls `fn` for each table with how many rows there are. */
typedef void owned_fn(void *arg, const char *table, int64_t rows);
enum err owned_count(struct db_conn *c, int64_t number, struct str user, struct str bare, owned_fn *fn, void *arg);
/* What others keep for themselves, and messages that nobody keeps and that go within two days. */
struct owned_by_others { int64_t messages, loose, contacts; };
enum err owned_others(struct db_conn *c, int64_t number, struct str bare, struct owned_by_others *out);
bool owned_is_told(struct str table);       /* somebody has said what is in it */
