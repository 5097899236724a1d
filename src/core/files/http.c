/* http.c: what is answered below /files/. For clients: docs/files.md.
 *
 *   GET, HEAD             the file, or one range of it; no script, no page (show.h)
 *   PUT    with a slot    the file, in one go
 *   HEAD   with a slot    how far an upload has come; PATCH goes on from there (draft-ietf-httpbis-resumable-upload)
 *   OPTIONS               for web clients of any site (CORS)
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "files/peers.h"
#include "files/range.h"
#include "files/receive.h"
#include "files/rows.h"
#include "files/show.h"
#include "wire/uri.h"

METRIC_COUNTER(downloads, "bongsu_files_given", "Downloads begun.");
METRIC_COUNTER(bytes_out, "bongsu_files_bytes_out", "Bytes of downloads begun.");
METRIC_COUNTER(unknown, "bongsu_files_not_found", "Requests for files that are not here.");
METRIC_COUNTER(refused, "bongsu_files_refused", "Uploads refused: no slot, another size or type, a quota.");

#define SAFE "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: sandbox; default-src 'none'\r\n" \
             "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: cross-origin\r\n" FILES_CORS
#define TEXT STR("text/plain; charset=utf-8")

void http_refuse(struct http_exchange *x, int status, const char *more, const char *text)
{
    struct buf headers;

    buf_init(&headers, 0);
    BUF_LIT(&headers, SAFE "Cache-Control: no-store\r\n");
    buf_put_z(&headers, more);
    http_answer(x, status, TEXT, buf_str(&headers), str_of(text));
    buf_done(&headers);
}

/* ---- where ---- */

struct place {
    uint8_t    id[SLOT_ID_BYTES];
    struct str name;
};

/* "/files/<id>/<name>" */
static bool place_read(struct arena *a, struct str target, struct place *out)
{
    struct str path, id;

    if (uri_path(a, target, &path) != OK || !str_starts(path, STR(STORE_PATH)))
        return false;
    path = str_make(path.p + sizeof STORE_PATH - 1, path.len - sizeof STORE_PATH + 1);
    id = str_split(&path, '/');
    out->name = path;
    return path.len > 0 && str_find(path, '/') < 0 && slot_id_read(id, out->id);
}

static bool is_ours(const struct http_request *r) { return str_starts(r->path, STR(STORE_PATH)); }

/* The text behind "Bearer " or the like; p NULL. */
static struct str token_of(const struct http_request *r, const char *scheme)
{
    struct str value = http_header(r, "Authorization"), first = str_split(&value, ' ');

    return str_eq_nocase(first, str_of(scheme)) ? str_trim(value) : STR_NULL;
}

/* ---- downloads ---- */

static void put_headers(struct buf *b, const struct file_row *row, struct str etag)
{
    buf_printf(b, SAFE "ETag: %.*s\r\nAccept-Ranges: bytes\r\nCache-Control: private, max-age=31536000, immutable\r\n"
                  "Content-Disposition: %s; filename*=UTF-8''", STR_ARG(etag), row->shown ? "inline" : "attachment");
    uri_put_segment(b, row->name);
    BUF_LIT(b, "\r\n");
}

static struct str etag_of(const struct file_row *row, char out[BLOB_HEX_BYTES + 2])
{
    blob_hex(row->hash, out + 1);
    out[0] = out[33] = '"';
    return str_make(out, 34);
}

static void give_bytes(struct store *st, struct http_exchange *x, const struct file_row *row, struct buf *headers, int64_t from,
                       int64_t bytes, bool is_part)
{
    int fd = blob_read(&st->blobs, row->hash);

    if (fd < 0) {
        LOG_ERROR("files.blob_missing", LF_STR("user", row->owner), LF_ERR(err_from_errno(errno)));
        http_refuse(x, 503, "Retry-After: 10\r\n", "the file cannot be read now; what is known of it is unharmed\n");
        return;
    }
    metric_add(&downloads, 1);
    metric_add(&bytes_out, bytes);
    http_answer_file(x, is_part ? 206 : 200, show_type(row->type, row->shown), buf_str(headers), fd, from, bytes);
}

void http_give(struct store *st, struct http_exchange *x, const struct file_row *row, struct str range, struct str none_match,
               struct str match, struct str if_range, bool head)
{
    char       text[BLOB_HEX_BYTES + 2];
    struct str etag = etag_of(row, text);
    struct buf headers;
    int64_t    from, bytes;
    enum range part;

    buf_init(&headers, 0);
    put_headers(&headers, row, etag);
    if (head || (if_range.p && !etag_listed(if_range, etag, false)))
        range = STR_NULL;       /* §14.2: of GET only */
    part = range_read(range, row->bytes, &from, &bytes);
    if (match.p && !etag_listed(match, etag, false)) {
        http_answer(x, 412, TEXT, buf_str(&headers), STR("it is another file by now\n"));
    } else if (none_match.p && etag_listed(none_match, etag, true)) {
        http_answer(x, 304, STR_NULL, buf_str(&headers), STR_NULL);
    } else if (part == RANGE_NONE) {
        buf_printf(&headers, "Content-Range: bytes */%" PRId64 "\r\n", row->bytes);
        http_answer(x, 416, TEXT, buf_str(&headers), STR("the file is not that long\n"));
    } else {
        if (part == RANGE_PART)
            buf_printf(&headers, "Content-Range: bytes %" PRId64 "-%" PRId64 "/%" PRId64 "\r\n", from, from + bytes - 1, row->bytes);
        give_bytes(st, x, row, &headers, from, bytes, part == RANGE_PART);
    }
    buf_done(&headers);
}

static void not_found(struct http_exchange *x)
{
    metric_add(&unknown, 1);
    http_refuse(x, 404, "", "there is no such file\n");
}

static bool blob_is_here(const struct store *st, const struct file_row *row)
{
    int fd = row->whole ? blob_read(&st->blobs, row->hash) : -1;

    if (fd >= 0)
        close(fd);
    return fd >= 0 || (row->whole && errno != ENOENT);
}

/* Another site asks: with the file it gets what is known about it, and never an answer that is itself asked for elsewhere. */
static void give_to_peer(struct store *st, struct http_exchange *x, const struct http_request *r, struct arena *a, const struct place *p)
{
    struct slot     ask, s = { .kind = SLOT_PEER };
    struct file_row row;
    struct buf      headers;

    if (!st->has_key || slot_read(a, token_of(r, "Bongsu-Peer"), &st->key, SLOT_ASK, &ask) != OK
        || memcmp(ask.id, p->id, SLOT_ID_BYTES) != 0 || clock_us() - ask.made_us > (int64_t)SLOT_BEGIN_S_MAX * 1000000) {
        http_refuse(x, 403, "", "this is for the other sites of this server\n");
        return;
    }
    if (catalog_find(db_loop_conn(st->db), a, p->id, &row) != OK || !blob_is_here(st, &row)) {
        not_found(x);
        return;
    }
    memcpy(s.id, row.id, sizeof s.id);
    s.owner = row.owner;
    s.name = row.name;
    s.type = row.type;
    s.bytes = row.bytes;
    s.made_us = row.made_us;
    buf_init(&headers, 0);
    BUF_LIT(&headers, "Bongsu-Slot: ");
    slot_sign(&headers, &st->key, &s);
    BUF_LIT(&headers, "\r\n");
    give_bytes(st, x, &row, &headers, 0, row.bytes, false);
    buf_done(&headers);
}

/* A file that is not here may be at another site. */
static void get(struct store *st, struct http_exchange *x, const struct http_request *r, struct arena *a, const struct place *p)
{
    struct file_row row;
    enum err        e = rows_find(st, a, p->id, &row);

    if (e && e != ERR_NOT_FOUND)
        http_refuse(x, 503, "Retry-After: 2\r\n", "what is known of the files cannot be read now\n");
    else if (!e && !str_eq(row.name, p->name))
        not_found(x);
    else if (!e && (st->peer_count ? blob_is_here(st, &row) : row.whole))
        http_give(st, x, &row, http_header(r, "Range"), http_header(r, "If-None-Match"), http_header(r, "If-Match"),
                  http_header(r, "If-Range"), str_is(r->method, "HEAD"));
    else if (!st->has_key || !slot_id_is_ours(&st->key, p->id) || !peers_fetch(st, p->id, x, r, p->name))
        not_found(x);
}

/* ---- uploads ---- */

struct put {
    struct http_exchange *x;
    struct receipt       *receipt;
    bool                  is_part;
};

static void put_bytes(void *arg, struct http_exchange *x, struct str in) { receive_bytes(((struct put *)arg)->receipt, in); }
static void put_end(void *arg, struct http_exchange *x) { receive_end(((struct put *)arg)->receipt); }

static void put_broken(void *arg, enum err why)
{
    receive_abandon(((struct put *)arg)->receipt);
    free(arg);
}

static void put_hold(void *arg) { http_hold(((struct put *)arg)->x); }
static void put_go_on(void *arg) { http_go_on(((struct put *)arg)->x); }

static void say_offset(struct http_exchange *x, int status, int64_t offset, bool complete, const char *text)
{
    char headers[128];

    snprintf(headers, sizeof headers, "Upload-Offset: %" PRId64 "\r\nUpload-Complete: %s\r\n", offset, complete ? "?1" : "?0");
    http_refuse(x, status, headers, text);
}

static void put_done(void *arg, enum err e, int64_t at)
{
    struct put p = *(struct put *)arg;

    free(arg);
    if (!e)
        say_offset(p.x, p.is_part ? 204 : 201, at, !p.is_part, "");
    else if (e == ERR_INVALID)
        say_offset(p.x, 409, at, false, "the upload does not go on there; Upload-Offset says where\n");
    else if (e == ERR_EXISTS)
        http_refuse(p.x, 409, "", "another file has been uploaded into this slot\n");
    else if (e == ERR_NOT_FOUND)
        http_refuse(p.x, 410, "", "this slot is gone\n");
    else if (e == ERR_FULL)
        http_refuse(p.x, 507, "Retry-After: 300\r\n", "there is no room on the server's disk\n");
    else if (e == ERR_CLOSED)
        http_refuse(p.x, 503, "Retry-After: 1\r\n", "another upload into this slot has taken over, or the server ends\n");
    else
        http_refuse(p.x, 503, "Retry-After: 5\r\n", err_info(e)->sentence);
}

static const struct http_sink      put_sink = { put_bytes, put_end, put_broken };
static const struct receive_events put_events = { put_hold, put_go_on, put_done };

static void refuse_upload(struct http_exchange *x, int status, const char *more, const char *text)
{
    metric_add(&refused, 1);
    http_refuse(x, status, more, text);
}

static void receive(struct store *st, struct http_exchange *x, const struct slot *s, int64_t from, int64_t until, bool from_peer)
{
    struct put *p = NEW(struct put);
    enum err    e;

    *p = (struct put){ .x = x, .is_part = until < s->bytes };
    e = receive_new(st, s, from, until, from_peer, &put_events, p, &p->receipt);
    if (!e) {
        http_receive(x, &put_sink, p);
        return;
    }
    free(p);
    if (e == ERR_EXISTS)
        refuse_upload(x, 503, "Retry-After: 1\r\n", "an older upload into this slot is being ended\n");
    else
        refuse_upload(x, 503, "Retry-After: 5\r\n", "too much is being uploaded now\n");
}

/* The slot's type, or the request's where the slot leaves it open. False: refused. */
static bool take_type(struct arena *a, const struct http_request *r, struct slot *s)
{
    struct str given = http_header(r, "Content-Type"), type = given.p ? slot_type(a, given) : STR_NULL;

    if (s->type.len)
        return !given.p || str_eq(type, s->type);
    s->type = type.p ? type : STR("application/octet-stream");
    return !given.p || type.p;
}

static bool in_time(const struct store *st, const struct slot *s)
{
    int64_t age_s = (clock_us() - s->made_us) / 1000000;

    return age_s <= SLOT_BEGIN_S_MAX || (age_s <= SLOT_RESUME_S_MAX && part_bytes(&st->blobs, s->id) >= 0);
}

/* One that had begun before is counted already. */
static bool within_quota(struct store *st, struct http_exchange *x, struct arena *a, const struct slot *s)
{
    struct file_row row;
    uint64_t        reason;
    int64_t         value;

    if (slots_judge(st, s, &reason, &value) == OK || catalog_find(db_loop_conn(st->db), a, s->id, &row) == OK)
        return true;
    refuse_upload(x, 413, "", "the quota of this account does not allow it\n");
    return false;
}

static void put(struct store *st, struct http_exchange *x, const struct http_request *r, struct arena *a, struct slot *s)
{
    if (r->content_bytes < 0)
        refuse_upload(x, 411, "", "a Content-Length is needed\n");
    else if (r->content_bytes != s->bytes)
        refuse_upload(x, r->content_bytes > s->bytes ? 413 : 400, "", "the slot is for a file of another size\n");
    else if (!take_type(a, r, s))
        refuse_upload(x, 415, "", "the slot is for a file of another type\n");
    else if (!in_time(st, s))
        refuse_upload(x, 403, "", "the slot has expired; ask for another one\n");
    else if (within_quota(st, x, a, s))
        receive(st, x, s, -1, s->bytes, false);
}

static void patch(struct store *st, struct http_exchange *x, const struct http_request *r, struct arena *a, struct slot *s)
{
    struct str offset = http_header(r, "Upload-Offset"), complete = http_header(r, "Upload-Complete");
    bool       whole = !complete.p || str_is(complete, "?1");
    uint64_t   from;

    if (!str_eq_nocase(http_header(r, "Content-Type"), STR("application/partial-upload")))
        refuse_upload(x, 415, "", "PATCH takes application/partial-upload\n");
    else if (!str_to_u64(offset, &from) || (!whole && !str_is(complete, "?0")))
        refuse_upload(x, 400, "", "Upload-Offset and Upload-Complete are needed\n");
    else if (r->content_bytes < 0)
        refuse_upload(x, 411, "", "a Content-Length is needed\n");
    else if (from > (uint64_t)s->bytes || r->content_bytes > s->bytes - (int64_t)from
             || (whole && r->content_bytes != s->bytes - (int64_t)from))
        refuse_upload(x, r->content_bytes > s->bytes - (int64_t)from ? 413 : 400, "", "the slot is for a file of another size\n");
    else if (!in_time(st, s))
        refuse_upload(x, 403, "", "the slot has expired; ask for another one\n");
    else if (within_quota(st, x, a, s)) {
        s->type = s->type.len ? s->type : STR("application/octet-stream");
        receive(st, x, s, (int64_t)from, (int64_t)from + r->content_bytes, false);
    }
}

static void forget_for_peer(struct store *st, struct http_exchange *x, const struct slot *s)
{
    sweep_owner(st, s->owner, s->made_us, false);
    http_refuse(x, 204, "", "");
}

/* A file that another site has, or an account that is gone there. */
static void put_from_peer(struct store *st, struct http_exchange *x, const struct http_request *r, struct arena *a, const struct place *p,
                          struct str token)
{
    bool        is_put = str_is(r->method, "PUT"), is_delete = str_is(r->method, "DELETE");
    struct slot s;

    if (!st->has_key || (!is_put && !is_delete) || slot_read(a, token, &st->key, is_put ? SLOT_PEER : SLOT_FORGET, &s) != OK
        || memcmp(s.id, p->id, SLOT_ID_BYTES) != 0)
        refuse_upload(x, 403, "", "this is for the other sites of this server\n");
    else if (is_delete)
        forget_for_peer(st, x, &s);
    else if (r->content_bytes != s.bytes)
        refuse_upload(x, 400, "", "it is of another size\n");
    else
        receive(st, x, &s, -1, s.bytes, true);
}

static bool is_whole(struct store *st, struct arena *a, const struct slot *s)
{
    struct file_row row;

    return catalog_find(db_loop_conn(st->db), a, s->id, &row) == OK && row.whole;
}

/* How far an upload has come. */
static void tell_offset(struct store *st, struct http_exchange *x, struct arena *a, const struct slot *s)
{
    int64_t at = part_bytes(&st->blobs, s->id);
    bool    whole = is_whole(st, a, s);
    char    headers[160];

    snprintf(headers, sizeof headers, "Upload-Offset: %" PRId64 "\r\nUpload-Complete: %s\r\nUpload-Limit: max-size=%" PRId64 "\r\n",
             whole ? s->bytes : at < 0 ? 0 : at, whole ? "?1" : "?0", s->bytes);
    http_refuse(x, 204, headers, "");
}

static void upload(struct store *st, struct http_exchange *x, const struct http_request *r, struct arena *a, const struct place *p)
{
    struct str  token = token_of(r, "Bearer");
    struct slot s;

    if (!token.p)
        refuse_upload(x, 401, "WWW-Authenticate: Bearer\r\n", "the Authorization header that came with the slot is needed\n");
    else if (!st->has_key)
        refuse_upload(x, 503, "Retry-After: 2\r\n", "uploads are not possible yet\n");
    else if (slot_read(a, token, &st->key, SLOT_UPLOAD, &s) != OK || memcmp(s.id, p->id, SLOT_ID_BYTES) != 0 || !str_eq(s.name, p->name))
        refuse_upload(x, 403, "", "this is not the slot's address\n");
    else if (str_is(r->method, "HEAD"))
        tell_offset(st, x, a, &s);
    else if (str_is(r->method, "PUT"))
        put(st, x, r, a, &s);
    else if (is_whole(st, a, &s))
        say_offset(x, 409, s.bytes, true, "the file is whole already\n");
    else
        patch(st, x, r, a, &s);
}

/* ---- which of them ---- */

static void answer_preflight(struct http_exchange *x)
{
    http_answer(x, 204, STR_NULL,
                STR(SAFE "Access-Control-Allow-Methods: GET, HEAD, PUT, PATCH, OPTIONS\r\n"
                    "Access-Control-Allow-Headers: Authorization, Content-Type, Range, If-Range, If-None-Match, Upload-Offset,"
                    " Upload-Complete\r\nAccess-Control-Max-Age: 7200\r\nAllow: GET, HEAD, PUT, PATCH, OPTIONS\r\n"), STR_NULL);
}

bool store_stream(struct store *st, struct http_exchange *x, const struct http_request *r)
{
    struct arena a;
    struct place p;
    struct str   peer = token_of(r, "Bongsu-Peer");

    if (!is_ours(r))
        return false;
    arena_init(&a);
    if (str_is(r->method, "OPTIONS"))
        answer_preflight(x);
    else if (!str_is(r->method, "PUT") && !str_is(r->method, "PATCH") && !(peer.p && str_is(r->method, "DELETE")))
        http_refuse(x, 405, "Allow: GET, HEAD, PUT, PATCH, OPTIONS\r\n", "only GET, HEAD, PUT, PATCH and OPTIONS are answered here\n");
    else if (!place_read(&a, r->path, &p))
        not_found(x);
    else if (peer.p)
        put_from_peer(st, x, r, &a, &p, peer);
    else
        upload(st, x, r, &a, &p);
    arena_done(&a);
    return true;
}

bool store_request(struct store *st, struct http_exchange *x, const struct http_request *r)
{
    struct arena a;
    struct place p;

    if (!is_ours(r))
        return false;
    arena_init(&a);
    if (!place_read(&a, r->path, &p))
        not_found(x);
    else if (str_is(r->method, "HEAD") && token_of(r, "Bearer").p)
        upload(st, x, r, &a, &p);
    else if (token_of(r, "Bongsu-Peer").p)
        give_to_peer(st, x, r, &a, &p);
    else
        get(st, x, r, &a, &p);
    arena_done(&a);
    return true;
}
