/* search_look.c: a kept message as search sees it: its text, what an edit would call it, and what it edits; see search.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/search.h"
#include "base/hash.h"
#include "talk/archive_id.h"
#include "talk/stanza.h"
#include "wire/fold.h"

/* ---- a kept message ---- */

#define NS_CORRECT  "urn:xmpp:message-correct:0"
#define NS_RETRACT  "urn:xmpp:message-retract:1"
#define NS_SID      "urn:xmpp:sid:0"
#define NS_EME      "urn:xmpp:eme:0"

static struct str bare_of(struct str jid)
{
    ptrdiff_t slash = str_find(jid, '/');

    return slash < 0 ? jid : str_make(jid.p, (size_t)slash);
}

static uint64_t name_of(struct arena *a, struct str author, struct str id, const uint8_t key[16])
{
    size_t   bytes = author.len + 1 + id.len;
    char    *text = arena_alloc(a, bytes);
    uint64_t h;

    if (author.len)
        memcpy(text, author.p, author.len);
    text[author.len] = '\n';
    if (id.len)
        memcpy(text + author.len + 1, id.p, id.len);
    h = hash_bytes_keyed(key, text, bytes);
    return h ? h : 1;
}

static void add_name(struct searched *m, struct arena *a, struct str author, struct str id, const uint8_t key[16])
{
    if (id.len && m->name_count < SEARCH_NAMES_MAX)
        m->names[m->name_count++] = name_of(a, author, id, key);
}

static void add_shown(struct searched *m, struct arena *a, struct str author, int64_t shown, const uint8_t key[16])
{
    struct buf id;

    buf_init(&id, 0);
    archive_id_put(&id, shown);
    add_name(m, a, author, buf_str(&id), key);
    add_name(m, a, bare_of(author), buf_str(&id), key);      /* the room itself, for its moderators */
    buf_done(&id);
}

static void fold_bodies(struct arena *a, const struct xml_node *m, struct searched *out)
{
    struct buf b;

    buf_init(&b, 0);
    for (const struct xml_node *n = xml_first(m); n; n = xml_next(n)) {
        if (!xml_is(n, "body", NS_CLIENT))
            continue;
        if (b.len)
            buf_put_c(&b, '\n');        /* a word does not go on in another language */
        fold_put(&b, xml_text(a, n));
    }
    out->folded = arena_str(a, buf_str(&b));
    buf_done(&b);
}

void search_look(struct arena *a, struct str kept, int64_t shown, const uint8_t key[16], struct searched *out)
{
    const struct xml_scope scope = { .default_ns = STR(NS_CLIENT) };
    struct xml_node       *m, *edit, *origin;
    struct str             author;
    bool                   group;

    *out = (struct searched){ 0 };
    if (xml_parse(a, kept, &scope, &m) != XML_FINE)
        return;
    group = str_is(xml_attr(m, "type"), "groupchat");
    author = group ? xml_attr(m, "from") : bare_of(xml_attr(m, "from"));
    edit = xml_child(m, "retract", NS_RETRACT);
    out->retracts = edit != NULL;
    if (!edit)
        edit = xml_child(m, "replace", NS_CORRECT);
    origin = xml_child(m, "origin-id", NS_SID);
    add_name(out, a, author, xml_attr(m, "id"), key);
    if (origin && !str_eq(xml_attr(origin, "id"), xml_attr(m, "id")))
        add_name(out, a, author, xml_attr(origin, "id"), key);
    if (group)
        add_shown(out, a, author, shown, key);
    if (edit && xml_attr(edit, "id").len) {
        out->edits = name_of(a, author, xml_attr(edit, "id"), key);
        add_name(out, a, author, xml_attr(edit, "id"), key);      /* a later edit of the same one hides this one too */
    }
    /* A retraction's text, and that beside a sealed one, is for clients that do not know better. */
    if (!out->retracts && !xml_child(m, "encryption", NS_EME))
        fold_bodies(a, m, out);
}

/* ---- edits ---- */

void search_edits_init(struct search_edits *e, struct arena *a)
{
    *e = (struct search_edits){ .cap = 64, .arena = a };
    e->slots = arena_zalloc(a, sizeof *e->slots * e->cap);
}

static size_t edit_slot(const struct search_edits *e, uint64_t name)
{
    size_t i = name & (e->cap - 1);

    while (e->slots[i].name && e->slots[i].name != name)
        i = (i + 1) & (e->cap - 1);
    return i;
}

void search_edits_add(struct search_edits *e, uint64_t name, int64_t id)
{
    size_t i;

    if (e->count * 2 >= e->cap) {
        struct search_edits larger = { .cap = e->cap * 4, .arena = e->arena };

        larger.slots = arena_zalloc(e->arena, sizeof *larger.slots * larger.cap);
        for (i = 0; i < e->cap; i++)
            if (e->slots[i].name)
                search_edits_add(&larger, e->slots[i].name, e->slots[i].id);
        *e = larger;
    }
    i = edit_slot(e, name);
    e->count += !e->slots[i].name;
    e->slots[i].name = name;
    if (id > e->slots[i].id)
        e->slots[i].id = id;
}

bool search_edits_hide(const struct search_edits *e, const struct searched *m, int64_t id)
{
    for (int i = 0; e->count && i < m->name_count; i++)
        if (e->slots[edit_slot(e, m->names[i])].id > id)
            return true;
    return false;
}

enum { HIDE_BYTES = 16 };       /* name and id, least significant byte first */

static void put_u64(struct buf *b, uint64_t v)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(v >> 8 * i);
    buf_put(b, bytes, sizeof bytes);
}

static uint64_t get_u64(const char *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v |= (uint64_t)(uint8_t)p[i] << 8 * i;
    return v;
}

void search_hides_put(struct buf *b, uint64_t name, int64_t id)
{
    put_u64(b, name);
    put_u64(b, (uint64_t)id);
}

void search_hides_read(struct str hides, struct search_edits *into)
{
    for (size_t at = 0; at + HIDE_BYTES <= hides.len; at += HIDE_BYTES)
        if (get_u64(hides.p + at))
            search_edits_add(into, get_u64(hides.p + at), (int64_t)get_u64(hides.p + at + 8));
}
