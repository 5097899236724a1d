/* client.h: asking web for a slot, from talk.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "bus/bus.h"

enum { FILES_ASK_MS = 5000 };

/* With ERR_LIMIT. */
enum files_refusal {
    FILES_TOO_LARGE = 1,    /* value: the largest size possible */
    FILES_ACCOUNT_FULL,     /* all files of the account together; value: how many bytes would still fit */
    FILES_DAY_FULL,         /* value: when it is worth another try, microseconds UTC */
};

struct files_slot {         /* OK: */
    struct str         url, token;      /* both PUT and GET; the token goes into Authorization: Bearer */
    enum files_refusal why;
    int64_t            value;
};
/* `e`: OK; ERR_LIMIT; ERR_INVALID: no name or no media type; ERR_UNAVAILABLE and the like: web could not be asked. The answer is borrowed. */
typedef void files_slot_fn(void *arg, enum err e, const struct files_slot *s);
/* `type`: empty if none was named. */
enum err files_slot_ask(struct bus *b, struct str owner, struct str name, int64_t bytes, struct str type, files_slot_fn *fn, void *arg);

/* An account's own files, for its export: export.h. `dir` is there. */
enum { FILES_EXPORT_MS = 3600 * 1000 };
typedef void files_export_fn(void *arg, enum err e, int64_t count, int64_t bytes);
enum err files_export_ask(struct bus *b, struct str owner, struct str dir, files_export_fn *fn, void *arg);
