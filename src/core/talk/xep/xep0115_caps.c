/* XEP-0115 Entity Capabilities 1.6.0: the server says in its stream features what
 * disco would say, as a hash, so that clients need to ask once per version.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0115_caps.h"
#include "crypto/digest.h"
#include "talk/feature.h"
#include "wire/base64.h"

void caps_hash(const char *identities, const char *const *vars, int count, char ver[32])
{
    uint8_t    hash[20];
    struct buf b, text;

    buf_init(&b, 0);
    buf_init(&text, 0);
    buf_put_z(&b, identities);
    buf_put_c(&b, '<');
    for (int i = 0; i < count; i++) {
        buf_put_z(&b, vars[i]);
        buf_put_c(&b, '<');
    }
    digest(DIGEST_SHA1, buf_str(&b), hash);
    base64_put(&text, str_make((char *)hash, sizeof hash));
    str_copy(buf_str(&text), ver, 32);
    buf_done(&b);
    buf_done(&text);
}

bool caps_node_is_ours(const struct talk *t, struct str node)
{
    struct str rest = node;

    return str_is(str_split(&rest, '#'), CAPS_NODE) && rest.p && str_is(rest, t->caps_ver);
}

static void caps_features(struct session *s, struct buf *out)
{
    if (s->state == SESSION_AUTHENTICATED || s->state == SESSION_BOUND)
        buf_printf(out, "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='" CAPS_NODE "' ver='%s'/>", s->talk->caps_ver);
}

static const char *const caps_disco[] = { "http://jabber.org/protocol/caps", NULL };

const struct feature xep0115_caps = {
    .spec = "XEP-0115 1.6.0",
    .title = "Entity Capabilities",
    .disco_server = caps_disco,
    .stream_features = caps_features,
};
