/* fuzz_courier.c: what other processes may say to courier, and courier to them; lists of domains.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "courier/courier.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sent(struct str in)
{
    struct codec_reader   r = codec_open(in, COURIER_PAYLOAD_VERSION), again;
    struct courier_stanza s, t;
    struct buf            b;

    if (courier_send_read(&r, &s) != OK)
        return;
    if (s.local.len == 0 || s.remote.len == 0 || s.text.len < 4 || s.text.p[0] != '<')
        abort();
    buf_init(&b, 0);
    courier_send_write(&b, &s);
    again = codec_open(buf_str(&b), COURIER_PAYLOAD_VERSION);
    if (courier_send_read(&again, &t) != OK || !str_eq(s.text, t.text) || !str_eq(s.name, t.name) || s.flags != t.flags)
        abort();
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct courier_figures figures;
    struct str in = str_make((const char *)data, size), remote, text, list = in, domain = str_split(&list, '\n');

    sent(in);
    if (courier_figures_read(in, &figures) == OK && (figures.domain_count > COURIER_DOMAINS_TOLD_MAX || figures.disk >= ERR_COUNT))
        abort();
    if (courier_came_read(in, &remote, &text) == OK && (remote.len == 0 || text.p[0] != '<'))
        abort();
    /* a list of one name holds that name, if nothing in it splits or trims it */
    courier_domain_in(list, domain);
    if (domain.len && str_find(domain, ',') < 0 && domain.p[0] != '*' && str_eq(str_trim(domain), domain) && !courier_domain_in(domain, domain))
        abort();
    return 0;
}
