/* tls.c: see tls.h. OpenSSL talks to a small BIO of ours that reads from the slice
 * tls_feed was given and appends to the caller's buffer, so a connection that waits holds
 * no buffered bytes (a record that is not whole yet lies in OpenSSL).
 *
 *   handshake ──▶ ready, OpenSSL carries the records
 *       └─ slim ─▶ ready, record13 carries them; OpenSSL's state is freed
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "crypto/tls.h"
#include "base/mem.h"
#include "crypto/record13.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct tls_ctx {
    SSL_CTX *ssl;
    int      refs;
    bool     look;
    size_t   alpn_len;
    uint8_t  alpn[64];      /* wire form: length, name, … */
};

/* The application traffic secrets, from OpenSSL's key log, until record13 has them. */
struct secrets {
    uint8_t client[RECORD13_SECRET_BYTES_MAX], server[RECORD13_SECRET_BYTES_MAX];
    uint8_t client_bytes, server_bytes;
};

/* What is asked of a connection after its handshake. */
struct facts {
    const char *version, *cipher;       /* OpenSSL's static text */
    enum err    exporter_err, end_point_err;
    uint8_t     exporter[32];
    uint8_t     end_point[TLS_BINDING_BYTES_MAX];
    uint8_t     end_point_bytes;
    uint8_t     alpn_bytes, sni_bytes;
    char        names[];                /* alpn, then sni */
};

struct tls {
    SSL             *ssl;               /* NULL once slim */
    struct tls_ctx  *ctx;
    struct str       in;                /* what OpenSSL has not read yet of the current feed */
    struct buf      *wire;              /* where output goes, during a call */
    struct secrets  *secrets;           /* handshake of a connection that will be slim */
    struct record13 *records;           /* slim */
    struct facts    *facts;             /* slim */
    bool             nameless;          /* must verify, and has no name to verify */
    bool             doubtful;          /* `look`: something about the peer's certificate is wrong */
};

/* ---- the BIO ---- */

static int bio_read(BIO *b, char *out, size_t want, size_t *got)
{
    struct tls *t = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    if (t->in.len == 0) {
        BIO_set_retry_read(b);
        *got = 0;
        return 0;
    }
    *got = want < t->in.len ? want : t->in.len;
    memcpy(out, t->in.p, *got);
    t->in.p += *got;
    t->in.len -= *got;
    return 1;
}

static int bio_write(BIO *b, const char *p, size_t bytes, size_t *wrote)
{
    struct tls *t = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    if (t->wire)
        buf_put(t->wire, p, bytes);
    *wrote = bytes;
    return t->wire && t->wire->overflow ? -1 : 1;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *p)
{
    (void)b;
    (void)num;
    (void)p;
    return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_PUSH || cmd == BIO_CTRL_POP || cmd == BIO_CTRL_DUP;
}

static BIO_METHOD    *bio_method;
static int            ssl_index;        /* from an SSL to our struct tls */
static bool           slim;
static pthread_once_t setup_once = PTHREAD_ONCE_INIT;

static void setup(void)
{
    const char *wish = getenv("BONGSU_TLS_SLIM");

    slim = wish && strcmp(wish, "1") == 0;
    ssl_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bongsu");
    if (!bio_method || ssl_index < 0)
        abort();
    BIO_meth_set_read_ex(bio_method, bio_read);
    BIO_meth_set_write_ex(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

void tls_slim_set(bool on)
{
    pthread_once(&setup_once, setup);
    slim = on;
}

/* ---- contexts ---- */

static struct str openssl_reason(struct arena *a)
{
    unsigned long e = ERR_peek_last_error();
    const char   *reason = e ? ERR_reason_error_string(e) : NULL;

    return arena_printf(a, "%s", reason ? reason : "unknown to OpenSSL");
}

static void say(struct arena *a, struct str *why, const char *what, const char *file)
{
    int  saved = errno;
    bool readable = access(file, R_OK) == 0;

    if (!a || !why)
        return;
    if (!readable)
        *why = arena_printf(a, "could not read %s \"%s\": %s", what, file, strerror(errno ? errno : saved));
    else
        *why = arena_printf(a, "could not use %s \"%s\": %.*s", what, file, STR_ARG(openssl_reason(a)));
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    struct tls_ctx *c = arg;
    unsigned char  *chosen;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_len, c->alpn, (unsigned)c->alpn_len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;      /* RFC 7301 §3.2 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void alpn_encode(struct tls_ctx *c, const char *names)
{
    struct str rest = str_of(names);

    while (rest.len) {
        struct str one = str_trim(str_split(&rest, ','));

        if (one.len == 0 || c->alpn_len + one.len + 1 > sizeof c->alpn)
            continue;
        c->alpn[c->alpn_len++] = (uint8_t)one.len;
        memcpy(c->alpn + c->alpn_len, one.p, one.len);
        c->alpn_len += one.len;
    }
}

static uint8_t secret_parse(struct str hex, uint8_t out[RECORD13_SECRET_BYTES_MAX])
{
    if (hex.len % 2 || hex.len > 2 * RECORD13_SECRET_BYTES_MAX)
        return 0;
    for (size_t i = 0; i < hex.len; i += 2) {
        int high = hex_value(hex.p[i]), low = hex_value(hex.p[i + 1]);

        if (high < 0 || low < 0)
            return 0;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return (uint8_t)(hex.len / 2);
}

/* "CLIENT_TRAFFIC_SECRET_0 <client random> <secret>": the only way out for these in OpenSSL 3.0. */
static void key_logged(const SSL *ssl, const char *line)
{
    struct tls *t = SSL_get_ex_data(ssl, ssl_index);
    struct str  rest = str_of(line);
    struct str  label = str_split(&rest, ' ');

    if (!t || !t->secrets)
        return;
    str_split(&rest, ' ');
    if (str_is(label, "CLIENT_TRAFFIC_SECRET_0"))
        t->secrets->client_bytes = secret_parse(rest, t->secrets->client);
    else if (str_is(label, "SERVER_TRAFFIC_SECRET_0"))
        t->secrets->server_bytes = secret_parse(rest, t->secrets->server);
}

/* RFC 9325: TLS 1.2 with forward secrecy and AEAD, TLS 1.3; nothing that is older. */
static void policy(SSL_CTX *s, const struct tls_settings *ts)
{
    SSL_CTX_set_min_proto_version(s, ts->tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(s, "ECDHE+AESGCM:ECDHE+CHACHA20:!PSK:!SRP");
    SSL_CTX_set_ciphersuites(s, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
    SSL_CTX_set1_groups_list(s, "X25519:P-256:P-384");
    SSL_CTX_set_options(s, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                               SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(s, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(s, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(s, 0);
    SSL_CTX_set_read_ahead(s, 0);
    SSL_CTX_set_keylog_callback(s, key_logged);
}

/* A server has nobody to ask for one. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static enum err identity(SSL_CTX *s, const struct tls_settings *ts, struct arena *a, struct str *why)
{
    SSL_CTX_set_default_passwd_cb(s, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(s, ts->certificate_file) != 1) {
        say(a, why, "the certificate", ts->certificate_file);
        return ERR_INVALID;
    }
    if (SSL_CTX_use_PrivateKey_file(s, ts->key_file, SSL_FILETYPE_PEM) != 1) {
        say(a, why, "the key", ts->key_file);
        return ERR_INVALID;
    }
    if (SSL_CTX_check_private_key(s) != 1) {
        if (a && why)
            *why = arena_printf(a, "the key \"%s\" does not belong to the certificate \"%s\"", ts->key_file, ts->certificate_file);
        return ERR_INVALID;
    }
    return OK;
}

/* With `look` nothing ends the handshake here: what the connection may do is decided by what it proves. */
static int look_at(int fine, X509_STORE_CTX *store)
{
    SSL        *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *t = ssl ? SSL_get_ex_data(ssl, ssl_index) : NULL;

    if (!fine && t)
        t->doubtful = true;
    return 1;
}

static enum err trust(SSL_CTX *s, const struct tls_settings *ts, struct arena *a, struct str *why)
{
    if ((ts->ca_file ? SSL_CTX_load_verify_locations(s, ts->ca_file, NULL) : SSL_CTX_set_default_verify_paths(s)) == 1)
        return OK;
    say(a, why, "the trusted certificates", ts->ca_file ? ts->ca_file : "/etc/ssl/certs");
    return ERR_INVALID;
}

enum err tls_ctx_new(const struct tls_settings *ts, struct tls_ctx **out, struct arena *a, struct str *why)
{
    struct tls_ctx *c = NEW(struct tls_ctx);
    enum err        e = OK;

    pthread_once(&setup_once, setup);
    ERR_clear_error();
    *out = NULL;
    c->refs = 1;
    c->look = ts->look;
    c->ssl = SSL_CTX_new(TLS_method());
    if (!c->ssl) {
        free(c);
        return ERR_BUG;
    }
    policy(c->ssl, ts);
    if (ts->alpn)
        alpn_encode(c, ts->alpn);
    if (ts->certificate_file) {
        e = identity(c->ssl, ts, a, why);
        if (c->alpn_len)
            SSL_CTX_set_alpn_select_cb(c->ssl, choose_alpn, c);
    }
    if (!e && (!ts->certificate_file || ts->verify || ts->look)) {
        if (c->alpn_len)
            SSL_CTX_set_alpn_protos(c->ssl, c->alpn, (unsigned)c->alpn_len);
        if (ts->verify || ts->look)
            e = trust(c->ssl, ts, a, why);
        SSL_CTX_set_verify(c->ssl, ts->verify || ts->look ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, ts->look ? look_at : NULL);
        /* A server's certificate is shown by whoever connects too (XEP-0178 §3): it need not be one for clients. */
        if (ts->look)
            SSL_CTX_set_purpose(c->ssl, X509_PURPOSE_ANY);
    }
    if (e) {
        tls_ctx_unref(&c);
        return e;
    }
    *out = c;
    return OK;
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *c)
{
    c->refs++;
    return c;
}

void tls_ctx_unref(struct tls_ctx **c)
{
    if (*c && --(*c)->refs == 0) {
        SSL_CTX_free((*c)->ssl);
        free(*c);
    }
    *c = NULL;
}

int64_t tls_ctx_expires_us(const struct tls_ctx *c)
{
    X509     *x = SSL_CTX_get0_certificate(c->ssl);
    struct tm tm;

    if (!x || ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm) * 1000000;
}

/* ---- connections ---- */

static bool is_address(const char *name)
{
    uint8_t bytes[16];

    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static void client_names(struct tls *t, struct str server_name)
{
    char name[256];
    bool usable = server_name.len && str_copy(server_name, name, sizeof name);

    if (usable && !is_address(name))    /* no addresses in SNI (RFC 6066 §3) */
        SSL_set_tlsext_host_name(t->ssl, name);
    if (usable && !t->ctx->look)
        usable = SSL_set1_host(t->ssl, name) == 1;
    t->nameless = !usable && SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE;
}

struct tls *tls_new(struct tls_ctx *ctx, bool server, struct str server_name)
{
    struct tls *t = NEW(struct tls);
    BIO        *b = BIO_new(bio_method);

    t->ctx = tls_ctx_ref(ctx);
    t->ssl = SSL_new(ctx->ssl);
    if (!b || !t->ssl || SSL_set_ex_data(t->ssl, ssl_index, t) != 1)
        abort();        /* memory, and nothing else, fails here */
    BIO_set_data(b, t);
    BIO_set_init(b, 1);
    SSL_set_bio(t->ssl, b, b);
    if (slim && !ctx->look)
        t->secrets = NEW(struct secrets);
    if (server) {
        SSL_set_accept_state(t->ssl);
        return t;
    }
    SSL_set_connect_state(t->ssl);
    client_names(t, server_name);
    return t;
}

static void secrets_free(struct tls *t)
{
    if (!t->secrets)
        return;
    mem_wipe(t->secrets, sizeof *t->secrets);
    free(t->secrets);
    t->secrets = NULL;
}

static void facts_free(struct tls *t)
{
    if (!t->facts)
        return;
    mem_wipe(t->facts, sizeof *t->facts);
    free(t->facts);
    t->facts = NULL;
}

void tls_free(struct tls **tp)
{
    struct tls *t = *tp;

    if (!t)
        return;
    secrets_free(t);
    SSL_free(t->ssl);
    record13_free(&t->records);
    facts_free(t);
    tls_ctx_unref(&t->ctx);
    free(t);
    *tp = NULL;
}

bool tls_ready(const struct tls *t) { return !t->ssl || SSL_is_init_finished(t->ssl); }

/* ---- slim ---- */

static void facts_take(struct tls *t)
{
    struct str    alpn = tls_alpn(t), sni = tls_sni(t);
    struct facts *f;
    size_t        bytes;

    if (sni.len > UINT8_MAX)
        sni.len = 0;    /* OpenSSL refuses such names */
    f = mem_new(sizeof *f + alpn.len + sni.len);
    f->version = tls_version(t);
    f->cipher = tls_cipher(t);
    f->exporter_err = tls_exporter(t, f->exporter);
    f->end_point_err = tls_server_end_point(t, f->end_point, &bytes);
    f->end_point_bytes = f->end_point_err ? 0 : (uint8_t)bytes;
    f->alpn_bytes = (uint8_t)alpn.len;
    f->sni_bytes = (uint8_t)sni.len;
    if (alpn.len)
        memcpy(f->names, alpn.p, alpn.len);
    if (sni.len)
        memcpy(f->names + alpn.len, sni.p, sni.len);
    t->facts = f;
}

/* After the handshake, and before OpenSSL carried a record under the application keys: it reads no
 * further than the record it needs, and writes no ticket, so both directions stand at record 0. */
static void become_slim(struct tls *t)
{
    int    suite = (int)SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(t->ssl));
    size_t bytes = record13_secret_bytes(suite);

    if (SSL_version(t->ssl) == TLS1_3_VERSION && bytes && t->secrets->client_bytes == bytes &&
        t->secrets->server_bytes == bytes && !SSL_has_pending(t->ssl)) {
        facts_take(t);
        t->records = record13_new(suite, SSL_is_server(t->ssl), t->secrets->client, t->secrets->server);
        SSL_set_quiet_shutdown(t->ssl, 1);
        SSL_free(t->ssl);
        t->ssl = NULL;
    }
    secrets_free(t);
}

/* ---- bytes ---- */

/* What an OpenSSL call that did not succeed means. */
static enum err meaning(struct tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return OK;
    case SSL_ERROR_ZERO_RETURN:
        return ERR_CLOSED;
    default:
        return SSL_get_verify_result(t->ssl) != X509_V_OK && !SSL_is_server(t->ssl) ? ERR_UNAUTHORIZED : ERR_INVALID;
    }
}

/* Goes on with the handshake as far as the bytes at hand reach. */
static enum err handshake(struct tls *t)
{
    int n;

    if (t->nameless)
        return ERR_INVALID;
    n = SSL_do_handshake(t->ssl);
    if (n != 1)
        return meaning(t, n);
    if (t->secrets)
        become_slim(t);
    return OK;
}

enum err tls_start(struct tls *t, struct buf *wire)
{
    enum err e;

    ERR_clear_error();
    t->wire = wire;
    e = handshake(t);
    t->wire = NULL;
    return e;
}

static enum err read_all(struct tls *t, struct buf *plain)
{
    for (;;) {
        char  *at = buf_reserve(plain, RECORD13_PLAIN_BYTES_MAX);
        size_t got;
        int    n;

        if (!at)
            return ERR_LIMIT;
        n = SSL_read_ex(t->ssl, at, RECORD13_PLAIN_BYTES_MAX, &got);
        if (n != 1)
            return meaning(t, n);
        plain->len += got;
    }
}

enum err tls_feed(struct tls *t, struct str in, struct buf *plain, struct buf *wire)
{
    enum err e = OK;

    if (t->records)
        return record13_feed(t->records, in, plain, wire);
    ERR_clear_error();
    t->in = in;
    t->wire = wire;
    if (!SSL_is_init_finished(t->ssl))
        e = handshake(t);
    if (!e && t->records)
        e = record13_feed(t->records, t->in, plain, wire);
    else if (!e && SSL_is_init_finished(t->ssl))
        e = read_all(t, plain);
    t->wire = NULL;
    t->in = STR_NULL;
    return e;
}

enum err tls_write(struct tls *t, struct str plain, struct buf *wire)
{
    enum err e = OK;

    if (t->records)
        return record13_write(t->records, plain, wire);
    if (!SSL_is_init_finished(t->ssl))
        return ERR_AGAIN;
    ERR_clear_error();
    t->wire = wire;
    while (plain.len && !e) {
        size_t wrote;
        int    n = SSL_write_ex(t->ssl, plain.p, plain.len, &wrote);

        if (n != 1) {
            e = wire->overflow ? ERR_LIMIT : ERR_CLOSED;
            break;
        }
        plain = str_make(plain.p + wrote, plain.len - wrote);
    }
    t->wire = NULL;
    return e;
}

void tls_close(struct tls *t, struct buf *wire)
{
    if (t->records) {
        record13_close(t->records, wire);
        return;
    }
    ERR_clear_error();
    t->wire = wire;
    if (SSL_is_init_finished(t->ssl))
        SSL_shutdown(t->ssl);
    t->wire = NULL;
}

/* ---- looking ---- */

enum err tls_exporter(const struct tls *t, uint8_t out[32])
{
    static const char label[] = "EXPORTER-Channel-Binding";

    if (t->facts) {
        memcpy(out, t->facts->exporter, sizeof t->facts->exporter);
        return t->facts->exporter_err;
    }
    if (!tls_ready(t))
        return ERR_AGAIN;
    /* RFC 9266 §3: in TLS 1.2 the exporter is unique only with the extended master secret */
    if (SSL_version(t->ssl) < TLS1_3_VERSION && SSL_get_extms_support(t->ssl) != 1)
        return ERR_UNSUPPORTED;
    /* the context is there and of length zero (§2), which in TLS 1.2 differs from none (RFC 5705 §4) */
    if (SSL_export_keying_material(t->ssl, out, 32, label, sizeof label - 1, (const uint8_t *)"", 0, 1) != 1)
        return ERR_BUG;
    return OK;
}

enum err tls_server_end_point(const struct tls *t, uint8_t out[TLS_BINDING_BYTES_MAX], size_t *bytes)
{
    X509         *x;
    const EVP_MD *md;
    int           nid = NID_undef;
    unsigned      n;

    if (t->facts) {
        *bytes = t->facts->end_point_bytes;
        memcpy(out, t->facts->end_point, *bytes);
        return t->facts->end_point_err;
    }
    x = SSL_is_server(t->ssl) ? SSL_get_certificate(t->ssl) : SSL_get0_peer_certificate(t->ssl);
    if (!x || !tls_ready(t))
        return ERR_AGAIN;
    if (OBJ_find_sigid_algs(X509_get_signature_nid(x), &nid, NULL) != 1)
        nid = NID_undef;
    if (nid == NID_md5 || nid == NID_sha1)      /* RFC 5929 §4.1 */
        nid = NID_sha256;
    md = nid == NID_undef ? NULL : EVP_get_digestbynid(nid);    /* Ed25519 has none: not defined */
    if (!md || X509_digest(x, md, out, &n) != 1)
        return ERR_UNSUPPORTED;
    *bytes = n;
    return OK;
}

const char *tls_version(const struct tls *t) { return t->facts ? t->facts->version : SSL_get_version(t->ssl); }
const char *tls_cipher(const struct tls *t) { return t->facts ? t->facts->cipher : SSL_get_cipher(t->ssl); }

struct str tls_alpn(const struct tls *t)
{
    const unsigned char *p = NULL;
    unsigned             n = 0;

    if (t->facts)
        return str_make(t->facts->names, t->facts->alpn_bytes);
    SSL_get0_alpn_selected(t->ssl, &p, &n);
    return str_make((const char *)p, n);
}

struct str tls_sni(const struct tls *t)
{
    if (t->facts)
        return str_make(t->facts->names + t->facts->alpn_bytes, t->facts->sni_bytes);
    return str_of(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name));
}

/* ---- a certificate for the first hour ---- */

static X509 *certificate_make(EVP_PKEY *key, const char *names)
{
    X509            *x = X509_new();
    X509_NAME       *subject = X509_get_subject_name(x);
    struct str       rest = str_of(names), one;
    struct buf       san;
    char             first[256];
    X509_EXTENSION  *ext;
    X509V3_CTX       v3;

    buf_init(&san, 4096);
    first[0] = '\0';
    while (rest.len) {
        char name[256];

        one = str_trim(str_split(&rest, ','));
        if (one.len == 0 || !str_copy(one, name, sizeof name))
            continue;
        if (!first[0])
            memcpy(first, name, sizeof first);
        buf_printf(&san, "%s%s:%s", san.len ? "," : "", is_address(name) ? "IP" : "DNS", name);
    }
    buf_put_c(&san, '\0');
    X509_set_version(x, 2);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), (uint64_t)time(NULL));
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3650L * 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const uint8_t *)first, -1, -1, 0);
    X509_set_issuer_name(x, subject);
    X509V3_set_ctx_nodb(&v3);
    X509V3_set_ctx(&v3, x, x, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &v3, NID_subject_alt_name, san.p);
    if (ext)
        X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
    ext = X509V3_EXT_conf_nid(NULL, &v3, NID_basic_constraints, "critical,CA:TRUE");
    if (ext)
        X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
    buf_done(&san);
    if (X509_sign(x, key, EVP_sha256()) == 0) {
        X509_free(x);
        return NULL;
    }
    return x;
}

static enum err new_file(const char *path, FILE **out)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    *out = fd < 0 ? NULL : fdopen(fd, "w");
    return *out ? OK : err_from_errno(errno);
}

static enum err write_key(const char *path, EVP_PKEY *key)
{
    FILE    *f;
    enum err e = new_file(path, &f);

    if (!f)
        return e;
    if (PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) != 1)
        e = ERR_IO;
    return fclose(f) ? ERR_IO : e;
}

static enum err write_certificate(const char *path, X509 *x)
{
    FILE    *f;
    enum err e = new_file(path, &f);

    if (!f)
        return e;
    if (PEM_write_X509(f, x) != 1)
        e = ERR_IO;
    return fclose(f) ? ERR_IO : e;
}

enum err tls_self_signed(const char *names, const char *certificate_file, const char *key_file)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509     *x = key ? certificate_make(key, names) : NULL;
    enum err  e = x ? write_key(key_file, key) : ERR_INVALID;

    if (!e) {
        e = write_certificate(certificate_file, x);
        if (e)
            unlink(key_file);       /* ours, and of no use alone */
    }
    X509_free(x);
    EVP_PKEY_free(key);
    return e;
}

/* ---- whose certificate it is ---- */

static bool other_name_is(const GENERAL_NAME *g, const char *oid, struct str text)
{
    const ASN1_TYPE *value;
    char             name[64];

    if (g->type != GEN_OTHERNAME || OBJ_obj2txt(name, sizeof name, g->d.otherName->type_id, 1) <= 0 || strcmp(name, oid) != 0)
        return false;
    value = g->d.otherName->value;
    if (value->type != V_ASN1_UTF8STRING && value->type != V_ASN1_IA5STRING)
        return false;
    return str_eq_nocase(text, str_make((const char *)ASN1_STRING_get0_data(value->value.asn1_string),
                                        (size_t)ASN1_STRING_length(value->value.asn1_string)));
}

static bool names_xmpp(X509 *x, struct str domain, struct str domain_text, const char *service)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    char           srv[320];
    int            n = snprintf(srv, sizeof srv, "_%s.%.*s", service, STR_ARG(domain));
    bool           found = false;

    if (n < 0 || n >= (int)sizeof srv)
        n = 0;
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && !found; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

        found = other_name_is(g, "1.3.6.1.5.5.7.8.7", str_make(srv, (size_t)n)) ||      /* id-on-dnsSRV (RFC 4985) */
                other_name_is(g, "1.3.6.1.5.5.7.8.5", domain_text);                     /* id-on-xmppAddr */
    }
    GENERAL_NAMES_free(names);
    return found;
}

bool tls_peer_proves(const struct tls *t, struct str domain, struct str domain_text, const char *service)
{
    X509 *x = t->ssl ? SSL_get0_peer_certificate(t->ssl) : NULL;

    if (!x || t->doubtful || !tls_ready(t) || domain.len == 0 || memchr(domain.p, 0, domain.len))
        return false;
    return X509_check_host(x, domain.p, domain.len, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1 ||
           names_xmpp(x, domain, domain_text, service);
}
