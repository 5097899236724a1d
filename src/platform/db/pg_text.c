/* pg_text.c: see pg_text.h. It walks over tokens once and looks at most five ahead.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "db/pg_text.h"

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_QUOTED, TOKEN_PARAMETER, TOKEN_BLOB, TOKEN_SPACE, TOKEN_OTHER, TOKEN_WRONG };

struct token {
    enum token_kind kind;
    struct str      text;
};

struct translation {
    struct buf *out;
    bool        makes_columns;     /* CREATE or ALTER: a type is a column's */
    int         depth;             /* of parentheses */
    int         blob_depth;        /* where a zeroblob( ends; 0: none is open */
};

/* ---- tokens ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Bytes of "…", a doubled quote inside belongs to it; 0: it has no end. */
static size_t quoted_bytes(struct str s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.p[i] != s.p[0])
            continue;
        if (i + 1 == s.len || s.p[i + 1] != s.p[0])
            return i + 1;
        i++;
    }
    return 0;
}

static size_t comment_bytes(struct str s)
{
    const char *end;

    if (s.p[0] == '-') {
        end = memchr(s.p, '\n', s.len);
        return end ? (size_t)(end - s.p) + 1 : s.len;
    }
    end = memmem(s.p + 2, s.len - 2, "*/", 2);
    return end ? (size_t)(end - s.p) + 2 : 0;
}

static size_t run_bytes(struct str s, size_t from, bool (*is_in)(char c), bool digits_too)
{
    while (from < s.len && (is_in(s.p[from]) || (digits_too && is_digit(s.p[from]))))
        from++;
    return from;
}

static struct token token_of(struct str *rest, enum token_kind kind, size_t bytes)
{
    struct token t = { bytes ? kind : TOKEN_WRONG, str_make(rest->p, bytes) };

    rest->p += bytes;
    rest->len -= bytes;
    return t;
}

static struct token token_next(struct str *rest)
{
    char c, then;

    if (!rest->len)
        return (struct token){ TOKEN_END, STR("") };
    c = rest->p[0];
    then = rest->len > 1 ? rest->p[1] : '\0';
    if (is_space(c))
        return token_of(rest, TOKEN_SPACE, run_bytes(*rest, 0, is_space, false));
    if ((c == '-' && then == '-') || (c == '/' && then == '*'))
        return token_of(rest, TOKEN_SPACE, comment_bytes(*rest));
    if (c == '\'' || c == '"')
        return token_of(rest, TOKEN_QUOTED, quoted_bytes(*rest));
    if ((c == 'x' || c == 'X') && then == '\'') {
        size_t bytes = quoted_bytes(str_make(rest->p + 1, rest->len - 1));

        return token_of(rest, TOKEN_BLOB, bytes ? bytes + 1 : 0);
    }
    if (is_letter(c))
        return token_of(rest, TOKEN_WORD, run_bytes(*rest, 1, is_letter, true));
    if (c == '?')
        return token_of(rest, TOKEN_PARAMETER, run_bytes(*rest, 1, is_digit, false));
    if (is_digit(c))
        return token_of(rest, TOKEN_OTHER, run_bytes(*rest, 1, is_letter, true));
    return token_of(rest, c == '\0' ? TOKEN_WRONG : TOKEN_OTHER, 1);
}

static struct token token_beyond_space(struct str *rest)
{
    struct token t;

    do
        t = token_next(rest);
    while (t.kind == TOKEN_SPACE);
    return t;
}

/* Takes the word `z` off `rest` if it comes next. */
static bool take_word(struct str *rest, const char *z)
{
    struct str ahead = *rest;
    struct token t = token_beyond_space(&ahead);

    if (t.kind != TOKEN_WORD || !str_is(t.text, z))
        return false;
    *rest = ahead;
    return true;
}

/* ---- words ---- */

/* JOIN x ON, JOIN x y ON, JOIN x AS y ON: `rest` stands before JOIN. */
static bool join_has_condition(struct str rest)
{
    if (!take_word(&rest, "JOIN"))
        return false;
    for (int words = 0; words < 3; words++) {
        struct token t = token_beyond_space(&rest);

        if (t.kind != TOKEN_WORD)
            return false;
        if (take_word(&rest, "ON"))
            return true;
    }
    return false;
}

static bool opens_next(struct str rest)
{
    struct token t = token_beyond_space(&rest);

    return str_is(t.text, "(");
}

static void put_word(struct translation *t, struct str word, struct str *rest)
{
    static const struct { const char *from, *to; } plain[] = {
        { "INTEGER", "bigint" }, { "BIGINT", "bigint" }, { "INT", "bigint" }, { "BLOB", "bytea" }, { "user", "\"user\"" },
    };
    struct str ahead = *rest;

    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (str_is(word, plain[i].from)) {
            buf_put_z(t->out, plain[i].to);
            return;
        }
    if (str_is(word, "TEXT")) {
        buf_put_z(t->out, t->makes_columns ? "text COLLATE \"C\"" : "text");
    } else if (str_is(word, "WITHOUT") && take_word(&ahead, "ROWID")) {
        *rest = ahead;
    } else if (str_is(word, "zeroblob") && !t->blob_depth && opens_next(*rest)) {
        token_beyond_space(rest);
        t->blob_depth = ++t->depth;
        buf_put_z(t->out, "decode(repeat('00', ");
    } else if (!str_is(word, "CROSS") || !join_has_condition(*rest)) {
        buf_put_str(t->out, word);
    }
}

static enum err put_parameter(struct translation *t, struct str text)
{
    uint64_t number;

    if (!str_to_u64(str_make(text.p + 1, text.len - 1), &number) || number < 1 || number > PG_PARAMS_MAX)
        return ERR_INVALID;
    buf_put_c(t->out, '$');
    buf_put_u64(t->out, number);
    return OK;
}

static void put_blob(struct translation *t, struct str text)
{
    buf_put_z(t->out, "'\\x");
    buf_put_str(t->out, str_make(text.p + 2, text.len - 2));
    buf_put_z(t->out, "::bytea");
}

static void put_other(struct translation *t, struct str text)
{
    if (str_is(text, "("))
        t->depth++;
    if (str_is(text, ")") && t->depth > 0 && t->depth-- == t->blob_depth) {
        t->blob_depth = 0;
        buf_put_z(t->out, "), 'hex'");
    }
    buf_put_str(t->out, text);
}

static enum err put_token(struct translation *t, struct token k, struct str *rest)
{
    switch (k.kind) {
    case TOKEN_WORD:
        if (!t->out->len)
            t->makes_columns = str_is(k.text, "CREATE") || str_is(k.text, "ALTER");
        put_word(t, k.text, rest);
        return OK;
    case TOKEN_PARAMETER:
        return put_parameter(t, k.text);
    case TOKEN_BLOB:
        put_blob(t, k.text);
        return OK;
    case TOKEN_SPACE:
        if (t->out->len)
            buf_put_c(t->out, ' ');
        return OK;
    case TOKEN_QUOTED:
        buf_put_str(t->out, k.text);
        return OK;
    case TOKEN_OTHER:
        put_other(t, k.text);
        return OK;
    default:
        return ERR_INVALID;
    }
}

enum err pg_text_next(struct str *rest, struct buf *out)
{
    struct translation t = { .out = out };

    buf_clear(out);
    for (;;) {
        struct token k = token_next(rest);
        enum err e;

        if (k.kind == TOKEN_END || (k.kind == TOKEN_OTHER && str_is(k.text, ";")))
            return t.blob_depth ? ERR_INVALID : OK;
        e = put_token(&t, k, rest);
        if (e)
            return e;
    }
}

bool pg_text_writes(const char *sql)
{
    struct str rest = str_of(sql);
    struct token t = token_beyond_space(&rest);

    return t.kind == TOKEN_WORD && (str_is(t.text, "INSERT") || str_is(t.text, "UPDATE") || str_is(t.text, "DELETE"));
}
