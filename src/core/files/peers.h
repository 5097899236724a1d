/* peers.h: the other sites, see peers.c. Not for other folders.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "files/inner.h"

enum err peers_init(struct store *st, const struct settings *s, struct arena *a, struct str *why);
void     peers_stop(struct store *st);         /* while the index is open */
void     peers_free(struct store *st);         /* when it is closed */
bool     peers_reachable(const struct store *st);      /* one answered the last time */
void     peers_wake(struct store *st);         /* there is something owed */
/* Asks the other sites for a file that is not here; answers `x` when it is clear. False: nobody to ask. */
bool     peers_fetch(struct store *st, const uint8_t id[SLOT_ID_BYTES], struct http_exchange *x, const struct http_request *r,
                     struct str name);
/* Inside a commit operation: what became whole, or is to be forgotten, is owed to every peer. */
enum err peers_owe(struct store *st, struct db_conn *c, const uint8_t id[SLOT_ID_BYTES]);
