/* scram.c: SCRAM messages and proofs (RFC 5802 §5 and §7).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/scram.h"
#include "base/mem.h"
#include "wire/base64.h"

/* ---- reading ---- */

/* saslname: "=2C" is a comma, "=3D" an equals sign, any other "=" an error (§5.1). */
static bool saslname_decode(struct arena *a, struct str in, struct str *out)
{
    char  *p = arena_alloc(a, in.len + 1);
    size_t n = 0;

    for (size_t i = 0; i < in.len; i++) {
        if (in.p[i] != '=') {
            p[n++] = in.p[i];
            continue;
        }
        if (in.len - i < 3)
            return false;
        if (memcmp(in.p + i, "=2C", 3) == 0)
            p[n++] = ',';
        else if (memcmp(in.p + i, "=3D", 3) == 0)
            p[n++] = '=';
        else
            return false;
        i += 2;
    }
    *out = str_make(p, n);
    return memchr(p, 0, n) == NULL && str_is_utf8(*out);
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* cb-name = 1*(ALPHA / DIGIT / "." / "-") */
static bool is_binding_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_alpha(s.p[i]) && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '.' && s.p[i] != '-')
            return false;
    return s.len > 0;
}

static bool is_nonce(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < 0x21 || s.p[i] > 0x7e || s.p[i] == ',')
            return false;
    return s.len > 0;
}

/* The value of "<name>=value" up to the next comma; false if another attribute stands there. */
static bool attribute(struct str *rest, char name, struct str *value)
{
    struct str field;

    if (rest->len < 2 || rest->p[0] != name || rest->p[1] != '=')
        return false;
    field = str_split(rest, ',');
    *value = str_make(field.p + 2, field.len - 2);
    return true;
}

/* Extensions may follow and are ignored, except that "m" may not be (§5.1),
 * and that each is "<letter>=<one or more characters>". */
static bool extension(struct str field)
{
    return field.len >= 3 && is_alpha(field.p[0]) && field.p[1] == '=' && field.p[0] != 'm' && str_is_utf8(field) &&
           memchr(field.p, 0, field.len) == NULL;
}

static bool extensions(struct str rest)
{
    while (rest.p)
        if (!extension(str_split(&rest, ',')))
            return false;
    return true;
}

/* gs2-header = gs2-cbind-flag "," [ "a=" saslname ] "," */
static bool parse_gs2(struct arena *a, struct str *rest, struct scram_first *out)
{
    struct str flag = str_split(rest, ','), authzid;

    if (flag.len == 0 || !rest->p)
        return false;
    out->flag = flag.p[0];
    if (out->flag == 'p') {
        if (flag.len < 3 || flag.p[1] != '=')
            return false;
        out->binding_name = str_make(flag.p + 2, flag.len - 2);
        if (!is_binding_name(out->binding_name))
            return false;
    } else if (flag.len != 1 || (out->flag != 'n' && out->flag != 'y')) {
        return false;
    }
    authzid = str_split(rest, ',');
    if (!rest->p)
        return false;
    if (authzid.len == 0)
        return true;
    if (authzid.len < 3 || authzid.p[0] != 'a' || authzid.p[1] != '=')
        return false;
    return saslname_decode(a, str_make(authzid.p + 2, authzid.len - 2), &out->authzid);
}

enum sasl_failure scram_parse_first(struct arena *a, struct str in, struct scram_first *out)
{
    struct str rest = in, name;

    *out = (struct scram_first){ 0 };
    if (in.len == 0 || in.len > SCRAM_FIRST_BYTES_MAX || !parse_gs2(a, &rest, out))
        return SASL_MALFORMED_REQUEST;
    out->gs2_header = str_make(in.p, in.len - rest.len);
    out->bare = rest;
    if (!attribute(&rest, 'n', &name) || !saslname_decode(a, name, &out->user) || out->user.len == 0)
        return SASL_MALFORMED_REQUEST;
    if (!attribute(&rest, 'r', &out->nonce) || !is_nonce(out->nonce) || out->nonce.len > SCRAM_NONCE_BYTES_MAX)
        return SASL_MALFORMED_REQUEST;
    return extensions(rest) ? SASL_FINE : SASL_MALFORMED_REQUEST;
}

/* The proof is the last attribute. */
static bool parse_proof(struct arena *a, struct str in, struct str *rest, struct scram_final *out)
{
    while (rest->p) {
        struct str field = str_split(rest, ',');

        if (field.len > 2 && field.p[0] == 'p' && field.p[1] == '=') {
            out->without_proof = str_make(in.p, (size_t)(field.p - in.p) - 1);
            return !rest->p && base64_decode(a, str_make(field.p + 2, field.len - 2), &out->proof) == OK;
        }
        if (!extension(field))
            return false;
    }
    return false;
}

enum sasl_failure scram_parse_final(struct arena *a, struct str in, struct scram_final *out)
{
    struct str rest = in, binding;

    *out = (struct scram_final){ 0 };
    if (in.len == 0 || in.len > SCRAM_FINAL_BYTES_MAX)
        return SASL_MALFORMED_REQUEST;
    if (!attribute(&rest, 'c', &binding) || base64_decode(a, binding, &out->binding))
        return SASL_MALFORMED_REQUEST;
    if (!attribute(&rest, 'r', &out->nonce) || !is_nonce(out->nonce))
        return SASL_MALFORMED_REQUEST;
    return parse_proof(a, in, &rest, out) ? SASL_FINE : SASL_MALFORMED_REQUEST;
}

/* ---- answering ---- */

void scram_done(struct scram *s)
{
    buf_done(&s->auth);
    buf_done(&s->binding);
    mem_wipe(s, sizeof *s);
}

struct str scram_challenge(struct scram *s, const struct scram_first *f, struct str binding,
                           struct str server_nonce, const struct credential *key)
{
    s->key = *key;
    buf_init(&s->auth, 0);
    buf_put_str(&s->auth, f->bare);
    buf_put_c(&s->auth, ',');
    s->server_first_at = s->auth.len;
    BUF_LIT(&s->auth, "r=");
    s->nonce_at = s->auth.len;
    buf_put_str(&s->auth, f->nonce);
    buf_put_str(&s->auth, server_nonce);
    s->nonce_bytes = s->auth.len - s->nonce_at;
    BUF_LIT(&s->auth, ",s=");
    base64_put(&s->auth, str_make((const char *)key->salt, key->salt_bytes));
    BUF_LIT(&s->auth, ",i=");
    buf_put_u64(&s->auth, (uint64_t)key->iterations);
    buf_init(&s->binding, 0);
    buf_put_str(&s->binding, f->gs2_header);
    buf_put_str(&s->binding, binding);
    return str_make(s->auth.p + s->server_first_at, s->auth.len - s->server_first_at);
}

/* ClientKey := ClientProof XOR HMAC(StoredKey, AuthMessage); its hash must be StoredKey (§3). */
static bool proof_is_right(const struct scram *s, struct str auth_message, struct str proof)
{
    size_t  n = digest_bytes(s->key.kind);
    uint8_t key[DIGEST_BYTES_MAX], hash[DIGEST_BYTES_MAX];
    bool    right;

    if (proof.len != n)
        return false;
    hmac(s->key.kind, str_make((const char *)s->key.stored_key, n), auth_message, key);
    for (size_t i = 0; i < n; i++)
        key[i] ^= (uint8_t)proof.p[i];
    digest(s->key.kind, str_make((char *)key, n), hash);
    right = str_eq_secret(str_make((char *)hash, n), str_make((const char *)s->key.stored_key, n));
    mem_wipe(key, sizeof key);
    return right;
}

bool scram_check(struct scram *s, const struct scram_final *f, struct buf *out)
{
    struct str nonce = str_make(s->auth.p + s->nonce_at, s->nonce_bytes);
    size_t     n = digest_bytes(s->key.kind);
    uint8_t    signature[DIGEST_BYTES_MAX];
    struct str auth_message;

    if (!str_eq(nonce, f->nonce) || !str_eq_secret(buf_str(&s->binding), f->binding))
        return false;
    buf_put_c(&s->auth, ',');
    buf_put_str(&s->auth, f->without_proof);
    auth_message = buf_str(&s->auth);
    if (!proof_is_right(s, auth_message, f->proof))
        return false;
    hmac(s->key.kind, str_make((const char *)s->key.server_key, n), auth_message, signature);
    BUF_LIT(out, "v=");
    base64_put(out, str_make((char *)signature, n));
    return true;
}
