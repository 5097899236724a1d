/* admin.h: who may administer the service (XEP-0133): accounts named by the setting talk.admins, and those in the table `admin`,
 * which `bongsu user admin NAME on` and the command "Edit Admin List" change. And what administrators do to sessions.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"

enum { ADMINS_MAX = 100 };      /* in the table */

bool person_is_admin(const struct person *p);
/* Durable before `fn` is called. OK; ERR_LIMIT: there are ADMINS_MAX already, or too much waits. */
typedef void admin_set_fn(struct talk *t, enum err e, void *arg);
void admin_set(struct talk *t, struct str user, bool on, admin_set_fn *fn, void *arg);
/* In an apply, or where no server runs. *full: it was not put there, because ADMINS_MAX are; the transaction goes on. */
enum err admin_write(struct db_conn *c, struct str user, bool on, bool *full);
/* Their names from the table, in `a`. */
enum err admins_read(struct db_conn *c, struct arena *a, struct str names[ADMINS_MAX], int *count);

/* Ends the account's sessions, here, or here and on other workers; `resource` empty: all of them. */
void person_end_here(struct person *p, struct str resource, const char *condition, const char *text);
void person_end_sessions(struct person *p, struct str resource, const char *condition, const char *text);
