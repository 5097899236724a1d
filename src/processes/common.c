/* common.c: the settings that belong to no single role, and the doors.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "common.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/log.h"
#include "courier/settings.h"
#include "files/settings.h"
#include "id/settings.h"
#include "judge.h"
#include "net/conn.h"
#include "talk/settings.h"

const struct setting common_settings[] = {
    { "domain", SETTING_TEXT, "localhost", 0, 0, false,
      "The name behind the @ of everyone's address. It cannot be changed once there are messages." },
    { "data_dir", SETTING_PATH, "/var/lib/bongsu", 0, 0, false,
      "Where the databases are. Nobody but the server may read it." },
    { "run_dir", SETTING_PATH, "run", 0, 0, false,
      "Where the sockets between the processes are. A relative path, here and below, is below data_dir." },
    { "user", SETTING_TEXT, "", 0, 0, false,
      "Who the roles become when the server is started by root. Empty: the owner of data_dir." },
    { "site", SETTING_TEXT, "", 0, 0, false,
      "The name of the site this machine stands in, for the log and the status: docs/sites.md." },
    { "db.server", SETTING_TEXT, "", 0, 0, false,
      "PostgreSQL, as libpq's connection string: \"host=10.0.1.1,10.0.2.1,10.0.3.1 dbname=bongsu user=bongsu passfile=…\", the own site"
      " first. Empty: SQLite in data_dir. `bongsu db move` carries one into the other." },
    { "bus.servers", SETTING_TEXT, "", 0, 0, false,
      "NATS, between machines: \"nats://10.0.1.1:4222,nats://10.0.2.1:4222\", the own site first. Empty: this machine is alone." },
    { "bus.user", SETTING_TEXT, "", 0, 0, false, "The account at NATS." },
    { "bus.password", SETTING_TEXT, "", 0, 0, false, "Its password." },
    { "bus.ca", SETTING_PATH, "", 0, 0, false, "The authority of the NATS servers' certificates (PEM). Empty: no TLS." },
    { "bus.certificate", SETTING_PATH, "", 0, 0, false, "Our certificate for NATS (PEM)." },
    { "bus.key", SETTING_PATH, "", 0, 0, false, "Its key (PEM)." },
    { "sites.patroni", SETTING_TEXT, "", 0, 0, true,
      "The REST addresses of Patroni at all sites, \"http://10.0.1.1:8008,…\": `bongsu status` asks them whether the cluster is safe." },
    { "log.level", SETTING_TEXT, "info", 0, 0, true, "debug, info, warn or error. The log goes to standard error." },
    { "log.json", SETTING_BOOL, "no", 0, 0, true, "One JSON object per line instead of readable text." },
    { "tls.certificate", SETTING_PATH, "certificate.pem", 0, 0, true,
      "The certificate and those that vouch for it (PEM). `bongsu cert` makes one to try with." },
    { "tls.key", SETTING_PATH, "key.pem", 0, 0, true, "The key of the certificate (PEM), readable for the roles' user." },
    { "tls.slim", SETTING_BOOL, "no", 0, 0, true,
      "After a TLS 1.3 handshake, keep our own record layer instead of OpenSSL's: less than 1 kB for an idle connection where"
      " it was 15 kB, and less CPU. Young code that touches every byte: off until it has been in use for a while." },
    { "talk.listen", SETTING_ADDRESSES, "0.0.0.0:5222", 0, 0, false,
      "Where clients connect and start TLS in the stream (RFC 6120). \"[::]:5222\" takes IPv6 and IPv4." },
    { "talk.listen_tls", SETTING_ADDRESSES, "0.0.0.0:5223", 0, 0, false,
      "Where clients connect with TLS from the first byte (XEP-0368)." },
    { "talk.listen_websocket", SETTING_ADDRESSES, "0.0.0.0:5443", 0, 0, false,
      "Where browsers connect: wss://host:port/xmpp-websocket (RFC 7395)." },
    { "talk.listen_websocket_local", SETTING_ADDRESSES, "", 0, 0, false,
      "The same without TLS, for a browser on this machine, which trusts localhost without a certificate. Only addresses of this"
      " machine: 127.0.0.1:port, [::1]:port." },
    { "talk.listen_bosh", SETTING_ADDRESSES, "", 0, 0, false,
      "Where clients that have nothing but HTTP requests connect: https://host:port/http-bind (XEP-0124, XEP-0206). Empty: nowhere. The first"
      " of several talk.workers serves it alone, and no other machine knows its sessions: a proxy must send a client to the same one." },
    { "talk.listen_component", SETTING_ADDRESSES, "", 0, 0, false,
      "Where the components of talk.components connect (XEP-0114), such as 127.0.0.1:5347. There is no TLS: everything they are sent"
      " goes in clear, so never let it leave this machine or a network of its own. Empty: nowhere." },
    { "talk.workers", SETTING_INT, "1", 1, TALK_WORKERS_MAX, false,
      "How many processes share the clients of this machine. More than one needs a cluster: db.server and bus.servers." },
    { "talk.metrics_listen", SETTING_ADDRESSES, "127.0.0.1:5300", 0, 0, false,
      "Plain HTTP for machines that watch: /metrics, /health/live, /health/ready. Never open it to strangers. The second worker's"
      " port is one higher, and so on." },
    { "ident.metrics_listen", SETTING_ADDRESSES, "127.0.0.1:5292", 0, 0, false, "The same for ident." },
    { "courier.metrics_listen", SETTING_ADDRESSES, "127.0.0.1:5294", 0, 0, false, "The same for courier." },
    { "web.metrics_listen", SETTING_ADDRESSES, "127.0.0.1:5293", 0, 0, false, "The same for web." },
    { "keeper.metrics_listen", SETTING_ADDRESSES, "127.0.0.1:5290", 0, 0, false,
      "The same for the keeper; its /health/ready speaks for all roles." },
    { "web.listen", SETTING_ADDRESSES, "0.0.0.0:5280", 0, 0, false,
      "HTTPS: the app, and how clients find the WebSocket (XEP-0156)." },
    { "web.listen_local", SETTING_ADDRESSES, "", 0, 0, false,
      "The same without TLS, for a browser on this machine. Only addresses of this machine." },
    { "web.files", SETTING_PATH, "/usr/share/bongsu/web", 0, 0, true,
      "The built app, served from memory. Read at the start and at each reload, which is how a new version of it is put in place." },
    { "web.demo", SETTING_TEXT, "", 0, 0, true,
      "Accounts that a browser of this machine may try, \"name password, name password\"; ./setup fills it in." },
    { "web.websocket_url", SETTING_TEXT, "", 0, 0, true,
      "The addresses that clients are told for the WebSocket, when a proxy stands before it or there are several sites: "
      "\"wss://one.example/xmpp-websocket, wss://two.example/xmpp-websocket\". Empty: wss://domain:port/xmpp-websocket." },
    { "web.bosh_url", SETTING_TEXT, "", 0, 0, true,
      "The same for BOSH: \"https://one.example/http-bind\". Empty: https://domain:port/http-bind where talk.listen_bosh is set." },
    { "web.sites", SETTING_TEXT, "", 0, 0, true,
      "Where browsers find the web of each site: \"https://one.example, https://two.example\". The app uploads there while its own site "
      "is away. Empty: there is one site." },
    { 0 },
};

const struct setting *const all_settings[] = { common_settings, talk_settings, id_settings, courier_settings, files_settings, NULL };

const struct door common_doors[] = {
    { "talk", "talk.listen", "starttls", false },
    { "talk", "talk.listen_tls", "tls", false },
    { "talk", "talk.listen_websocket", "websocket", false },
    { "talk", "talk.listen_websocket_local", "websocket_local", false, true },
    { "talk", "talk.listen_bosh", "bosh", false, false, true },
    { "talk", "talk.listen_component", "component", false },
    { "talk", "talk.metrics_listen", "metrics", true },
    { "ident", "ident.metrics_listen", "metrics", true },
    { "courier", "courier.metrics_listen", "metrics", true },
    { "courier", "federation.listen", "server", true },
    { "courier", "federation.listen_tls", "servertls", true },
    { "web", "web.listen", "https", false },
    { "web", "web.listen_local", "http", false, true },
    { "web", "web.metrics_listen", "metrics", true },
    { "keeper", "keeper.metrics_listen", "metrics", true },
    { 0 },
};

/* ---- loading ---- */

const char *common_settings_path(const char *given)
{
    const char *env = getenv("BONGSU_CONFIG");

    return given ? given : env && *env ? env : COMMON_SETTINGS_PATH;
}

/* Reads it if it must be there or is there. */
static enum err load_file(struct settings *s, const char *given, struct buf *report)
{
    const char *path = common_settings_path(given);
    const char *env = getenv("BONGSU_CONFIG");
    bool        named = given || (env && *env);

    if (!named && access(path, F_OK) != 0 && errno == ENOENT) {
        if (getenv("BONGSU_DOMAIN"))
            return OK;
        buf_printf(report, "there are no settings at \"%s\": write them with `bongsu config --sample`, or name another "
                           "file with --config\n", path);
        return ERR_NOT_FOUND;
    }
    return settings_load(s, path, report);
}

static void make_absolute(struct settings *s, const char *name, const char *below, struct buf *report)
{
    const char *path = settings_text(s, name);
    char        whole[PATH_MAX];

    if (path[0] == '\0' || path[0] == '/')
        return;
    if (snprintf(whole, sizeof whole, "%s/%s", below, path) < (int)sizeof whole)
        settings_set(s, name, str_of(whole), report);
}

static enum err make_all_absolute(struct settings *s, struct buf *report)
{
    static const char *const names[] = { "run_dir", "tls.certificate", "tls.key", "web.files", "federation.ca", "bus.ca", "bus.certificate", "bus.key",
                                         "files.folder", "files.peers_ca" };
    char                     here[PATH_MAX];

    if (!getcwd(here, sizeof here)) {
        buf_printf(report, "could not find the working directory: %s\n", strerror(errno));
        return ERR_IO;
    }
    make_absolute(s, "data_dir", here, report);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        make_absolute(s, names[i], settings_text(s, "data_dir"), report);
    return OK;
}

bool common_log_level(const char *text, enum log_level *out)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };

    for (int i = 0; i < 4; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

enum err common_load(const char *given, struct settings **out, struct buf *report)
{
    enum err e = settings_new(all_settings, out), e2;

    if (e)
        return e;
    e = load_file(*out, given, report);
    e2 = settings_load_env(*out, environ, report);     /* all mistakes are told at once */
    if (!e)
        e = e2;
    if (!e)
        e = settings_judge(*out, report);
    if (!e)
        e = make_all_absolute(*out, report);
    if (e)
        settings_free(out);
    return e;
}

enum err common_load_decided(const char *path, struct settings **out, struct buf *report)
{
    enum err e = settings_new(all_settings, out);

    if (e)
        return e;
    e = settings_load(*out, path, report);
    if (e)
        settings_free(out);
    return e;
}

void common_log_setup(const char *process, const struct settings *s)
{
    enum log_level level = LOG_LEVEL_INFO;

    common_log_level(settings_text(s, "log.level"), &level);
    log_setup(process, level, settings_bool(s, "log.json"));
}

bool common_is_clustered(const struct settings *s)
{
    return settings_text(s, "db.server")[0] && settings_text(s, "bus.servers")[0];
}

bool common_is_reaching_out(const struct settings *s)
{
    return settings_text(s, "db.server")[0] || settings_text(s, "bus.servers")[0] || settings_text(s, "files.peers")[0];
}

int common_talk_workers(const struct settings *s)
{
    return (int)settings_int(s, "talk.workers");
}

int common_worker_number(const char *role)
{
    struct str name = str_of(role);
    uint64_t   number;

    if (str_is(name, "talk"))
        return 1;
    if (!str_starts(name, STR("talk")) || !str_to_u64(str_make(name.p + 4, name.len - 4), &number) || number > TALK_WORKERS_MAX)
        return 0;
    return (int)number;
}

struct str common_run_path(const struct settings *s, struct arena *a, const char *name)
{
    return arena_printf(a, "%s/%s", settings_text(s, "run_dir"), name);
}

/* ---- doors ---- */

struct str door_first(const struct settings *s, const char *setting)
{
    struct str rest = str_of(settings_text(s, setting));

    return str_trim(str_split(&rest, ','));
}

bool door_is_alone(const char *name)
{
    for (const struct door *d = common_doors; d->role; d++)
        if (d->alone && str_starts(str_of(name), str_of(d->name)))
            return true;
    return false;
}

int door_port(struct str address)
{
    uint64_t port;

    while (address.len && str_find(address, ':') >= 0)
        str_split(&address, ':');
    return str_to_u64(address, &port) && port <= 65535 ? (int)port : 0;
}

/* "127.0.0.1:5300" → "127.0.0.1:5301" */
static struct str port_raised(struct str address, int by, struct arena *a)
{
    struct str host = address;

    while (by && host.len && host.p[host.len - 1] != ':')
        host.len--;
    return by ? arena_printf(a, "%.*s%d", STR_ARG(host), door_port(address) + by) : address;
}

static enum err door_open(const struct door *d, struct str address, int number, struct proc_fd *out, struct arena *a,
                          struct buf *report)
{
    enum err e = listen_socket(address, &out->fd);

    if (!e) {
        out->name = arena_printf(a, "%s%d", d->name, number).p;
        return OK;
    }
    buf_printf(report, "could not listen on %.*s (%s): %s\n", STR_ARG(address), d->setting,
               e == ERR_EXISTS ? "the address is in use by another program" : err_info(e)->sentence);
    return d->optional ? OK : e;
}

/* Nobody would accept there. */
static bool stays_shut(const struct settings *s, const struct door *d)
{
    return str_starts(str_of(d->setting), STR("federation.")) && !settings_bool(s, "federation.on");
}

enum err doors_open(const struct settings *s, const char *role, struct proc_fd *out, int fd_max, int *fd_count,
                    struct arena *a, struct buf *report)
{
    int      worker = common_worker_number(role);
    enum err worst = OK;

    for (const struct door *d = common_doors; d->role; d++) {
        struct str rest = str_of(settings_text(s, d->setting));
        bool       further = worker > 1 && d->optional && strcmp(d->role, "talk") == 0;

        if ((*role && strcmp(role, d->role) != 0 && !further) || stays_shut(s, d))
            continue;
        for (int number = 0; rest.len; number++) {
            struct str address = port_raised(str_trim(str_split(&rest, ',')), further ? worker - 1 : 0, a);
            enum err   e;

            if (*fd_count >= fd_max) {
                buf_printf(report, "%s names too many addresses for one role; %d are possible\n", d->setting, fd_max);
                return ERR_LIMIT;
            }
            out[*fd_count].fd = -1;
            e = door_open(d, address, number, &out[*fd_count], a, report);
            if (e)
                worst = e;
            if (out[*fd_count].fd >= 0)
                ++*fd_count;
        }
    }
    return worst;
}
