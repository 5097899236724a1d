/* pg_pipe.c: libpq's pipeline on one connection, which never blocks in libpq: what is sent is noted in a ring, and
 * answers are read against it in order.
 *
 *   statement, statement, … sync        a failure skips what follows it, up to the sync
 *
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <arpa/inet.h>
#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "db/pg_inner.h"

enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23 };

/* ---- errors ---- */

static bool state_is(const char *state, const char *start)
{
    return strncmp(state, start, strlen(start)) == 0;
}

static enum err err_from_state(const char *state)
{
    static const struct { const char *start; enum err e; } rows[] = {
        { "23", ERR_EXISTS }, { "22", ERR_INVALID }, { "53100", ERR_FULL }, { "53", ERR_UNAVAILABLE },
        { "08P01", ERR_BUG },            /* wrong parameters */
        { "08", ERR_UNAVAILABLE }, { "57", ERR_UNAVAILABLE }, { "25006", ERR_UNAVAILABLE },
        { "40", ERR_UNAVAILABLE },       /* a deadlock, a replica that had to choose: again */
        { "55", ERR_UNAVAILABLE }, { "58", ERR_UNAVAILABLE }, { "XX001", ERR_IO }, { "XX002", ERR_IO },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (state_is(state, rows[i].start))
            return rows[i].e;
    return ERR_BUG;
}

/* The server is no use any more; its words may be the last thing that comes. */
static bool ends_connection(const char *state)
{
    return (state_is(state, "08") && !state_is(state, "08P01")) || state_is(state, "57P") || state_is(state, "25006");
}

/* Any warning: it may be the one that says that a commit did not wait for its standby. */
static void on_notice(void *arg, const PGresult *r)
{
    struct pg_conn *c = arg;
    const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);

    if (severity && strcmp(severity, "WARNING") == 0)
        c->warned = true;
}

/* ---- the connection ---- */

void pg_adopt(struct pg_conn *c, PGconn *pg, int host, int64_t timeline)
{
    c->pg = pg;
    c->host = host;
    c->timeline = timeline;
    c->session++;
    c->in_transaction = false;
    c->heard_us = pg_now_us();
    PQsetnonblocking(pg, 1);
    PQsetNoticeReceiver(pg, on_notice, c);
    if (!PQenterPipelineMode(pg))
        pg_lose(c, "could not enter the pipeline mode");
}

static struct pg_sent *sent_at(struct pg_conn *c, size_t i)
{
    return &c->sent[(c->sent_from + i) % c->sent_cap];
}

static void sent_add(struct pg_conn *c, struct pg_sent s)
{
    if (c->sent_count == c->sent_cap) {
        size_t cap = c->sent_cap ? c->sent_cap * 2 : 64;
        struct pg_sent *fresh = mem_new(cap * sizeof *fresh);

        for (size_t i = 0; i < c->sent_count; i++)
            fresh[i] = *sent_at(c, i);
        free(c->sent);
        c->sent = fresh;
        c->sent_from = 0;
        c->sent_cap = cap;
    }
    c->sent_count++;
    *sent_at(c, c->sent_count - 1) = s;
}

/* What was not answered: an operation does not know its numbers, a statement is not prepared. */
static void sent_forget(struct pg_conn *c)
{
    for (size_t i = 0; i < c->sent_count; i++) {
        struct pg_sent *s = sent_at(c, i);

        if (s->rows && s->op)
            s->op->unsure = true;
    }
    c->sent_count = 0;
}

enum err pg_lose(struct pg_conn *c, const char *words)
{
    char text[sizeof c->base.error];

    if (!c->pg)
        return ERR_UNAVAILABLE;
    snprintf(text, sizeof text, "%s: %.*s", pg_hosts_name(c->hosts, c->host), STR_ARG(str_trim(str_of(words))));
    PQfinish(c->pg);
    c->pg = NULL;
    c->in_transaction = false;
    sent_forget(c);
    if (!c->failed)
        c->failed = ERR_UNAVAILABLE;
    return conn_note(&c->base, ERR_UNAVAILABLE, text);
}

static enum err lose_as_told(struct pg_conn *c)
{
    return pg_lose(c, c->pg ? PQerrorMessage(c->pg) : "");
}

/* ---- sending ---- */

enum err pg_send_command(struct pg_conn *c, const char *text)
{
    if (!c->pg)
        return ERR_UNAVAILABLE;
    if (!PQsendQueryParams(c->pg, text, 0, NULL, NULL, NULL, NULL, 1))
        return lose_as_told(c);
    sent_add(c, (struct pg_sent){ .kind = PG_SENT_COMMAND });
    return OK;
}

enum err pg_send_prepared(struct pg_conn *c, const char *name)
{
    if (!c->pg)
        return ERR_UNAVAILABLE;
    if (!PQsendQueryPrepared(c->pg, name, 0, NULL, NULL, NULL, 1))
        return lose_as_told(c);
    sent_add(c, (struct pg_sent){ .kind = PG_SENT_COMMAND });
    return OK;
}

enum err pg_send_prepare(struct pg_conn *c, struct pg_stmt *s, const char *name, const char *text, int count, const Oid *types)
{
    if (!PQsendPrepare(c->pg, name, text, count, types))
        return lose_as_told(c);
    sent_add(c, (struct pg_sent){ .kind = PG_SENT_PREPARE, .stmt = s });
    return OK;
}

enum err pg_send_stmt(struct pg_conn *c, struct pg_sent what, const char *name, int count, const char *const *values,
                      const int *lengths, const int *formats)
{
    if (!PQsendQueryPrepared(c->pg, name, count, values, lengths, formats, 1))
        return lose_as_told(c);
    what.kind = PG_SENT_STMT;
    what.op = c->op;
    what.marker = c->marking;
    sent_add(c, what);
    return OK;
}

enum err pg_send_sync(struct pg_conn *c)
{
    if (!c->pg)
        return ERR_UNAVAILABLE;
    if (!PQpipelineSync(c->pg))
        return lose_as_told(c);
    sent_add(c, (struct pg_sent){ .kind = PG_SENT_SYNC });
    return OK;
}

/* ---- reading ---- */

bool pg_value_i64(const PGresult *r, int row, int column, int64_t *out)
{
    const char *p = PQgetvalue(r, row, column);
    uint64_t wide;
    uint32_t middle;
    uint16_t narrow;

    *out = 0;
    if (PQgetisnull(r, row, column))
        return true;
    switch (PQftype(r, column)) {
    case OID_INT8:
        memcpy(&wide, p, sizeof wide);
        *out = (int64_t)be64toh(wide);
        return true;
    case OID_INT4:
        memcpy(&middle, p, sizeof middle);
        *out = (int32_t)ntohl(middle);
        return true;
    case OID_INT2:
        memcpy(&narrow, p, sizeof narrow);
        *out = (int16_t)ntohs(narrow);
        return true;
    case OID_BOOL:
        *out = p[0] != 0;
        return true;
    default:
        return false;
    }
}

static enum err fail_note(struct pg_conn *c, enum err e, bool marker, const char *state, const char *words)
{
    if (!c->failed) {
        c->failed = e;
        str_copy(str_of(state), c->sqlstate, sizeof c->sqlstate);
        c->marker_failed = marker;
        conn_note(&c->base, e, words);
    }
    return e;
}

static enum err result_failed(struct pg_conn *c, const struct pg_sent *s, const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE), *words = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    enum err e;

    if (!state)                          /* libpq's own: the connection broke */
        return lose_as_told(c);
    e = fail_note(c, err_from_state(state), s->marker, state, words ? words : state);
    if (e == ERR_BUG)
        LOG_ERROR("db.statement", LF_Z("words", c->base.error), LF_Z("state", state));
    return ends_connection(state) ? pg_lose(c, c->base.error) : OK;
}

static void result_rows_later(struct pg_conn *c, const struct pg_sent *s, const PGresult *r)
{
    *s->rows = PQntuples(r);
    for (int i = 0; i < s->out_count && *s->rows; i++)
        if (i >= PQnfields(r) || !pg_value_i64(r, 0, i, &s->out[i]))
            fail_note(c, ERR_BUG, false, "", "a statement for later must give whole numbers");
}

static void result_good(struct pg_conn *c, const struct pg_sent *s, PGresult *r)
{
    bool has_row = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) > 0;

    c->changes = atoll(PQcmdTuples(r));
    if (s->kind == PG_SENT_PREPARE) {
        if (s->stmt)
            pg_stmt_prepared(s->stmt, true);
    } else if (s->kind == PG_SENT_COMMAND) {
        str_copy(str_of(PQcmdStatus(r)), c->tag, sizeof c->tag);
        if (has_row)
            c->answers = 0;
        while (has_row && c->answers < 3 && c->answers < PQnfields(r)
               && pg_value_i64(r, 0, c->answers, &c->answer[c->answers]))
            c->answers++;
    } else if (s->rows) {
        result_rows_later(c, s, r);
    }
}

static enum err result_take(struct pg_conn *c, const struct pg_sent *s, PGresult *r)
{
    enum err e = OK;

    switch (PQresultStatus(r)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        result_good(c, s, r);
        if (s->keep) {
            pg_stmt_rows(s->stmt, r);
            return OK;
        }
        break;
    case PGRES_PIPELINE_ABORTED:
    case PGRES_EMPTY_QUERY:
        break;
    default:
        e = result_failed(c, s, r);
    }
    if (c->pg && s->kind == PG_SENT_PREPARE && s->stmt && PQresultStatus(r) != PGRES_COMMAND_OK)
        pg_stmt_prepared(s->stmt, false);
    PQclear(r);
    return e;
}

/* Sends what libpq holds and reads what has come, until an answer is whole. */
static enum err answer_await(struct pg_conn *c)
{
    while (PQisBusy(c->pg)) {
        int unsent = PQflush(c->pg);
        enum err e;

        if (unsent < 0)
            return lose_as_told(c);
        e = pg_wait(c, (short)(POLLIN | (unsent ? POLLOUT : 0)));
        if (e)
            return e;
        if (!PQconsumeInput(c->pg))
            return lose_as_told(c);
    }
    return OK;
}

/* The answer to what was sent first. In the pipeline a NULL ends each but that of a sync. */
static enum err answer_read(struct pg_conn *c)
{
    struct pg_sent s = *sent_at(c, 0);
    int nulls = 0;
    bool whole = false;

    while (!whole) {
        enum err e = answer_await(c);
        PGresult *r;

        if (e)
            return e;
        r = PQgetResult(c->pg);
        if (!r) {
            if (s.kind != PG_SENT_SYNC && nulls < 0)
                break;
            if (++nulls > 2)
                return pg_lose(c, "the answers do not fit the questions");
        } else if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
            PQclear(r);
            whole = true;
            if (s.kind != PG_SENT_SYNC)
                return pg_lose(c, "the answers do not fit the questions");
        } else {
            e = result_take(c, &s, r);
            if (e)
                return e;
            nulls = -1;
        }
    }
    c->sent_from = (c->sent_from + 1) % c->sent_cap;
    c->sent_count--;
    return OK;
}

enum err pg_read_all(struct pg_conn *c)
{
    enum err e = c->pg ? OK : ERR_UNAVAILABLE;

    while (!e && c->sent_count)
        e = answer_read(c);
    return e;
}

enum err pg_read_last(struct pg_conn *c)
{
    if (!c->pg)
        return ERR_UNAVAILABLE;
    if (!PQsendFlushRequest(c->pg))
        return lose_as_told(c);
    return pg_read_all(c);
}

enum err pg_command(struct pg_conn *c, const char *text)
{
    enum err e = pg_send_command(c, text);

    c->failed = OK;
    if (!e)
        e = pg_send_sync(c);
    if (!e)
        e = pg_read_all(c);
    return e ? e : c->failed;
}
