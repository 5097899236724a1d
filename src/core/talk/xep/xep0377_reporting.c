/* XEP-0377 Spam Reporting 0.4.1: a report rides on a block. See xep0377_reporting.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0377_reporting.h"
#include "base/clock.h"
#include "base/metric.h"
#include "crypto/digest.h"
#include "talk/archive.h"
#include "talk/archive_id.h"
#include "talk/feature.h"
#include "talk/owned.h"

#define NS_REPORTING "urn:xmpp:reporting:1"
#define NS_SID       "urn:xmpp:sid:0"

METRIC_COUNTER(reports_made, "bongsu_talk_reports", "Reports of spam and abuse.");

static const struct db_migration reporting_migrations[] = {
    { 1, "report",
      "CREATE TABLE report(id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, owner INTEGER NOT NULL, reporter TEXT NOT NULL, about TEXT NOT NULL,"
      " reason TEXT NOT NULL, text TEXT NOT NULL, forward INTEGER NOT NULL);"
      "CREATE INDEX report_by_owner ON report(owner, id);"
      "CREATE TABLE report_message(report INTEGER NOT NULL, n INTEGER NOT NULL, stanza TEXT NOT NULL, PRIMARY KEY(report, n)) WITHOUT ROWID;" },
    { 0 },
};

/* ---- from the stanza ---- */

struct report {
    struct report *next;
    int64_t        id;
    struct str     about, reason, text;
    unsigned       forward;
    int            message_count;
    int64_t        messages[REPORT_MESSAGES_MAX];      /* as clients know them */
};

/* Whole characters only. */
static struct str shortened(struct str s, size_t bytes_max)
{
    if (s.len <= bytes_max)
        return s;
    s.len = bytes_max;
    while (s.len && ((unsigned char)s.p[s.len] & 0xC0) == 0x80)
        s.len--;
    return s;
}

static void read_messages(struct report *r, const struct xml_node *n)
{
    for (const struct xml_node *x = xml_first(n); x && r->message_count < REPORT_MESSAGES_MAX; x = xml_next(x))
        if (xml_is(x, "stanza-id", NS_SID) && archive_id_parse(xml_attr(x, "id"), &r->messages[r->message_count]))
            r->message_count++;
}

const char *report_look(struct arena *a, const struct xml_node *item, struct str about, struct report **list)
{
    const struct xml_node *n = xml_child(item, "report", NS_REPORTING);
    struct str             reason = n ? xml_attr(n, "reason") : STR_NULL;
    struct report         *r;

    if (!n)
        return NULL;
    if (reason.len == 0 || reason.len > REPORT_REASON_BYTES_MAX)
        return "bad-request";       /* §4: a report says why */
    r = ARENA_NEW(a, struct report);
    r->id = clock_us() << 8 | (int64_t)(random_u64() & 255);
    r->about = about;
    r->reason = arena_str(a, reason);
    r->text = shortened(arena_str(a, str_trim(xml_child_text(a, n, "text", NS_REPORTING))), REPORT_TEXT_BYTES_MAX);
    if (!r->text.p)
        r->text = STR("");
    r->forward = (xml_child(n, "report-origin", NS_REPORTING) ? REPORT_TO_ORIGIN : 0) |
                 (xml_child(n, "third-party", NS_REPORTING) ? REPORT_TO_THIRD_PARTY : 0);
    read_messages(r, n);
    r->next = *list;
    *list = r;
    return NULL;
}

/* ---- kept ---- */

static struct db_sql report_insert = {
    "INSERT INTO report(id, at_us, owner, reporter, about, reason, text, forward) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8"
    " WHERE (SELECT count(*) FROM report WHERE owner = ?3 AND id > ?9) < ?10 ON CONFLICT DO NOTHING" };
/* Only what is in the reporter's own archive. */
static struct db_sql message_insert = {
    "INSERT INTO report_message(report, n, stanza) SELECT ?1, ?2, m.stanza FROM message m WHERE m.id = ?3"
    " AND ((m.sender = ?4 AND (m.keeps & 1) <> 0) OR (m.recipient = ?4 AND (m.keeps & 2) <> 0))"
    " AND EXISTS (SELECT 1 FROM report r WHERE r.id = ?1) ON CONFLICT DO NOTHING" };
static struct db_sql oldest = {
    "SELECT id FROM report ORDER BY id DESC LIMIT 1 OFFSET ?1" };
static struct db_sql messages_cut = { "DELETE FROM report_message WHERE report <= ?1" };
static struct db_sql reports_cut = { "DELETE FROM report WHERE id <= ?1" };

static enum err cut(struct db_conn *c)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &oldest, "i", (int64_t)REPORTS_MAX);
    int64_t         id = e ? 0 : db_i64(s, 0);

    if (s)
        db_done(s);
    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    e = db_run(c, &messages_cut, "i", id);
    return e ? e : db_run(c, &reports_cut, "i", id);
}

static enum err keep(struct db_conn *c, const struct report *r, struct str reporter, int64_t owner)
{
    int64_t  at_us = r->id >> 8, since = (at_us - 86400LL * 1000000) << 8;
    enum err e = db_run(c, &report_insert, "iiissssiii", r->id, at_us, owner, reporter, r->about, r->reason, r->text, (int64_t)r->forward, since,
                        (int64_t)REPORTS_PER_DAY_MAX);

    for (int i = 0; i < r->message_count && !e; i++)
        e = db_run(c, &message_insert, "iiii", r->id, (int64_t)i, archive_place(c, r->messages[i]), owner);
    metric_add(&reports_made, 1);
    return e;
}

enum err report_apply(struct db_conn *c, const struct report *list, struct str reporter, int64_t owner)
{
    enum err e = OK;

    for (const struct report *r = list; r && !e; r = r->next)
        e = keep(c, r, reporter, owner);
    return e || !list ? e : cut(c);
}

/* ---- for the operator ---- */

static struct db_sql reports_select = {
    "SELECT id, at_us, reporter, about, reason, text, forward FROM report WHERE id < ?1 ORDER BY id DESC LIMIT ?2" };
static struct db_sql messages_select = { "SELECT stanza FROM report_message WHERE report = ?1 ORDER BY n" };

static enum err messages_read(struct db_conn *c, struct arena *a, struct report_row *r)
{
    struct db_stmt *s = db_prepare(c, &messages_select);
    enum err        e;

    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, r->id);
    while ((e = db_step(s)) == OK && r->message_count < REPORT_MESSAGES_MAX)
        r->messages[r->message_count++] = arena_str(a, db_text(s, 0));
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err reports_read(struct db_conn *c, struct arena *a, int64_t before_id, int max, struct report_row **rows, int *count)
{
    struct db_stmt *s = db_prepare(c, &reports_select);
    enum err        e;

    max = max > REPORT_PAGE_MAX ? REPORT_PAGE_MAX : max;
    *count = 0;
    *rows = arena_alloc(a, sizeof **rows * (size_t)max);
    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, before_id ? before_id : INT64_MAX);
    db_bind_i64(s, 2, max);
    while ((e = db_step(s)) == OK && *count < max)
        (*rows)[(*count)++] = (struct report_row){
            .id = db_i64(s, 0), .at_us = db_i64(s, 1), .reporter = arena_str(a, db_text(s, 2)), .about = arena_str(a, db_text(s, 3)),
            .reason = arena_str(a, db_text(s, 4)), .text = arena_str(a, db_text(s, 5)), .forward = (unsigned)db_i64(s, 6) };
    db_done(s);
    e = e == ERR_NOT_FOUND ? OK : e;
    for (int i = 0; i < *count && !e; i++)
        e = messages_read(c, a, &(*rows)[i]);
    return e;
}

enum err report_delete(struct db_conn *c, int64_t id)
{
    static struct db_sql messages = { "DELETE FROM report_message WHERE report = ?1" };
    static struct db_sql report = { "DELETE FROM report WHERE id = ?1" };
    enum err e = db_run(c, &messages, "i", id);

    return e ? e : db_run(c, &report, "i", id);
}

static void reporting_deleted(struct person *p, struct db_conn *c)
{
    static struct db_sql messages = { "DELETE FROM report_message WHERE report IN (SELECT id FROM report WHERE owner = ?1)" };
    static struct db_sql reports = { "DELETE FROM report WHERE owner = ?1" };

    if (db_run(c, &messages, "i", p->id) == OK)
        db_run(c, &reports, "i", p->id);
}

static const char *const reporting_disco[] = { NS_REPORTING, NULL };

static const struct owned xep0377_reporting_owned[] = { { "report" }, { "report_message", "report IN (SELECT id FROM report WHERE owner = ?1)" }, { 0 } };

const struct feature xep0377_reporting = {
    .spec = "XEP-0377 0.4.1",
    .title = "Spam Reporting",
    .note = "kept for the operator (`bongsu reports`); passed on to nobody",
    .disco_server = reporting_disco,
    .disco_account = reporting_disco,
    .migrations = reporting_migrations,
    .person_deleted = reporting_deleted,
    .owned = xep0377_reporting_owned,
};
