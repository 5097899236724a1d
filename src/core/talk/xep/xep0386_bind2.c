/* XEP-0386 Bind 2 1.1.0: binding inside SASL2, with carbons, stream management and
 * client state switched on in the same step.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "crypto/digest.h"
#include "talk/archive.h"
#include "talk/archive_id.h"
#include "talk/feature.h"
#include "talk/offline.h"
#include "talk/xep/xep0198_sm.h"
#include "talk/xep/xep0388_sasl2.h"
#include <stdio.h>

#define NS_BIND2   "urn:xmpp:bind:0"
#define NS_CARBONS "urn:xmpp:carbons:2"
#define NS_CSI     "urn:xmpp:csi:0"
#define NS_SM      "urn:xmpp:sm:3"

void bind2_put_inline(struct session *s, struct buf *out)
{
    (void)s;
    BUF_LIT(out, "<bind xmlns='" NS_BIND2 "'><inline><feature var='" NS_CARBONS "'/><feature var='" NS_CSI "'/>"
                 "<feature var='" NS_SM "'/></inline></bind>");
}

/* Where the archive begins and ends, so that a client can catch up without asking (§ "MAM"). */
static void put_archive_ends(struct session *s, struct buf *out)
{
    int64_t first, last;
    char    time[CLOCK_TEXT_BYTES];

    BUF_LIT(out, "<metadata xmlns='urn:xmpp:mam:2'>");
    if (archive_ends_of(s->person, &first, &last) == OK && first) {
        int64_t first_us = s->talk->shared ? s->person->log_first : first, last_us = s->talk->shared ? s->person->log_last : last;

        BUF_LIT(out, "<start id='");
        archive_id_put(out, first);
        buf_printf(out, "' timestamp='%.*s'/><end id='", STR_ARG(clock_format(first_us, time)));
        archive_id_put(out, last);
        buf_printf(out, "' timestamp='%.*s'/>", STR_ARG(clock_format(last_us, time)));
    }
    BUF_LIT(out, "</metadata>");
}

/* "tag" names the software; what follows makes the resource unique and the same for one user agent. */
static struct str make_resource(struct session *s, struct str tag, struct str agent_id)
{
    char part[17];

    if (agent_id.len) {
        uint8_t hash[32];
        digest(DIGEST_SHA256, agent_id, hash);
        *hex_write(part, hash, 8) = '\0';
    } else {
        random_token(part, 16);
    }
    return tag.len ? arena_printf(&s->talk->round, "%.*s.%.16s", STR_ARG(tag), part)
                   : arena_printf(&s->talk->round, "%.16s", part);
}

enum err bind2_run(struct session *s, const struct xml_node *authenticate, struct buf *out)
{
    const struct xml_node *bind = xml_child(authenticate, "bind", NS_BIND2);
    const struct xml_node *agent = xml_child(authenticate, "user-agent", "urn:xmpp:sasl:2");
    const struct xml_node *sm, *inactive;
    enum err               e;

    if (!bind)
        return ERR_NOT_FOUND;
    e = session_bind(s, make_resource(s, xml_child_text(&s->talk->round, bind, "tag", NS_BIND2),
                                      agent ? xml_attr(agent, "id") : STR_NULL));
    if (e)      /* the tag is no resource: bind without it */
        e = session_bind(s, STR_NULL);
    if (e)
        return e;
    offline_drop(s->person);
    BUF_LIT(out, "<bound xmlns='" NS_BIND2 "'>");
    put_archive_ends(s, out);
    if (xml_child(bind, "enable", NS_CARBONS))
        s->carbons = true;
    inactive = xml_child(bind, "inactive", NS_CSI);
    if (inactive)
        features_nonza(inactive->name, inactive->ns)->handle(s, inactive);
    sm = xml_child(bind, "enable", NS_SM);
    if (sm)
        sm_enable(s, sm, out);
    BUF_LIT(out, "</bound>");
    return OK;
}

const struct feature xep0386_bind2 = {
    .spec = "XEP-0386 1.1.0",
    .title = "Bind 2",
};
