/* pg_text.h: the common SQL of db.h in PostgreSQL's words.
 *
 *   ?3                    $3
 *   INTEGER, BIGINT, INT  bigint
 *   BLOB, x'00ff'         bytea, '\x00ff'::bytea
 *   TEXT                  text, with COLLATE "C" where a column is made: both engines sort bytes
 *   WITHOUT ROWID         (nothing)
 *   CROSS JOIN x ON       JOIN x ON          SQLite's way to fix the order of a join
 *   zeroblob(n)           decode(repeat('00', n), 'hex')
 *   user                  "user"             a function there
 *
 * Types are meant where they are written in capitals, names in small letters.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { PG_PARAMS_MAX = 32 };

/* Translates the first statement of `rest`, without its ';', and leaves what follows. An empty `out` is an empty
 * statement. ERR_INVALID: a quote or comment has no end, or a parameter is not ?1 to ?32. */
enum err pg_text_next(struct str *rest, struct buf *out);
/* Whether the statement changes something, by its first word. */
bool     pg_text_writes(const char *sql);
