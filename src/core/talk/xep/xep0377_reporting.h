/* xep0377_reporting.h: reports of spam and abuse, made while blocking; kept for the operator.
 *
 *   report(id, at_us, owner, reporter, about, reason, text, forward)     id rises with time
 *   report_message(report, n, stanza)                             the messages it names, as they were then
 *
 * Bounded: the oldest of REPORTS_MAX goes, and one account adds REPORTS_PER_DAY_MAX a day; the block holds in any case.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "db/db.h"
#include "wire/xml.h"

enum {
    REPORTS_MAX = 10000,
    REPORTS_PER_DAY_MAX = 50,
    REPORT_MESSAGES_MAX = 10,       /* of one report */
    REPORT_REASON_BYTES_MAX = 255,
    REPORT_TEXT_BYTES_MAX = 2000,
    REPORT_PAGE_MAX = 200,
};

/* ---- for xep0191_blocking.c ---- */

struct report;      /* several, one behind the other, in an arena */
/* Looks for <report/> in a block's <item/> of `about`. NULL: fine; else the condition to answer with. */
const char *report_look(struct arena *a, const struct xml_node *item, struct str about, struct report **list);
/* In the apply that blocks. `reporter` is a bare JID, `owner` its number. */
enum err report_apply(struct db_conn *c, const struct report *list, struct str reporter, int64_t owner);

/* ---- for the operator ---- */

enum { REPORT_TO_ORIGIN = 1, REPORT_TO_THIRD_PARTY = 2 };     /* what the reporter allows (§5) */
struct report_row {
    int64_t    id, at_us;
    struct str reporter, about, reason, text;
    unsigned   forward;
    int        message_count;
    struct str messages[REPORT_MESSAGES_MAX];
};
/* On any connection: up to `max` before `before_id` (0: from the newest), newest first; in `a`. */
enum err reports_read(struct db_conn *c, struct arena *a, int64_t before_id, int max, struct report_row **rows, int *count);
enum err report_delete(struct db_conn *c, int64_t id);      /* dealt with; ERR_NOT_FOUND never */
