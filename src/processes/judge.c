/* judge.c: see judge.h. Each judge looks at one thing, and says what is wrong and what would be right.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "judge.h"
#include "base/log.h"
#include "bus/bus.h"
#include "common.h"
#include "db/db.h"
#include "files/settings.h"
#include "net/conn.h"
#include "talk/components.h"
#include "wire/jid.h"

struct judging {
    const struct settings *s;
    struct buf            *report;
    struct arena           a;
};

static const char *text(const struct judging *j, const char *name)
{
    return settings_text(j->s, name);
}

/* ---- names ---- */

/* As DNS and browsers write it; false: it is no name that anybody can reach. */
static bool domain_ascii(struct judging *j, struct str given, struct str *out)
{
    struct str prepared;

    return !jid_prep_domain(&j->a, given, &prepared) && !jid_domain_ascii(&j->a, prepared, out);
}

static bool domain(struct judging *j)
{
    const char *given = text(j, "domain");
    struct str  ascii;

    if (*given && domain_ascii(j, str_of(given), &ascii))
        return true;
    if (!*given)
        buf_put_z(j->report, "domain cannot be empty: it is the name behind the @ of everyone's address\n");
    else
        buf_printf(j->report, "domain cannot be \"%s\": that is no domain name; write one like town.example\n", given);
    return false;
}

static bool data_dir(struct judging *j)
{
    if (*text(j, "data_dir"))
        return true;
    buf_put_z(j->report, "data_dir cannot be empty: the databases need a place\n");
    return false;
}

static bool log_level(struct judging *j)
{
    enum log_level level;

    if (common_log_level(text(j, "log.level"), &level))
        return true;
    buf_printf(j->report, "log.level cannot be \"%s\"; write debug, info, warn or error\n", text(j, "log.level"));
    return false;
}

/* ---- passkeys ---- */

static bool passkey_name(struct judging *j)
{
    const char *given = text(j, "ident.passkey_rp");
    struct str  ascii;

    if (!*given || domain_ascii(j, str_of(given), &ascii))
        return true;
    buf_printf(j->report, "ident.passkey_rp cannot be \"%s\": it is a name alone, like town.example\n", given);
    return false;
}

/* Behind the host: nothing, or a port that browsers write, which leave out the usual one. */
static bool is_written_port(struct str port, uint64_t usual)
{
    uint64_t n;

    return !port.p || (str_to_u64(port, &n) && n > 0 && n <= 65535 && n != usual);
}

/* Origins are compared letter by letter with what a browser says (RFC 6454 §6.2), so one that it never says is a mistake. */
static bool is_origin(struct judging *j, struct str page)
{
    bool       https = str_starts(page, STR("https://")), http = str_starts(page, STR("http://"));
    size_t     scheme = https ? 8 : 7;
    struct str port = https || http ? str_make(page.p + scheme, page.len - scheme) : STR_NULL;
    struct str host = port.p ? str_split(&port, ':') : STR_NULL, ascii;

    if (!host.len || !domain_ascii(j, host, &ascii) || !str_eq(host, ascii))
        return false;
    return https ? is_written_port(port, 443) : str_is(host, "localhost") && is_written_port(port, 80);
}

static bool passkey_origins(struct judging *j)
{
    struct str rest = str_of(text(j, "ident.passkey_origins"));
    bool       good = true;

    while (rest.len) {
        struct str page = str_trim(str_split(&rest, ','));

        if (is_origin(j, page))
            continue;
        buf_printf(j->report, "ident.passkey_origins cannot have \"%.*s\": write pages as browsers do, https://chat.town.example or "
                              "https://town.example:5280, with nothing behind; http:// only at localhost\n", STR_ARG(page));
        good = false;
    }
    return good;
}

/* ---- where clients are sent ---- */

/* RFC 3986 §3: a scheme, a host, and nothing that an address cannot hold. */
static bool is_address(struct str a, const char *plain, const char *secure)
{
    size_t scheme = str_starts(a, str_of(secure)) ? strlen(secure) : str_starts(a, str_of(plain)) ? strlen(plain) : 0;

    if (!scheme || a.len == scheme || strchr("/?#:", a.p[scheme]))
        return false;
    for (size_t i = 0; i < a.len; i++)
        if ((unsigned char)a.p[i] <= ' ' || strchr("\"'<>\\", a.p[i]))
            return false;
    return true;
}

static bool addresses(struct judging *j)
{
    static const struct { const char *setting, *plain, *secure, *example; bool one; } all[] = {
        { "web.websocket_url", "ws://", "wss://", "wss://one.example/xmpp-websocket", false },
        { "web.bosh_url", "http://", "https://", "https://one.example/http-bind", false },
        { "web.sites", "http://", "https://", "https://one.example", false },
        { "files.url", "http://", "https://", "https://one.example", true },
        { "talk.exports_url", "http://", "https://", "https://one.example/exports/", true },
        { "talk.invite_page", "http://", "https://", "https://one.example/invite.html", true },
    };
    bool good = true;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct str rest = str_of(text(j, all[i].setting));

        while (rest.len) {
            struct str one = str_trim(str_split(&rest, all[i].one ? '\0' : ','));

            if (is_address(one, all[i].plain, all[i].secure))
                continue;
            buf_printf(j->report, "%s cannot have \"%.*s\": write addresses like %s\n", all[i].setting, STR_ARG(one), all[i].example);
            good = false;
        }
    }
    return good;
}

/* ---- other machines ---- */

static bool told(struct judging *j, enum err e, struct str why)
{
    if (e)
        buf_printf(j->report, "%.*s\n", STR_ARG(why));
    return !e;
}

static bool database(struct judging *j)
{
    struct str why = STR_NULL;

    return told(j, db_server_judge(text(j, "db.server"), &j->a, &why), why);
}

static bool bus(struct judging *j)
{
    const char *servers = text(j, "bus.servers");
    struct str  why = STR_NULL;

    if (*servers && !*text(j, "db.server")) {
        buf_put_z(j->report, "bus.servers is set, but db.server is not: several machines need one database (docs/sites.md)\n");
        return false;
    }
    return !*servers || told(j, bus_nats_judge(servers, &j->a, &why), why);
}

static bool workers(struct judging *j)
{
    int count = common_talk_workers(j->s);

    if (count <= 1 || common_is_clustered(j->s))
        return true;
    buf_printf(j->report, "talk.workers cannot be %d on a machine that is alone: workers share one PostgreSQL (db.server) and speak "
                          "over NATS (bus.servers); with SQLite there is one\n", count);
    return false;
}

static bool files_peers(struct judging *j)
{
    struct str rest = str_of(text(j, "files.peers"));
    int        count = 0;

    while (rest.len) {
        struct str address = str_trim(str_split(&rest, ','));

        if (conn_address_is_valid(address) && ++count <= FILES_PEERS_MAX)
            continue;
        buf_printf(j->report, "files.peers cannot have \"%.*s\": write numeric addresses with a port, at most %d\n", STR_ARG(address),
                   FILES_PEERS_MAX);
        return false;
    }
    return true;
}

/* ---- components ---- */

static bool components(struct judging *j)
{
    struct component_named named[COMPONENTS_MAX];
    struct str             ours, why = STR_NULL;
    int                    count = 0;

    if (jid_prep_domain(&j->a, str_of(text(j, "domain")), &ours))
        return true;        /* told already */
    if (!told(j, components_read(&j->a, ours, text(j, "talk.components"), named, &count, &why), why))
        return false;
    if (!count || *text(j, "talk.listen_component"))
        return true;
    buf_put_z(j->report, "talk.components is set, but talk.listen_component is not: nobody of them could connect; write an address of this "
                         "machine, such as 127.0.0.1:5347\n");
    return false;
}

/* ---- doors without TLS ---- */

/* "127.0.0.1:5281", "[::1]:5281", "localhost:5281" */
static bool is_of_this_machine(struct str address)
{
    return str_starts(address, STR("127.")) || str_starts(address, STR("[::1]:")) || str_starts(address, STR("localhost:"));
}

static bool local_doors(struct judging *j)
{
    bool good = true;

    for (const struct door *d = common_doors; d->role; d++) {
        struct str rest = d->local ? str_of(text(j, d->setting)) : STR_NULL;

        while (rest.len) {
            struct str address = str_trim(str_split(&rest, ','));

            if (is_of_this_machine(address))
                continue;
            buf_printf(j->report, "%s: %.*s can be reached from other machines, and there is no TLS; use %s with a certificate\n",
                       d->setting, STR_ARG(address), str_is(str_of(d->role), "web") ? "web.listen" : "talk.listen_websocket");
            good = false;
        }
    }
    return good;
}

enum err settings_judge(const struct settings *s, struct buf *report)
{
    static bool (*const judges[])(struct judging *) = { domain, data_dir, log_level, passkey_name, passkey_origins, addresses, database, bus, workers,
                                                        files_peers, components, local_doors };
    struct judging j = { .s = s, .report = report };
    bool           good = true;

    arena_init(&j.a);
    for (size_t i = 0; i < sizeof judges / sizeof *judges; i++)
        good = judges[i](&j) && good;
    arena_done(&j.a);
    return good ? OK : ERR_INVALID;
}
