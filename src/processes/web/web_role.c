/* web_role.c: see web_role.h. The map of what is answered is `pages`, below.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "web/web_role.h"
#include <stdio.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "crypto/tls.h"
#include "files/store.h"
#include "id/settings.h"
#include "net/http.h"
#include "web/exports.h"
#include "web/files.h"
#include "web/passkeys.h"
#include "wire/json.h"
#include "wire/uri.h"
#include "wire/xml.h"

METRIC_COUNTER(requests, "bongsu_web_requests", "HTTP requests answered.");
METRIC_COUNTER(missing, "bongsu_web_not_found", "HTTP requests for what is not there.");

enum { LISTENERS_MAX = 8, OUT_BYTES_MAX = FILE_BYTES_MAX + 64 * 1024 };

struct web {
    struct role       *role;
    struct http_server server, local;       /* the second without TLS, for browsers of this machine */
    struct conn_limits limits;
    struct tls_ctx    *tls;          /* current; replaced on reload; NULL: plain, behind a proxy */
    struct listener   *listeners[LISTENERS_MAX];
    int                listener_count;
    struct files       files;
    struct store      *store;        /* what people upload */
    char              *websocket_url;       /* "wss://one.example/xmpp-websocket", or several: one for each site */
    char              *bosh_url;            /* in the same way; empty: none */
    const char        *sites;               /* "https://one.example": the web of each site */
    const char        *files_url;           /* what links to files begin with, when not with us */
    int                https_port;
    int                local_port;          /* of the WebSocket without TLS; 0: none */
    bool               registration;
    char              *passkey_rp;   /* pages at that name, and below it, may use passkeys */
    const char        *demo;                /* "name password, name password": may be tried by anyone */
    struct str         domain;
};

/* ---- where the WebSocket is ---- */

enum { URLS_MAX = 8 };

/* A browser of this machine, at a door without TLS. */
static bool is_local(const struct web *w, struct http_exchange *x)
{
    return w->tls && !conn_tls(http_conn(x)) && w->local_port;
}

static void put_websocket_url(struct buf *out, const struct settings *s)
{
    const char *given = settings_text(s, "web.websocket_url");

    if (*given)
        buf_put_z(out, given);
    else
        buf_printf(out, "wss://%s:%d/xmpp-websocket", settings_text(s, "domain"),
                   door_port(door_first(s, "talk.listen_websocket")));
}

static void put_bosh_url(struct buf *out, const struct settings *s)
{
    const char *given = settings_text(s, "web.bosh_url");
    struct str  door = door_first(s, "talk.listen_bosh");

    if (*given)
        buf_put_z(out, given);
    else if (door.len)
        buf_printf(out, "https://%s:%d/http-bind", settings_text(s, "domain"), door_port(door));
}

static void urls_set(struct web *w, const struct settings *s)
{
    struct buf b;

    buf_init(&b, 0);
    put_websocket_url(&b, s);
    free(w->websocket_url);
    w->websocket_url = str_dup(buf_str(&b));
    buf_clear(&b);
    put_bosh_url(&b, s);
    free(w->bosh_url);
    w->bosh_url = str_dup(buf_str(&b));
    w->domain = str_of(settings_text(s, "domain"));
    w->local_port = door_port(door_first(s, "talk.listen_websocket_local"));
    w->registration = settings_bool(s, "talk.registration") && settings_bool(s, "ident.registration");
    w->demo = settings_text(s, "web.demo");
    w->sites = settings_text(s, "web.sites");
    w->files_url = settings_text(s, "files.url");
    w->https_port = door_port(door_first(s, "web.listen"));
    buf_done(&b);
}

/* The addresses that this browser may use, its own machine's door first. Answers how many. */
static int urls_for(const struct web *w, struct http_exchange *x, struct arena *a, struct str out[URLS_MAX])
{
    struct str rest = str_of(w->websocket_url);
    int        n = 0;

    if (is_local(w, x))
        out[n++] = arena_printf(a, "ws://localhost:%d/xmpp-websocket", w->local_port);
    else
        while (rest.len && n < URLS_MAX)
            out[n++] = str_trim(str_split(&rest, ','));
    return n;
}

/* ---- pages ---- */

/* XEP-0156 §3: both forms, for scripts of any site. */
#define OPEN_TO_ALL "Access-Control-Allow-Origin: *\r\nCache-Control: max-age=300\r\n"
#define WEBSOCKET_REL "urn:xmpp:alt-connections:websocket"
#define BOSH_REL "urn:xmpp:alt-connections:xbosh"

static void put_links(struct buf *out, const char *rel, const char *urls)
{
    struct str rest = str_of(urls);

    while (rest.len) {
        BUF_LIT(out, "  <Link");
        xml_put_attr(out, "rel", str_of(rel));
        xml_put_attr(out, "href", str_trim(str_split(&rest, ',')));
        BUF_LIT(out, "/>\n");
    }
}

static void host_meta(struct web *w, struct http_exchange *x, const struct http_request *rq)
{
    struct buf b;

    buf_init(&b, 0);
    BUF_LIT(&b, "<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n");
    put_links(&b, WEBSOCKET_REL, w->websocket_url);
    put_links(&b, BOSH_REL, w->bosh_url);
    BUF_LIT(&b, "</XRD>\n");
    http_answer(x, 200, STR("application/xrd+xml; charset=utf-8"), STR(OPEN_TO_ALL), buf_str(&b));
    buf_done(&b);
}

static void answer_json(struct http_exchange *x, json_t *value, struct str headers)
{
    struct buf b;

    buf_init(&b, 0);
    json_write(&b, value);
    json_decref(value);
    http_answer(x, 200, STR("application/json"), headers, buf_str(&b));
    buf_done(&b);
}

static void add_links(json_t *links, const char *rel, const char *urls)
{
    struct str rest = str_of(urls);

    while (rest.len) {
        struct str url = str_trim(str_split(&rest, ','));

        json_array_append_new(links, json_pack("{s:s,s:s%}", "rel", rel, "href", url.p, url.len));
    }
}

static void host_meta_json(struct web *w, struct http_exchange *x, const struct http_request *rq)
{
    json_t *links = json_array();

    add_links(links, WEBSOCKET_REL, w->websocket_url);
    add_links(links, BOSH_REL, w->bosh_url);
    answer_json(x, json_pack("{s:o}", "links", links), STR(OPEN_TO_ALL));
}

/* "minji abc, junho def": accounts to try with. Told to a browser of this machine alone. */
static json_t *demo_accounts(const struct web *w, struct http_exchange *x)
{
    struct str rest = str_of(is_local(w, x) ? w->demo : "");
    json_t    *all = json_array();

    while (rest.len) {
        struct str password = str_trim(str_split(&rest, ',')), name = str_split(&password, ' ');

        json_array_append_new(all, json_pack("{s:s%,s:s%}", "name", name.p, name.len, "password", password.p, password.len));
    }
    return all;
}

static json_t *sites_of(const struct web *w)
{
    struct str rest = str_of(w->sites);
    json_t    *all = json_array();

    while (rest.len && json_array_size(all) < URLS_MAX) {
        struct str url = str_trim(str_split(&rest, ','));

        json_array_append_new(all, json_stringn(url.p, url.len));
    }
    return all;
}

/* What the app must know before anyone has logged in. `base`: where this server's own addresses begin, as they are told to others. */
static void app_json(struct web *w, struct http_exchange *x, const struct http_request *rq)
{
    struct str   urls[URLS_MAX];
    struct arena a;
    struct str   base;
    json_t      *all = json_array();
    int          n;

    arena_init(&a);
    n = urls_for(w, x, &a, urls);
    for (int i = 0; i < n; i++)
        json_array_append_new(all, json_stringn(urls[i].p, urls[i].len));
    base = *w->files_url ? str_of(w->files_url) : arena_printf(&a, "https://%.*s:%d", STR_ARG(w->domain), w->https_port);
    answer_json(x, json_pack("{s:s%,s:s%,s:o,s:s%,s:b,s:s,s:o,s:o}", "domain", w->domain.p, w->domain.len, "websocket", n ? urls[0].p : "",
                             n ? urls[0].len : 0, "websockets", all, "base", base.p, base.len, "registration", w->registration,
                             "passkeys", w->passkey_rp, "demo", demo_accounts(w, x), "sites", sites_of(w)),
                STR("Cache-Control: no-store\r\n"));
    arena_done(&a);
}

static const char not_built[] =
    "<!doctype html><meta charset=\"utf-8\"><title>Bongsu</title>\n"
    "<h1>Bongsu 봉수</h1>\n"
    "<p lang=\"en\">The server runs; the web app is not built yet. In the source tree: "
    "<code>cd web &amp;&amp; npm ci &amp;&amp; npm run build</code>, then set <code>web.files</code> to <code>web/dist</code>. "
    "Any XMPP client can connect meanwhile.</p>\n"
    "<p lang=\"ko\">서버는 작동 중이고, 웹 앱은 아직 빌드되지 않았습니다. 소스에서 "
    "<code>cd web &amp;&amp; npm ci &amp;&amp; npm run build</code>를 실행한 뒤 <code>web.files</code>를 <code>web/dist</code>로 "
    "설정하세요. 그동안 어떤 XMPP 클라이언트로도 접속할 수 있습니다.</p>\n";

static void health(struct web *w, struct http_exchange *x, const struct http_request *rq)
{
    http_answer(x, 200, STR("text/plain"), STR("Cache-Control: no-store\r\n"), STR("live\n"));
}

static const struct {
    const char *path;
    void      (*answer)(struct web *w, struct http_exchange *x, const struct http_request *rq);
} pages[] = {
    { "/.well-known/host-meta", host_meta },
    { "/.well-known/host-meta.json", host_meta_json },
    { "/app.json", app_json },
    { "/health/live", health },
};

/* ---- files ---- */

static bool host_is_plain(struct str host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':'
              || c == '[' || c == ']'))
            return false;
    }
    return host.len > 0 && host.len <= 255;
}

/* "[::1]:5280" → "[::1]" */
static struct str host_without_port(struct str host)
{
    for (size_t i = host.len; i > 0 && host.p[i - 1] != ']'; i--)
        if (host.p[i - 1] == ':')
            return str_make(host.p, i - 1);
    return host;
}

/* The page may speak to this server only: to the name it announces, and to the name it was opened under; and to the web of its other sites,
   which have the same pictures and films when its own site is away. */
static void put_policy_of(struct buf *out, struct str url, struct str host)
{
    struct uri u;

    if (uri_parse(url, &u) != OK || !host_is_plain(u.host))
        return;
    buf_printf(out, " %.*s://%.*s", STR_ARG(u.scheme), STR_ARG(u.host));
    if (u.port)
        buf_printf(out, ":%d", u.port);
    if (u.port && host_is_plain(host))
        buf_printf(out, " %.*s://%.*s:%d", STR_ARG(u.scheme), STR_ARG(host_without_port(host)), u.port);
}

static void put_policy_of_sites(struct buf *out, const struct web *w)
{
    struct str sites = str_of(w->sites);

    for (int i = 0; i < URLS_MAX && sites.len; i++)
        put_policy_of(out, str_trim(str_split(&sites, ',')), STR(""));
}

static void put_policy(struct buf *out, const struct web *w, struct http_exchange *x, const struct http_request *rq)
{
    struct str   urls[URLS_MAX];
    struct arena a;
    struct buf   sites;
    int          n;

    arena_init(&a);
    buf_init(&sites, 0);
    put_policy_of_sites(&sites, w);
    n = urls_for(w, x, &a, urls);
    BUF_LIT(out, "Content-Security-Policy: default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                 "img-src 'self' data: blob:");
    buf_put_str(out, buf_str(&sites));
    BUF_LIT(out, "; media-src 'self' blob:");
    buf_put_str(out, buf_str(&sites));
    BUF_LIT(out, "; connect-src 'self'");
    for (int i = 0; i < n; i++)
        put_policy_of(out, urls[i], http_header(rq, "Host"));
    buf_put_str(out, buf_str(&sites));
    BUF_LIT(out, "\r\n");
    buf_done(&sites);
    arena_done(&a);
}

/* Which of the forms that lie there this browser takes; `encoding` is NULL for the plain one. */
static const struct file *form_of(const struct file *f, const struct http_request *rq, const char **encoding)
{
    *encoding = NULL;
    if (f->br && http_header_has_token(rq, "Accept-Encoding", "br")) {
        *encoding = "br";
        return f->br;
    }
    if (f->gz && http_header_has_token(rq, "Accept-Encoding", "gzip")) {
        *encoding = "gzip";
        return f->gz;
    }
    return f;
}

static void answer_file(struct web *w, struct http_exchange *x, const struct http_request *rq, const struct file *f)
{
    const char        *encoding;
    const struct file *form = form_of(f, rq, &encoding);
    struct buf         headers;

    buf_init(&headers, 0);
    if (encoding)
        buf_printf(&headers, "Content-Encoding: %s\r\n", encoding);
    if (f->br || f->gz)
        BUF_LIT(&headers, "Vary: Accept-Encoding\r\n");
    buf_printf(&headers, "ETag: %s\r\nCache-Control: %s\r\n", form->etag,
               f->lasting ? "public, max-age=31536000, immutable" : "no-cache");
    BUF_LIT(&headers, "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n");
    put_policy(&headers, w, x, rq);
    if (http_header_has_token(rq, "If-None-Match", form->etag))
        http_answer(x, 304, STR_NULL, buf_str(&headers), STR_NULL);
    else
        http_answer(x, 200, f->content_type, buf_str(&headers), form->bytes);
    buf_done(&headers);
}

static void answer_path(struct web *w, struct http_exchange *x, const struct http_request *rq, struct str path)
{
    bool               is_root = str_is(path, "/");
    const struct file *f = files_find(&w->files, is_root ? STR("/index.html") : path);

    if (exports_answer(x, path, settings_text(w->role->settings, "data_dir")))
        return;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (str_is(path, pages[i].path)) {
            pages[i].answer(w, x, rq);
            return;
        }
    if (f) {
        answer_file(w, x, rq, f);
    } else if (is_root) {
        http_answer(x, 503, STR("text/html; charset=utf-8"), STR_NULL, str_of(not_built));
    } else {
        metric_add(&missing, 1);
        http_answer(x, 404, STR("text/plain; charset=utf-8"), STR_NULL, STR("there is nothing here\n"));
    }
}

static void asked(void *arg, struct http_exchange *x, const struct http_request *rq)
{
    struct web  *w = arg;
    struct arena a;
    struct str   path;

    metric_add(&requests, 1);
    if (store_request(w->store, x, rq) || passkeys_answer(w->role->bus, w->domain, x, rq))
        return;
    arena_init(&a);
    if (!str_is(rq->method, "GET") && !str_is(rq->method, "HEAD"))
        http_answer(x, 405, STR("text/plain"), STR("Allow: GET, HEAD\r\n"), STR("only GET and HEAD are answered here\n"));
    else if (uri_path(&a, rq->path, &path))
        http_answer(x, 400, STR("text/plain"), STR_NULL, STR("this is not a path\n"));
    else
        answer_path(w, x, rq, path);
    arena_done(&a);
}

static bool streamed(void *arg, struct http_exchange *x, const struct http_request *rq)
{
    return store_stream(((struct web *)arg)->store, x, rq);
}

/* ---- the role ---- */

/* A missing app is no reason not to start: the page says how to build it. */
static enum err app_read(const struct settings *s, struct files *out, struct str *why)
{
    enum err e = files_read(out, settings_text(s, "web.files"), why);

    if (e && e != ERR_LIMIT)
        LOG_WARN("web.files", LF_STR("why", *why));
    return e;
}

/* A new version of the app, put where the old one was. What cannot be read leaves the old one. */
static void app_again(struct web *w, const struct settings *s)
{
    struct files fresh;
    struct str   why;

    if (app_read(s, &fresh, &why) == OK) {
        struct files old = w->files;

        w->files = fresh;
        fresh = old;
    }
    files_done(&fresh);
}

static void accepted(void *arg, int fd)
{
    http_serve(&((struct web *)arg)->server, fd);
}

static void accepted_locally(void *arg, int fd)
{
    http_serve(&((struct web *)arg)->local, fd);
}

static enum err tls_read(const struct settings *s, struct tls_ctx **out, struct arena *a, struct str *why)
{
    struct tls_settings ts = { .certificate_file = settings_text(s, "tls.certificate"), .key_file = settings_text(s, "tls.key"),
                               .alpn = "http/1.1" };

    *out = NULL;
    return *ts.certificate_file ? tls_ctx_new(&ts, out, a, why) : OK;
}

static void doors_take(struct web *w, const char *door, void (*accept)(void *arg, int fd))
{
    for (int i = 0; i < LISTENERS_MAX && w->listener_count < LISTENERS_MAX; i++) {
        char name[16];
        int  fd;

        snprintf(name, sizeof name, "%s%d", door, i);
        fd = role_fd(w->role, name);
        if (fd >= 0)
            w->listeners[w->listener_count++] = listener_new(w->role->loop, fd, accept, w);
    }
}

static enum err start(struct role *r, struct arena *a, struct str *why)
{
    struct web *w = NEW(struct web);
    enum err    e;

    r->own = w;
    w->role = r;
    if (app_read(r->settings, &w->files, why) == ERR_LIMIT)
        return ERR_LIMIT;
    e = tls_read(r->settings, &w->tls, a, why);
    if (!e)
        e = store_new(r->loop, r->bus, r->settings, &w->store, a, why);
    if (e)
        return e;
    urls_set(w, r->settings);
    w->passkey_rp = str_dup(ident_passkey_rp(r->settings, a));      /* ident keeps its own until the next start, too */
    w->limits = (struct conn_limits){ .in_bytes_max = HTTP_HEAD_BYTES_MAX + HTTP_BODY_BYTES_MAX,
                                      .out_bytes_max = OUT_BYTES_MAX, .stall_ms_max = 30000 };
    w->server = (struct http_server){ .loop = r->loop, .limits = &w->limits, .request = asked, .stream = streamed, .arg = w,
                                      .tls = w->tls ? &w->tls : NULL };
    w->local = w->server;
    w->local.tls = NULL;
    doors_take(w, "https", accepted);
    doors_take(w, "http", accepted_locally);
    return OK;
}

static enum err reload(struct role *r, const struct settings *fresh, struct arena *a, struct str *why)
{
    struct web     *w = r->own;
    struct tls_ctx *tls;
    enum err        e = tls_read(fresh, &tls, a, why);

    if (e)
        return e;
    if (tls && w->tls) {
        tls_ctx_unref(&w->tls);
        w->tls = tls;
    } else if (tls) {
        tls_ctx_unref(&tls);        /* from plain to TLS takes a restart */
    }
    app_again(w, fresh);
    urls_set(w, fresh);
    store_reload(w->store, fresh);
    return OK;
}

static const char *trouble(struct role *r)
{
    return store_trouble(((struct web *)r->own)->store);
}

static void finish(struct role *r)
{
    struct web *w = r->own;

    if (!w)
        return;
    for (int i = 0; i < w->listener_count; i++)
        listener_free(&w->listeners[i]);
    store_free(&w->store);
    tls_ctx_unref(&w->tls);
    files_done(&w->files);
    free(w->websocket_url);
    free(w->bosh_url);
    free(w->passkey_rp);
    free(w);
    r->own = NULL;
}

struct role web_role = {
    .name = "web",
    .rights = PROC_MAY_ACCEPT | PROC_MAY_FILES | PROC_MAY_CONNECT,
    .rights_clustered = PROC_MAY_REACH,      /* other sites' web, for files */
    .start = start,
    .reload = reload,
    .trouble = trouble,
    .finish = finish,
};
