/* payload.c: courier.h's payloads. Needed by talk and the keeper too, so nothing else of this folder is used here.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/courier.h"

void courier_send_write(struct buf *b, const struct courier_stanza *s)
{
    codec_begin(b, COURIER_PAYLOAD_VERSION);
    codec_put_u64(b, s->flags);
    codec_put_str(b, s->name);
    codec_put_str(b, s->local);
    codec_put_str(b, s->remote);
    codec_put_str(b, s->text);
}

/* Stanza texts are pasted into streams: at least their ends are looked at. */
static bool is_element(struct str text)
{
    return text.len >= 4 && text.p[0] == '<' && text.p[text.len - 1] == '>' && !memchr(text.p, 0, text.len);
}

enum err courier_send_read(struct codec_reader *r, struct courier_stanza *out)
{
    *out = (struct courier_stanza){ .flags = (unsigned)codec_u64(r) };
    out->name = codec_str(r, COURIER_NAME_BYTES_MAX);
    out->local = codec_str(r, COURIER_DOMAIN_BYTES_MAX);
    out->remote = codec_str(r, COURIER_DOMAIN_BYTES_MAX);
    out->text = codec_str(r, COURIER_STANZA_BYTES_MAX);
    if (!codec_ok(r) || out->local.len == 0 || out->remote.len == 0 || !is_element(out->text))
        return ERR_INVALID;
    return (out->flags & COURIER_KEEP) && out->name.len == 0 ? ERR_INVALID : OK;
}

void courier_came_write(struct buf *b, struct str remote, struct str text)
{
    codec_begin(b, COURIER_PAYLOAD_VERSION);
    codec_put_str(b, remote);
    codec_put_str(b, text);
}

enum err courier_came_read(struct str payload, struct str *remote, struct str *text)
{
    struct codec_reader r = codec_open(payload, COURIER_PAYLOAD_VERSION);

    *remote = codec_str(&r, COURIER_DOMAIN_BYTES_MAX);
    *text = codec_str(&r, COURIER_STANZA_BYTES_MAX);
    return codec_ok(&r) && remote->len && is_element(*text) ? OK : ERR_INVALID;
}

void courier_figures_write(struct buf *b, const struct courier_figures *f)
{
    codec_begin(b, COURIER_PAYLOAD_VERSION);
    codec_put_u64(b, f->on);
    codec_put_u64(b, f->disk);
    codec_put_i64(b, f->commits_waiting);
    codec_put_i64(b, f->now_us);
    codec_put_i64(b, f->out_count);
    codec_put_i64(b, f->in_count);
    codec_put_i64(b, f->waiting);
    codec_put_i64(b, f->domains_waiting);
    codec_put_i64(b, f->oldest_us);
    codec_put_i64(b, f->push_waiting);
    codec_put_u64(b, (uint64_t)f->domain_count);
    for (int i = 0; i < f->domain_count; i++) {
        codec_put_str(b, f->domains[i].name);
        codec_put_i64(b, f->domains[i].waiting);
        codec_put_i64(b, f->domains[i].oldest_us);
        codec_put_u64(b, f->domains[i].away);
    }
}

enum err courier_figures_read(struct str payload, struct courier_figures *out)
{
    struct codec_reader r = codec_open(payload, COURIER_PAYLOAD_VERSION);
    uint64_t            disk, count;

    *out = (struct courier_figures){ .on = codec_u64(&r) != 0 };
    disk = codec_u64(&r);
    out->commits_waiting = codec_i64(&r);
    out->now_us = codec_i64(&r);
    out->out_count = codec_i64(&r);
    out->in_count = codec_i64(&r);
    out->waiting = codec_i64(&r);
    out->domains_waiting = codec_i64(&r);
    out->oldest_us = codec_i64(&r);
    out->push_waiting = codec_i64(&r);
    count = codec_u64(&r);
    if (r.failed || disk >= ERR_COUNT || count > COURIER_DOMAINS_TOLD_MAX)
        return ERR_INVALID;
    out->disk = (enum err)disk;
    for (; out->domain_count < (int)count; out->domain_count++) {
        struct courier_domain *d = &out->domains[out->domain_count];

        d->name = codec_str(&r, COURIER_DOMAIN_BYTES_MAX);
        d->waiting = codec_i64(&r);
        d->oldest_us = codec_i64(&r);
        d->away = codec_u64(&r) != 0;
    }
    return codec_ok(&r) ? OK : ERR_INVALID;
}

bool courier_domain_in(struct str list, struct str domain)
{
    while (list.len) {
        struct str one = str_trim(str_split(&list, ','));

        if (one.len > 2 && one.p[0] == '*' && one.p[1] == '.') {
            if (str_ends(domain, str_make(one.p + 1, one.len - 1)) && domain.len >= one.len)
                return true;
        } else if (one.len && str_eq_nocase(one, domain)) {
            return true;
        }
    }
    return false;
}
