/* log.h: events with fields, one JSON object or one readable line each, on
 * stderr. Carries no secret and no message text.
 *
 *   LOG_INFO("session.bound", LF_STR("user", user), LF_I64("session", id));
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"
#include "base/err.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_field {
    const char *key;
    enum { LOG_FIELD_STR, LOG_FIELD_I64 } kind;
    struct str  text;
    int64_t     number;
};

#define LF_STR(k, s)  (struct log_field){ .key = (k), .kind = LOG_FIELD_STR, .text = (s) }
#define LF_Z(k, z)    (struct log_field){ .key = (k), .kind = LOG_FIELD_STR, .text = str_of(z) }
#define LF_I64(k, v)  (struct log_field){ .key = (k), .kind = LOG_FIELD_I64, .number = (v) }
#define LF_ERR(e)     LF_Z("error", err_info(e)->name)

/* Events below `level` cost one comparison. `json`: one object per line, else
 * "2026-11-24T01:02:03Z info talk session.bound user=alice session=7".
 * `process` ("talk") must outlive the process. Lines longer than 4 KiB are cut. */
void log_setup(const char *process, enum log_level level, bool json);
extern enum log_level log_level_min;
void log_event(enum log_level level, const char *event, const struct log_field *fields, int field_count);

#define LOG_AT(level, event, ...) do { \
    if ((level) >= log_level_min) { \
        const struct log_field log_fields_[] = { __VA_ARGS__ __VA_OPT__(,) { .key = NULL } }; \
        log_event((level), (event), log_fields_, (int)(sizeof log_fields_ / sizeof log_fields_[0]) - 1); \
    } } while (0)
#define LOG_DEBUG(event, ...) LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define LOG_INFO(event, ...)  LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define LOG_WARN(event, ...)  LOG_AT(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define LOG_ERROR(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)
