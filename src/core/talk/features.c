/* features.c: everything the messenger can do, on one screen: the order is the order of
 * handling. Below it, the indexes over these tables.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"
#include "base/log.h"
#include "base/mem.h"
#include "talk/archive.h"
#include "talk/devices.h"
#include "talk/forget.h"
#include "talk/import.h"
#include "talk/federate.h"
#include "talk/jids.h"
#include "talk/xep/xep0115_caps.h"
#include <stdlib.h>

/* Log-in and the stream first; then who may be heard at all, before whatever looks at a stanza's content; last what the sender asks for,
 * which overrides the rules. */
#define ROWS(X) \
    X(rfc6120_tls) X(rfc6120_sasl) X(rfc6120_bind) X(rfc6120_reconnect) X(rfc6121_roster) X(rfc6121_presence) X(rfc7395_websocket) X(xep0124_bosh) X(xep0206_xbosh) \
    X(xep0388_sasl2) X(xep0388_passkeys) X(xep0386_bind2) X(xep0484_fast) X(signed_in) X(xep0440_channel_binding) X(xep0198_sm) X(xep0352_csi) \
    X(xep0357_push) X(xep0191_blocking) X(xep0377_reporting) \
    /* what can be asked */ \
    X(xep0030_disco) X(xep0050_commands) X(xep0133_admin) X(announcements) X(rate_classes) X(xep0227_export) X(xep0115_caps) \
    X(xep0115_clients) X(xep0012_last) X(xep0092_version) X(xep0199_ping) X(xep0202_time) X(xep0215_services) X(xep0363_upload) X(xep0114_component) \
    /* what is kept for an account, and who sees it */ \
    X(xep0060_pubsub) X(xep0163_pep) X(xep0049_private) X(xep0402_bookmarks) X(xep0048_bookmarks) X(xep0411_conversion) \
    X(xep0222_public) X(xep0223_private) X(xep0384_omemo) X(xep0490_displayed) X(xep0054_vcard) X(xep0084_avatar) \
    X(xep0153_vcard_avatar) X(xep0398_avatars) X(xep0172_nick) X(xep0292_profiles) \
    /* groups */ \
    X(xep0045_muc) X(xep0410_self_ping) X(xep0421_occupant_id) X(xep0425_moderation) X(xep0486_avatars) \
    /* how people come here */ \
    X(xep0077_register) X(xep0445_preauth) X(xep0401_invitations) X(xep0379_pars) X(xep0055_directory) \
    /* what messages carry */ \
    X(xep0066_oob) X(xep0264_thumbnails) X(xep0385_sims) X(xep0446_file) X(xep0447_sharing) X(xep0449_stickers) \
    X(xep0085_chat_states) X(xep0184_receipts) X(xep0249_invitation) X(xep0308_correction) X(xep0333_markers) X(xep0353_calls) \
    X(xep0359_stanza_ids) X(xep0380_encryption) X(xep0424_retraction) X(xep0444_reactions) X(xep0461_replies) \
    X(xep0160_offline) X(xep0203_delay) X(xep0297_forwarding) X(xep0313_mam) X(xep0431_fulltext) X(xep0059_rsm) X(xep0441_prefs) \
    X(xep0178_external) X(xep0185_dialback_keys) X(xep0220_dialback) X(xep0288_bidi) X(xep0368_direct_tls) \
    X(xep0280_carbons) X(xep0334_hints) /* last: what the sender asks for overrides the rules */

#define DECLARE(row) extern const struct feature row;
#define POINTER(row) &row,
ROWS(DECLARE)
const struct feature *const features[] = { ROWS(POINTER) NULL };
const size_t feature_count = sizeof features / sizeof features[0] - 1;

const struct feature rfc7395_websocket = {
    .spec = "RFC 7395",
    .title = "XMPP over WebSocket",
};

/* ---- by name and namespace ---- */

static struct strmap iq_index, nonza_index, payload_index;
static bool          indexed;

enum { KEY_BYTES_MAX = 256 };

/* "name namespace"; false when nothing of ours is that long. */
static bool make_key(char out[KEY_BYTES_MAX], struct str name, struct str ns, struct str *key)
{
    if (name.len + ns.len + 1 > KEY_BYTES_MAX)
        return false;
    if (name.len)
        memcpy(out, name.p, name.len);
    out[name.len] = ' ';
    if (ns.len)
        memcpy(out + name.len + 1, ns.p, ns.len);
    *key = str_make(out, name.len + ns.len + 1);
    return true;
}

static void index_add(struct strmap *m, const char *name, const char *ns, const void *value)
{
    char       text[KEY_BYTES_MAX];
    struct str key = STR_NULL;

    if (make_key(text, str_of(name), str_of(ns), &key) && !strmap_get(m, key))
        strmap_put(m, str_make(str_dup(key), key.len), (void *)value);
}

static const void *index_get(const struct strmap *m, struct str name, struct str ns)
{
    char        text[KEY_BYTES_MAX];
    struct str  key;
    const void *found = make_key(text, name, ns, &key) ? strmap_get(m, key) : NULL;

    if (!found && make_key(text, STR_NULL, ns, &key))
        found = strmap_get(m, key);
    return found;
}

static void index_feature(const struct feature *f)
{
    for (const struct iq_handler *h = f->iqs; h && h->ns; h++)
        index_add(&iq_index, h->name, h->ns, h);
    for (const struct nonza_handler *h = f->nonzas; h && h->ns; h++)
        index_add(&nonza_index, h->name, h->ns, h);
    for (const struct payload *p = f->payloads; p && p->ns; p++)
        index_add(&payload_index, p->name, p->ns, p);
}

static void index_all(void)
{
    if (indexed)
        return;
    indexed = true;     /* the tables are constant: once for the life of the process */
    strmap_init(&iq_index);
    strmap_init(&nonza_index);
    strmap_init(&payload_index);
    for (size_t i = 0; i < feature_count; i++)
        index_feature(features[i]);
}

const struct iq_handler *features_iq(struct str name, struct str ns)
{
    return index_get(&iq_index, name, ns);
}

const struct nonza_handler *features_nonza(struct str name, struct str ns)
{
    return index_get(&nonza_index, name, ns);
}

unsigned features_payload(struct str name, struct str ns)
{
    const struct payload *p = index_get(&payload_index, name, ns);

    return p ? p->is : 0;
}

/* ---- disco ---- */

enum { DISCO_MAX = 128 };

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int collect(const char *vars[DISCO_MAX], bool account)
{
    int n = 0, kept = 0;

    for (size_t i = 0; i < feature_count; i++) {
        const char *const *v = account ? features[i]->disco_account : features[i]->disco_server;

        for (; v && *v && n < DISCO_MAX; v++)
            vars[n++] = *v;
    }
    qsort(vars, (size_t)n, sizeof *vars, by_text);      /* the order XEP-0115 §5.1 hashes them in */
    for (int i = 0; i < n; i++)
        if (kept == 0 || strcmp(vars[kept - 1], vars[i]) != 0)
            vars[kept++] = vars[i];
    return kept;
}

static void put_features(struct buf *b, const char *const *vars, int n)
{
    buf_clear(b);
    for (int i = 0; i < n; i++)
        buf_printf(b, "<feature var='%s'/>", vars[i]);
}

void features_init(struct talk *t)
{
    const char *vars[DISCO_MAX];
    int         n;

    index_all();
    n = collect(vars, true);
    put_features(&t->disco_account, vars, n);
    n = collect(vars, false);
    put_features(&t->disco_server, vars, n);
    caps_hash(DISCO_IDENTITY, vars, n, t->caps_ver);
}

/* ---- migrations ---- */

extern const struct db_migration person_migrations[];

enum { MIGRATIONS_MAX = 128 };

static int add_migrations(struct db_migration *all, int n, const struct db_migration *m)
{
    for (; m && m->number && n < MIGRATIONS_MAX; m++)
        all[n++] = *m;
    return n;
}

const struct db_migration *features_migrations(void)
{
    static struct db_migration all[MIGRATIONS_MAX + 1];
    int                        n = 0;

    n = add_migrations(all, n, jids_migrations);
    n = add_migrations(all, n, federate_migrations);
    n = add_migrations(all, n, archive_migrations);
    n = add_migrations(all, n, person_migrations);
    n = add_migrations(all, n, devices_migrations);
    n = add_migrations(all, n, forget_migrations);
    n = add_migrations(all, n, import_migrations);
    for (size_t i = 0; i < feature_count; i++)
        n = add_migrations(all, n, features[i]->migrations);
    all[n] = (struct db_migration){ 0 };
    return all;
}

/* ---- the list of specifications, for people and for xmpp.org ---- */

static bool told_before(size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(features[i]->spec, features[at]->spec) == 0)
            return true;
    return false;
}

static void print_rfc(struct buf *out, const char *spec)
{
    buf_printf(out, "    <implements rdf:resource=\"https://xmpp.org/rfcs/rfc%s.html\"/>\n", spec + 4);
}

/* "XEP-0199 2.0.1" */
static void print_xep(struct buf *out, const struct feature *f)
{
    const char *version = f->spec + 9;

    buf_printf(out,
               "    <implements>\n      <xmpp:SupportedXep>\n"
               "        <xmpp:xep rdf:resource=\"https://xmpp.org/extensions/xep-%.4s.html\"/>\n"
               "        <xmpp:version>%s</xmpp:version>\n        <xmpp:status>complete</xmpp:status>\n", f->spec + 4, version);
    if (f->note) {
        BUF_LIT(out, "        <xmpp:note xml:lang=\"en\">");
        xml_put_escaped(out, str_of(f->note));
        BUF_LIT(out, "</xmpp:note>\n");
    }
    BUF_LIT(out, "      </xmpp:SupportedXep>\n    </implements>\n");
}

void features_print_doap(struct buf *out)
{
    BUF_LIT(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<!-- Printed from the tables of src/core/talk/features.c. -->\n"
            "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"\n"
            "         xmlns=\"http://usefulinc.com/ns/doap#\"\n"
            "         xmlns:xmpp=\"https://linkmauve.fr/ns/xmpp-doap#\">\n"
            "  <Project>\n"
            "    <name>Bongsu</name>\n"
            "    <shortdesc xml:lang=\"en\">A messenger server that acknowledges what is on disk</shortdesc>\n"
            "    <description xml:lang=\"en\">An XMPP server in C: group-committed archive, streams that are resumable"
            " after a restart, one process per role.</description>\n"
            "    <programming-language>C</programming-language>\n"
            "    <os>Linux</os>\n"
            "    <license rdf:resource=\"https://www.gnu.org/licenses/agpl-3.0.html\"/>\n"
            "    <category rdf:resource=\"https://linkmauve.fr/ns/xmpp-doap#category-server\"/>\n");
    for (size_t i = 0; i < feature_count; i++) {
        if (told_before(i))
            continue;
        if (strncmp(features[i]->spec, "RFC ", 4) == 0)
            print_rfc(out, features[i]->spec);
        else
            print_xep(out, features[i]);
    }
    BUF_LIT(out, "  </Project>\n</rdf:RDF>\n");
}
