# SPDX-License-Identifier: AGPL-3.0-or-later
"""siteconf.py: one settings file of a site, and every configuration made from it.

    s = Settings.read("/etc/bongsu/site.conf")
    for f in files(s): f.path, f.text, f.owner, f.group, f.mode

Used by deploy/site and by the laboratory (drill/lab.py), so both run the same texts. The file holds `name = value` lines;
SETTINGS below is the list, and `deploy/site sample` prints it.
"""
import collections
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))

# Name, default (None: must be given), what it is.
SETTINGS = [
    ("site", None, "The site that this machine is: one of the names in `sites`. The only line that differs between the sites."),
    ("sites", None, "All sites with the address of each: seoul 10.0.1.1, busan 10.0.2.1, daejeon 10.0.3.1"),
    ("domain", None, "The name behind the @ of everyone's address."),
    ("data_dir", "/var/lib/bongsu", "What must survive a restart: etcd, PostgreSQL, Bongsu's files, backups."),
    ("run_dir", "/run/bongsu", "Sockets."),
    ("config_dir", "/etc/bongsu", "Where the made configurations go."),
    ("secrets_dir", "/etc/bongsu/secrets", "Passwords and certificates, made once by `site init`."),
    ("program", "/usr/bin/bongsu", "The server."),
    ("web_files", "/usr/share/bongsu/web", "The built app."),
    ("tls.certificate", "", "For clients and other servers (PEM): the domain's, and *.DOMAIN's for groups. Empty: one that `site init` made, which nobody knows. With one, name all that the app may go to in bongsu.web.websocket_url and bongsu.web.sites."),
    ("tls.key", "", "Its key."),
    ("talk.workers", "1", "Processes that serve clients on this machine."),
    ("port.xmpp", "5222", "Clients: XMPP, TLS in the stream."),
    ("port.xmpps", "5223", "Clients: XMPP, TLS from the first byte."),
    ("port.websocket", "5443", "Clients: WebSocket."),
    ("port.https", "443", "Clients: the app."),
    ("federation", "yes", "People here and people of other XMPP servers can write to each other; no: they cannot."),
    ("port.s2s", "5269", "Other servers: XMPP, TLS in the stream."),
    ("port.s2s_tls", "5270", "Other servers: XMPP, TLS from the first byte."),
    ("turn", "yes", "A relay for calls (coturn) at each site; no: none."),
    ("turn.host", "", "The name that leads to the relays of all sites, for which tls.certificate is good. Empty: each site's address, without TLS."),
    ("turn.external", "", "Where this site's relay is seen from outside, if behind NAT: 203.0.113.7"),
    ("turn.ports", "49152-65535", "UDP ports that it relays through; clients must reach them."),
    ("port.turn", "3478", "Clients: STUN and TURN, UDP and TCP."),
    ("port.turns", "5349", "Clients: TURN over TLS."),
    ("clients_max", "50000", "Connections that HAProxy holds."),
    ("postgresql.shared_buffers", "1GB", "A quarter of the memory. Any other parameter of PostgreSQL can stand here likewise."),
    ("postgresql.max_connections", "200", ""),
    ("postgresql.max_wal_size", "2GB", ""),
    ("postgresql.max_slot_wal_keep_size", "8GB", "WAL kept for a site that is away; beyond it that site is copied anew."),
    ("disk_free_min_mb", "512", "A primary with less is moved away from, if another site has more."),
    ("backup.sites", "", "The sites that keep a backup repository each; two, so that one is never at the primary's site."),
    ("backup.dir", "", "Where a repository is, on those sites. Empty: data_dir/backup."),
    ("backup.keep", "2", "Full backups kept, with all WAL since the oldest of them."),
]
PASSED_ON = ("postgresql.", "bongsu.")      # further names: PostgreSQL's parameters, lines of bongsu.conf

# Bongsu's own ports, behind HAProxy; and those between the sites.
BEHIND = {"xmpp": 15222, "xmpps": 15223, "websocket": 15443, "https": 15280, "s2s": 15269, "s2s_tls": 15270}
FOR_SERVERS = ("s2s", "s2s_tls")
HEALTH, PATRONI, ETCD, ETCD_PEER, ETCD_OTHERS, POSTGRESQL, DETOUR, NATS, NATS_ROUTES, PGBACKREST = \
    5290, 8008, 2379, 2380, 2378, 5432, 5433, 4222, 6222, 8432
PATRONI_PEER = 18000                        # + number of the site: the local way to that site's Patroni
SCOPE = "bongsu"                            # Patroni's name for the cluster
GROUP = "bongsu-site"                       # may read the site's key
STANZA = "bongsu"                           # pgBackRest's name for the cluster

File = collections.namedtuple("File", "path text owner group mode")


class SettingsError(Exception):
    """A sentence for the operator."""


def parse(text, source):
    """`name = value` lines to a dict; # starts a comment line."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise SettingsError(f"{source}:{number}: \"{line}\" is no `name = value`")
        found[name.strip()] = value.strip()
    return found


class Settings:
    """What site.conf says: s["talk.workers"]; s.site, s.address, s.sites {name: address} in the order of the file."""

    def __init__(self, values, source="settings"):
        known = {name for name, _, _ in SETTINGS}
        for name in values:
            if name not in known and not name.startswith(PASSED_ON):
                raise SettingsError(f"{source}: there is no setting \"{name}\"; `site sample` has them all")
        for name, default, _ in SETTINGS:
            if default is None and not values.get(name):
                raise SettingsError(f"{source}: \"{name}\" is missing")
        self.values = {**{n: d for n, d, _ in SETTINGS if d is not None}, **values}
        self.sites = self._sites(source)
        self.site = values["site"]
        if self.site not in self.sites:
            raise SettingsError(f"{source}: site = {self.site} is none of `sites`")
        self.address = self.sites[self.site]
        self.number = list(self.sites).index(self.site) + 1
        self.backup_sites = self["backup.sites"].replace(",", " ").split()
        for name in self.backup_sites:
            if name not in self.sites:
                raise SettingsError(f"{source}: backup.sites names {name}, which is none of `sites`")

    def _sites(self, source):
        sites = {}
        for part in self["sites"].split(","):
            words = part.split()
            if len(words) != 2 or not words[0].isalnum() or words[0] in sites:
                raise SettingsError(f"{source}: sites: \"{part.strip()}\" is no name (letters and digits, once) and address")
            sites[words[0]] = words[1]
        return sites

    @classmethod
    def read(cls, path):
        try:
            with open(path) as f:
                return cls(parse(f.read(), path), path)
        except OSError as e:
            raise SettingsError(f"could not read {path}: {e.strerror}")

    def __getitem__(self, name):
        return self.values[name]

    def data(self, name):
        return os.path.join(self["data_dir"], name)

    def run(self, name):
        return os.path.join(self["run_dir"], name)

    def config(self, name):
        return os.path.join(self["config_dir"], name)

    def secret_file(self, name):
        return os.path.join(self["secrets_dir"], name)

    @property
    def ca(self):
        return self.secret_file("ca.pem")

    @property
    def certificate(self):
        return self.secret_file("site.pem")

    @property
    def key(self):
        return self.secret_file("site.key")

    @property
    def own_first(self):
        """The sites' (name, address), own one first, the others in the order that starts behind it."""
        items = list(self.sites.items())
        return items[self.number - 1:] + items[:self.number - 1]

    @property
    def others(self):
        return self.own_first[1:]

    @property
    def behind(self):
        """What strangers reach through HAProxy: {name of the port: Bongsu's own}."""
        return {n: p for n, p in BEHIND.items() if n not in FOR_SERVERS or self["federation"] == "yes"}

    @property
    def backup_dir(self):
        return self["backup.dir"] or self.data("backup")

    def passed(self, prefix):
        return {n[len(prefix):]: v for n, v in self.values.items() if n.startswith(prefix)}

    def passwords(self):
        path = self.secret_file("passwords")
        try:
            with open(path) as f:
                return parse(f.read(), path)
        except OSError as e:
            raise SettingsError(f"could not read {path}: {e.strerror}; `site init` makes it")


PASSWORDS = ["postgresql", "replication", "rewind", "bongsu", "nats", "patroni", "turn"]


def sample():
    lines = ["# A site of Bongsu. Each line shows the default, or an example; remove the # to change it.", ""]
    examples = {"site": "seoul", "sites": "seoul 10.0.1.1, busan 10.0.2.1, daejeon 10.0.3.1", "domain": "town.example"}
    for name, default, text in SETTINGS:
        if text:
            lines.append(f"# {text}")
        lines.append(f"{name} = {examples[name]}" if default is None else f"#{name} = {default}")
    return "\n".join(lines) + "\n"


# ---- etcd ----

def etcd_environment(s):
    """Short heartbeats make the election after a lost site 0.5 s; etcd's own defaults make it 1 to 2 s."""
    peers = ",".join(f"{n}=https://{a}:{ETCD_PEER}" for n, a in s.sites.items())
    rows = {
        "NAME": s.site, "DATA_DIR": s.data("etcd"),
        "LISTEN_PEER_URLS": f"https://{s.address}:{ETCD_PEER}", "INITIAL_ADVERTISE_PEER_URLS": f"https://{s.address}:{ETCD_PEER}",
        "LISTEN_CLIENT_URLS": f"https://{s.address}:{ETCD},https://127.0.0.1:{ETCD}",
        "ADVERTISE_CLIENT_URLS": f"https://{s.address}:{ETCD}",
        "INITIAL_CLUSTER": peers, "INITIAL_CLUSTER_STATE": "new", "INITIAL_CLUSTER_TOKEN": SCOPE,
        "HEARTBEAT_INTERVAL": "50", "ELECTION_TIMEOUT": "500",
        "PRE_VOTE": "true",             # a member that comes back must not depose the leader: a second without etcd
        "AUTO_COMPACTION_MODE": "periodic", "AUTO_COMPACTION_RETENTION": "1h", "SNAPSHOT_COUNT": "10000",
        "LOG_LEVEL": "warn", "LOGGER": "zap",
        "CERT_FILE": s.certificate, "KEY_FILE": s.key, "TRUSTED_CA_FILE": s.ca, "CLIENT_CERT_AUTH": "true",
        "PEER_CERT_FILE": s.certificate, "PEER_KEY_FILE": s.key, "PEER_TRUSTED_CA_FILE": s.ca, "PEER_CLIENT_CERT_AUTH": "true",
    }
    return "".join(f"ETCD_{name}={value}\n" for name, value in rows.items())


# ---- PostgreSQL and Patroni ----

def postgresql_parameters(s):
    return {
        "wal_level": "replica", "hot_standby": "on", "wal_log_hints": "on", "max_wal_senders": 10, "max_replication_slots": 10,
        "synchronous_commit": "on",
        # How long the others wait for a site that fell silent, and how soon one that is back is heard.
        "wal_sender_timeout": "3s", "wal_receiver_timeout": "3s", "wal_retrieve_retry_interval": "200ms",
        "wal_receiver_status_interval": "1s",
        "tcp_keepalives_idle": 2, "tcp_keepalives_interval": 1, "tcp_keepalives_count": 3, "tcp_user_timeout": 3000,
        "password_encryption": "scram-sha-256",
        "ssl": "on", "ssl_ca_file": s.ca, "ssl_cert_file": s.certificate, "ssl_key_file": s.key,
        "unix_socket_directories": s.run("postgresql"),
        "archive_mode": "on", "archive_timeout": "60s" if s.backup_sites else 0,
        "archive_command": f"pgbackrest --config={s.config('pgbackrest.conf')} --stanza={STANZA} archive-push %p" if s.backup_sites else "/bin/true",
        "log_checkpoints": "off", "log_line_prefix": "%m [%p] %u ",
        **s.passed("postgresql."),
    }


# PostgreSQL wants these alike at all sites, so Patroni takes them from what the members share only.
SHARED_PARAMETERS = {"max_connections", "max_locks_per_transaction", "max_worker_processes", "max_prepared_transactions", "wal_level",
                     "track_commit_timestamp", "max_wal_senders", "max_replication_slots", "wal_log_hints", "wal_keep_size", "hot_standby"}


def parameters(s, shared):
    return {n: v for n, v in postgresql_parameters(s).items() if (n in SHARED_PARAMETERS) == shared}


def hba(s):
    """Who may come from where; the first line that fits decides."""
    rows = ["local all postgres peer", "local bongsu bongsu_watch peer map=watch"]
    for address in s.sites.values():
        rows += [f"hostssl replication replicator {address}/32 scram-sha-256",
                 f"hostssl all postgres,rewind {address}/32 scram-sha-256",
                 f"hostssl bongsu bongsu {address}/32 scram-sha-256"]
    return rows


def patroni_dcs(s):
    """What all members share. 5/1/2 is the shortest ttl that keeps Patroni's rule ttl >= loop_wait + 2 * retry_timeout, by which
    an old primary has stepped down before a new one can be made. Strict: no commit without a second site, ever."""
    return {
        "ttl": 5, "loop_wait": 1, "retry_timeout": 2, "primary_start_timeout": 0, "primary_stop_timeout": 3,
        "maximum_lag_on_failover": 64 << 20,
        "synchronous_mode": "quorum", "synchronous_mode_strict": True, "synchronous_node_count": 1, "failsafe_mode": True,
        "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": parameters(s, shared=True)},
    }


def patroni(s):
    """JSON is YAML. The REST address that Patroni tells the others is on loopback: HAProxy there carries it to the site, by TLS on
    both sides' certificates, and refuses at once when the site is known to be dead. Asking a silent site costs an election 2 s."""
    secret = s.passwords()
    tls = {"sslmode": "verify-ca", "sslrootcert": s.ca}
    return "# Made by deploy/site from site.conf.\n" + json.dumps({
        "scope": SCOPE, "name": s.site,
        "log": {"level": "INFO", "format": "%(asctime)s %(levelname)s %(message)s"},
        "restapi": {"listen": f"127.0.0.1:{PATRONI}", "connect_address": f"127.0.0.1:{PATRONI_PEER + s.number}",
                    "authentication": {"username": "patroni", "password": secret["patroni"]}},
        "etcd3": {"hosts": [f"127.0.0.1:{ETCD}", f"127.0.0.1:{ETCD_OTHERS}"], "use_proxies": True, "protocol": "https",
                  "cacert": s.ca, "cert": s.certificate, "key": s.key},
        "bootstrap": {"dcs": patroni_dcs(s), "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
                      "post_init": f"{os.path.join(HERE, 'site')} database --settings {s.config('site.conf')}"},
        "postgresql": {
            "listen": f"{s.address}:{POSTGRESQL}", "connect_address": f"{s.address}:{POSTGRESQL}", "use_unix_socket": True,
            "parameters": parameters(s, shared=False), "pg_hba": hba(s),
            "pg_ident": ["watch root bongsu_watch", "watch postgres bongsu_watch"],
            "data_dir": s.data("postgresql/data"), "bin_dir": "/usr/lib/postgresql/15/bin", "pgpass": s.run("postgresql/pgpass"),
            "authentication": {
                "superuser": {"username": "postgres", "password": secret["postgresql"], **tls},
                "replication": {"username": "replicator", "password": secret["replication"], **tls},
                "rewind": {"username": "rewind", "password": secret["rewind"], **tls}},
            "create_replica_methods": ["basebackup"], "basebackup": [{"checkpoint": "fast"}],
            # A copy that cannot be rewound is made anew; it never was the only one.
            "remove_data_directory_on_rewind_failure": True, "remove_data_directory_on_diverged_timelines": True},
        "watchdog": {"mode": False},
    }, indent=2) + "\n"


def database_sql(s):
    """Run once by Patroni in the new cluster, as postgres."""
    return f"""SET synchronous_commit = local;
CREATE ROLE bongsu LOGIN PASSWORD '{s.passwords()["bongsu"]}';
ALTER ROLE bongsu SET idle_in_transaction_session_timeout = '100ms';
CREATE ROLE bongsu_watch LOGIN;
CREATE DATABASE bongsu OWNER bongsu TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE bongsu FROM PUBLIC;
GRANT CONNECT ON DATABASE bongsu TO bongsu_watch;
GRANT pg_monitor TO bongsu;
\\connect bongsu
SET synchronous_commit = local;
CREATE SCHEMA watch AUTHORIZATION bongsu_watch;
CREATE TABLE watch.probe(site text PRIMARY KEY, at timestamptz NOT NULL);
ALTER TABLE watch.probe OWNER TO bongsu_watch;
"""


# ---- NATS ----

def nats(s):
    def tls(indent):
        return f'{indent}tls {{ cert_file: "{s.certificate}", key_file: "{s.key}", ca_file: "{s.ca}", verify: true, timeout: 2 }}'
    routes = ", ".join(f'"nats-route://{a}:{NATS_ROUTES}"' for _, a in s.others)
    return f"""# Made by deploy/site from site.conf.
server_name: {s.site}
listen: "0.0.0.0:{NATS}"
http: "127.0.0.1:8222"
max_payload: 2MB
max_pending: 64MB
max_connections: 4096
# A route to a dead site is dropped after two of these.
ping_interval: "2s"
ping_max: 1
write_deadline: "2s"
{tls("")}
accounts {{
    BONGSU {{ users: [ {{ user: "bongsu", password: "{s.passwords()["nats"]}" }} ] }}
    SYS {{ }}
}}
system_account: SYS
cluster {{
    name: "{SCOPE}"
    listen: "{s.address}:{NATS_ROUTES}"
    routes: [ {routes} ]
    connect_retries: 1000000
{tls("    ")}
}}
"""


# ---- HAProxy ----

def haproxy_clients(s):
    """The own Bongsu; while it is not ready, those of the other sites. A wrong alarm must cost nobody a session, so checks are
    patient, and only sessions that lead to another site are ended when that one is down."""
    out = []
    for name, behind in s.behind.items():
        out += [f"listen {name}", f"    bind :{s['port.' + name]}", "    balance leastconn", "    option allbackups", "    timeout check 2s",
                "    option httpchk GET /health/ready", f"    server {s.site} {s.address}:{behind} check port {HEALTH} fall 3"]
        out += [f"    server {n} {a}:{behind} check port {HEALTH} fall 3 on-marked-down shutdown-sessions backup" for n, a in s.others]
    return out


def haproxy_patroni(s):
    pem = s.secret_file("site-both.pem")
    mutual = f"ssl verify required ca-file {s.ca} crt {pem}"
    out = ["listen patroni", f"    bind {s.address}:{PATRONI} {mutual}", f"    server own 127.0.0.1:{PATRONI}"]
    for number, (name, address) in enumerate(s.sites.items(), 1):
        out += [f"listen patroni-{name}", f"    bind 127.0.0.1:{PATRONI_PEER + number}", "    timeout connect 1s", "    timeout server 5s", "    timeout check 1s"]
        if name == s.site:
            out += [f"    server {name} 127.0.0.1:{PATRONI}"]
        else:
            out += ["    option httpchk GET /liveness", f"    server {name} {address}:{PATRONI} {mutual} check on-marked-down shutdown-sessions"]
    out += ["listen etcd-others", f"    bind 127.0.0.1:{ETCD_OTHERS}", "    option httpchk GET /version"]
    out += [f"    server {n} {a}:{ETCD} check check-ssl verify required ca-file {s.ca} crt {pem} on-marked-down shutdown-sessions"
            for n, a in s.others]
    return out


def haproxy_detour(s):
    """For a site whose link to the primary's site is cut: through here it reaches the primary all the same. PostgreSQL's own TLS goes
    through as it is."""
    out = ["listen detour", f"    bind {s.address}:{DETOUR}", "    option httpchk GET /primary"]
    return out + [f"    server {name} {address}:{POSTGRESQL} check addr 127.0.0.1 port {PATRONI_PEER + number} on-marked-down shutdown-sessions"
                  for number, (name, address) in enumerate(s.sites.items(), 1)]


def haproxy(s):
    text = f"""# Made by deploy/site from site.conf.
global
    maxconn {s["clients_max"]}
    user haproxy
    group haproxy
    stats socket {s.run("haproxy")}/control mode 600 level admin
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-server-options ssl-min-ver TLSv1.2
defaults
    mode tcp
    timeout connect 500ms
    timeout client 15m
    timeout server 15m
    timeout check 500ms
    retries 1
    option redispatch
    option clitcpka
    option srvtcpka
    # A dead site is known within 1.5 s to 2.5 s.
    default-server inter 500ms fall 2 rise 2
"""
    return text + "\n".join(haproxy_clients(s) + haproxy_patroni(s) + haproxy_detour(s)) + "\n"


# ---- Bongsu ----

def federation_for_bongsu(s):
    """Other servers come from HAProxy's address too, so the limit for each address is that for all."""
    if s["federation"] != "yes":
        return {"federation.on": "no", "federation.listen": "", "federation.listen_tls": ""}
    listen = {"federation.listen" + n.removeprefix("s2s"): f"{s.address}:{BEHIND[n]}" for n in FOR_SERVERS}
    return {**listen, "federation.connections_per_address_max": "4000"}


def app_addresses(s):
    """Where the app finds the sites. The certificates that `site init` makes are good for each site's address; another one is good for
    the domain, a name that leads to all of them (or see bongsu.web.websocket_url and bongsu.web.sites)."""
    return [s["domain"]] if s["tls.certificate"] else [a for _, a in s.own_first]


def bongsu(s):
    hosts = ",".join(a for _, a in s.own_first + s.others)          # the others again, as a detour to the primary behind them
    ports = ",".join([str(POSTGRESQL)] * len(s.sites) + [str(DETOUR)] * len(s.others))
    servers = ",".join(f"tls://{a}:{NATS}" for _, a in s.own_first)
    patronis = ",".join(f"http://127.0.0.1:{PATRONI_PEER + i}" for i in range(1, len(s.sites) + 1))
    rows = {
        "domain": s["domain"], "site": s.site, "data_dir": s.data("bongsu"), "run_dir": s.run("bongsu"),
        "db.server": f"host={hosts} port={ports} dbname=bongsu user=bongsu passfile={s.config('bongsu.pgpass')} "
                     f"sslmode=verify-ca sslrootcert={s.ca}",
        "bus.servers": servers, "bus.user": "bongsu", "bus.password": s.passwords()["nats"],
        "bus.ca": s.ca, "bus.certificate": s.certificate, "bus.key": s.key,
        "sites.patroni": patronis,
        "tls.certificate": s["tls.certificate"] or s.secret_file("domain.pem"),
        "tls.key": s["tls.key"] or s.secret_file("domain.key"),
        "talk.listen": f"{s.address}:{BEHIND['xmpp']}", "talk.listen_tls": f"{s.address}:{BEHIND['xmpps']}",
        "talk.listen_websocket": f"{s.address}:{BEHIND['websocket']}", "web.listen": f"{s.address}:{BEHIND['https']}",
        "keeper.metrics_listen": f"{s.address}:{HEALTH}",
        **federation_for_bongsu(s),
        "web.files": s["web_files"],
        "files.url": f"https://{s['domain']}" + ("" if s["port.https"] == "443" else f":{s['port.https']}"),
        "files.peers": ",".join(f"{a}:{BEHIND['https']}" for _, a in s.others),
        "files.peers_ca": "" if s["tls.certificate"] else s.ca,
        "web.websocket_url": ", ".join(f"wss://{a}:{s['port.websocket']}/xmpp-websocket" for a in app_addresses(s)),
        "web.sites": ", ".join(f"https://{a}" + ("" if s["port.https"] == "443" else f":{s['port.https']}") for a in app_addresses(s)),
        "talk.read_workers": "8",       # a read waits for its answers more than it works: so many wait side by side
        # Everyone comes from HAProxy's address, so a limit for each address would be one for all.
        "talk.connections_per_address_max": "1000000", "ident.failures_per_address": "0", "ident.failures_per_user": "0",
        **({"talk.workers": s["talk.workers"]} if s["talk.workers"] != "1" else {}),
        **turn_for_bongsu(s),
        **s.passed("bongsu."),
    }
    return "# Made by deploy/site from site.conf.\n" + "".join(f"{n} = {v}\n" for n, v in rows.items())


def pgpass(s):
    return "".join(f"{a}:{port}:*:bongsu:{s.passwords()['bongsu']}\n" for a in s.sites.values() for port in (POSTGRESQL, DETOUR))


# ---- coturn ----

def has_turn(s):
    """A site whose passwords are of before there were relays gets one when `site init` has been run again."""
    return s["turn"] == "yes" and bool(s.passwords().get("turn"))


def turn_for_bongsu(s):
    """Clients are told of the relay of the site they are at; or of a name, behind which all are. All take the same credentials."""
    if not has_turn(s):
        return {}
    tls = s["port.turns"] if s["turn.host"] and s["tls.certificate"] else "0"
    return {"turn.host": s["turn.host"] or s["turn.external"] or s.address, "turn.port": s["port.turn"], "turn.tls_port": tls,
            "turn.secret": s.passwords()["turn"]}


# What only machines of ours can reach: a relay must not lead strangers there. RFC 6890.
NOT_FOR_STRANGERS = ["0.0.0.0-0.255.255.255", "10.0.0.0-10.255.255.255", "100.64.0.0-100.127.255.255", "127.0.0.0-127.255.255.255",
                     "169.254.0.0-169.254.255.255", "172.16.0.0-172.31.255.255", "192.0.0.0-192.0.0.255", "192.0.2.0-192.0.2.255",
                     "192.88.99.0-192.88.99.255", "192.168.0.0-192.168.255.255", "198.18.0.0-198.19.255.255",
                     "198.51.100.0-198.51.100.255", "203.0.113.0-203.0.113.255", "240.0.0.0-255.255.255.255",
                     "::-::1", "64:ff9b::-64:ff9b::ffff:ffff", "::ffff:0.0.0.0-::ffff:255.255.255.255", "100::-100::ffff:ffff:ffff:ffff",
                     "2001::-2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2002::-2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                     "fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]


def coturn(s):
    first, _, last = s["turn.ports"].partition("-")
    rows = ["# Made by deploy/site from site.conf.", f"listening-ip={s.address}", f"relay-ip={s.address}", f"listening-port={s['port.turn']}",
            f"min-port={first}", f"max-port={last}", f"realm={s['domain']}", "use-auth-secret", f"static-auth-secret={s.passwords()['turn']}",
            "fingerprint", "stale-nonce=600", "no-multicast-peers", "no-tcp-relay", "no-cli", "no-rfc5780", "no-software-attribute",
            # an account's calls at one time, and everybody's
            "user-quota=16", "total-quota=4000", "log-file=stdout", "simple-log", "no-stdout-log", f"pidfile={s.run('turn/pid')}",
            f"userdb={s.run('turn/none')}"]
    if s["turn.external"]:
        rows += [f"external-ip={s['turn.external']}/{s.address}"]
    if s["turn.host"] and s["tls.certificate"]:
        rows += [f"tls-listening-port={s['port.turns']}", f"cert={s['tls.certificate']}", f"pkey={s['tls.key']}", "no-tlsv1", "no-tlsv1_1", "no-dtls"]
    else:
        rows += ["no-tls", "no-dtls"]
    rows += [f"denied-peer-ip={r}" for r in NOT_FOR_STRANGERS]
    # two callers who both need a relay meet at the relays
    rows += [f"allowed-peer-ip={a}" for a in s.sites.values()]
    return "\n".join(rows) + "\n"


# ---- pgBackRest ----

def pgbackrest_common(s):
    return ["# Made by deploy/site from site.conf.", "[global]", f"log-path={s.data('backup-log')}", f"spool-path={s.data('backup-spool')}",
            f"lock-path={s.run('postgresql')}", "log-level-console=warn", "log-level-file=off", "compress-type=lz4", "start-fast=y",
            "archive-timeout=30", "io-timeout=20", "protocol-timeout=30"]


def pgbackrest_host(s, prefix, name):
    return [f"{prefix}-host={s.sites[name]}", f"{prefix}-host-type=tls", f"{prefix}-host-port={PGBACKREST}", f"{prefix}-host-user=postgres",
            f"{prefix}-host-config={s.config('pgbackrest.conf')}", f"{prefix}-host-ca-file={s.ca}", f"{prefix}-host-cert-file={s.certificate}",
            f"{prefix}-host-key-file={s.key}"]


def pgbackrest_database(s, i):
    return [f"pg{i}-path={s.data('postgresql/data')}", f"pg{i}-socket-path={s.run('postgresql')}", f"pg{i}-user=postgres"]


def pgbackrest(s):
    """As a site with a database: it archives into the repositories of all backup.sites, and restores from one. The server lets the
    other sites in by their certificates."""
    out = pgbackrest_common(s) + [
        "archive-push-queue-max=4GiB", f"tls-server-address={s.address}", f"tls-server-port={PGBACKREST}", f"tls-server-ca-file={s.ca}",
        f"tls-server-cert-file={s.certificate}", f"tls-server-key-file={s.key}"] + [f"tls-server-auth={name}={STANZA}" for name in s.sites]
    for i, name in enumerate(s.backup_sites, 1):
        out += [f"repo{i}-path={s.backup_dir}/{name}"] + (pgbackrest_host(s, f"repo{i}", name) if name != s.site else [])
    return "\n".join(out + [f"[{STANZA}]"] + pgbackrest_database(s, 1)) + "\n"


def pgbackrest_repository(s):
    """As a site with a repository: it fetches full backups from whichever site is primary or, better, from a standby: its own."""
    out = pgbackrest_common(s) + [f"repo1-path={s.backup_dir}/{s.site}", f"repo1-retention-full={s['backup.keep']}", "repo1-bundle=y", f"[{STANZA}]"]
    for i, (name, _) in enumerate(s.own_first, 1):
        out += pgbackrest_database(s, i) + (pgbackrest_host(s, f"pg{i}", name) if name != s.site else [])
    return "\n".join(out) + "\n"


# ---- units ----

HARDENED = """NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0077
"""


def unit(what, user, command, lines=(), capabilities="", restart_s="1", needs=""):
    identity = f"User={user}\nGroup={user}\n" if user else ""
    condition = f"ConditionPathExists={needs}\n" if needs else ""
    return f"""# systemd unit, made by deploy/site from site.conf.
[Unit]
Description={what}
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0
PartOf=bongsu-site.target
{condition}
[Service]
{identity}ExecStart={command}
Restart=always
RestartSec={restart_s}
TimeoutStopSec=30
""" + "".join(line + "\n" for line in lines) + f"CapabilityBoundingSet={capabilities}\n" + HARDENED + """
[Install]
WantedBy=bongsu-site.target
"""


def units(s):
    """{file name: text}; the order is that of starting."""
    conf, writes = s.config("site.conf"), "ReadWritePaths=-"
    made = {
        "bongsu-etcd.service": unit("etcd of the site", "etcd", "/usr/bin/etcd", [
            f"EnvironmentFile={s.config('etcd.env')}", f"EnvironmentFile=-{s.data('etcd-join.env')}",
            f"ExecStartPre={os.path.join(HERE, 'site')} may-start-etcd --settings {conf}",
            writes + s.data("etcd"), "LimitNOFILE=65536", "Nice=-5", "OOMScoreAdjust=-900"]),
        "bongsu-haproxy.service": unit("HAProxy of the site", "", f"/usr/sbin/haproxy -W -f {s.config('haproxy.cfg')}", [
            f"ExecStartPre=/usr/sbin/haproxy -c -q -f {s.config('haproxy.cfg')}", "ExecReload=/bin/kill -USR2 $MAINPID",
            "RuntimeDirectory=bongsu/haproxy", "RuntimeDirectoryPreserve=yes", "LimitNOFILE=262144"],
            "CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_KILL CAP_SYS_RESOURCE CAP_DAC_READ_SEARCH"),
        "bongsu-nats.service": unit("NATS of the site", "nats", f"/usr/sbin/nats-server -c {s.config('nats.conf')}", [
            "ExecReload=/bin/kill -HUP $MAINPID", "LimitNOFILE=65536"]),
        # Patroni stops PostgreSQL in order; killed, it leaves it running, and finds it again.
        "bongsu-patroni.service": unit("PostgreSQL of the site, kept by Patroni", "postgres",
                                       f"{os.path.join(HERE, 'patroni')} {s.config('patroni.yml')}", [
            "ExecReload=/bin/kill -HUP $MAINPID", "KillMode=process", "RuntimeDirectory=bongsu/postgresql", "RuntimeDirectoryMode=0755",
            "RuntimeDirectoryPreserve=yes", writes + " -".join([s.data("postgresql"), s.data("backup-spool"), s.data("backup-log")]),
            "OOMScoreAdjust=-900", "LimitNOFILE=65536"]),
        "bongsu-commit-watch.service": unit("The site's watch on its primary", "", f"{os.path.join(HERE, 'commit-watch')} --settings {conf}", [
            writes + s["data_dir"]], "CAP_KILL CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER CAP_SETUID CAP_SETGID CAP_SYS_PTRACE"),
        "bongsu.service": unit("Bongsu messenger", "bongsu", f"{s['program']} serve --config {s.config('bongsu.conf')}", [
            "Type=notify", f"ExecReload={s['program']} reload --config {s.config('bongsu.conf')}", writes + s.data("bongsu"),
            "RuntimeDirectory=bongsu/bongsu", "RuntimeDirectoryMode=0700", "LimitNOFILE=65536", "LogRateLimitIntervalSec=0",
            "MemoryDenyWriteExecute=yes", "ProtectProc=invisible", "RemoveIPC=yes",
            "SystemCallFilter=@system-service seccomp", "SystemCallErrorNumber=EPERM"], needs=s["program"]),
    }
    if has_turn(s):
        made["bongsu-turn.service"] = unit("Relay for calls", "turnserver", f"/usr/bin/turnserver -c {s.config('turnserver.conf')}", [
            f"SupplementaryGroups={GROUP}", "RuntimeDirectory=bongsu/turn", "RestrictAddressFamilies=AF_NETLINK", "LimitNOFILE=65536",
            "SystemCallFilter=@system-service", "SystemCallErrorNumber=EPERM"],
            "CAP_NET_BIND_SERVICE" if min(int(s["port.turn"]), int(s["port.turns"])) < 1024 else "", needs="/usr/bin/turnserver")
    if s.backup_sites:
        made["bongsu-backup-server.service"] = unit(
            "Backups: what the other sites may fetch and store here", "postgres", f"/usr/bin/pgbackrest --config={s.config('pgbackrest.conf')} server",
            [writes + " -".join([s.data("backup-log"), s.run("postgresql")] + ([s.backup_dir] if s.site in s.backup_sites else [])),
             "RuntimeDirectory=bongsu/postgresql", "RuntimeDirectoryMode=0755", "RuntimeDirectoryPreserve=yes"])
    return made


def unit_extras(s):
    """What only systemd uses: the target, and the daily backup of a site with a repository."""
    extras = {"bongsu-site.target": "[Unit]\nDescription=A site of Bongsu\n\n[Install]\nWantedBy=multi-user.target\n"}
    if s.site in s.backup_sites:
        extras["bongsu-backup.service"] = f"""[Unit]
Description=Full backup into this site's repository

[Service]
Type=oneshot
User=postgres
Group=postgres
ExecStart={os.path.join(HERE, 'backup')} --settings {s.config('site.conf')} full
"""
        extras["bongsu-backup.timer"] = "[Unit]\nDescription=Full backup each day\n\n[Timer]\nOnCalendar=*-*-* 03:10\nRandomizedDelaySec=600\n\n" \
                                        "[Install]\nWantedBy=timers.target\n"
    return extras


def firewall(s):
    """nftables: strangers reach the ports for clients and other servers, the sites reach each other, nobody else anything."""
    sites = ", ".join(s.sites.values())
    clients = ", ".join([s["port." + n] for n in s.behind] + ([s["port.turn"], s["port.turns"]] if has_turn(s) else []))
    relay = f"udp dport {{ {s['port.turn']}, {s['turn.ports']} }} accept\n        " if has_turn(s) else ""
    inner = ", ".join(str(p) for p in (HEALTH, PATRONI, ETCD, ETCD_PEER, POSTGRESQL, DETOUR, NATS, NATS_ROUTES, PGBACKREST, *BEHIND.values()))
    return f"""# For nftables, to be included in the machine's own rules: `nft -f` does not touch other tables.
table inet bongsu
delete table inet bongsu
table inet bongsu {{
    chain input {{
        type filter hook input priority 0; policy accept;
        iifname "lo" accept
        ct state established,related accept
        {relay}tcp dport {{ {clients} }} accept
        ip saddr {{ {sites} }} tcp dport {{ {inner} }} accept
        tcp dport {{ {inner} }} drop
    }}
}}
"""


def files(s):
    """Every file of the site but the secrets."""
    made = [
        File(s.config("etcd.env"), etcd_environment(s), "root", "root", 0o644),
        File(s.config("patroni.yml"), patroni(s), "root", "postgres", 0o640),
        File(s.config("nats.conf"), nats(s), "root", "nats", 0o640),
        File(s.config("haproxy.cfg"), haproxy(s), "root", "root", 0o644),
        File(s.config("bongsu.conf"), bongsu(s), "root", "bongsu", 0o640),
        File(s.config("bongsu.pgpass"), pgpass(s), "bongsu", "bongsu", 0o600),
        File(s.config("firewall.nft"), firewall(s), "root", "root", 0o644),
    ]
    if has_turn(s):
        made.append(File(s.config("turnserver.conf"), coturn(s), "root", GROUP, 0o640))
    if s.backup_sites:
        made.append(File(s.config("pgbackrest.conf"), pgbackrest(s), "root", "postgres", 0o640))
    if s.site in s.backup_sites:
        made.append(File(s.config("pgbackrest-repository.conf"), pgbackrest_repository(s), "root", "postgres", 0o640))
    for name, text in {**units(s), **unit_extras(s)}.items():
        made.append(File(s.config("units/" + name), text, "root", "root", 0o644))
    return made


def directories(s):
    """(path, owner, group, mode) of what the services keep their data in."""
    made = [(s["data_dir"], "root", "root", 0o755), (s.data("etcd"), "etcd", "etcd", 0o700),
            (s.data("postgresql"), "postgres", "postgres", 0o700), (s.data("bongsu"), "bongsu", "bongsu", 0o700)]
    if s.backup_sites:
        made += [(s.data("backup-log"), "postgres", "postgres", 0o700), (s.data("backup-spool"), "postgres", "postgres", 0o700)]
        if s.site in s.backup_sites:
            made.append((s.backup_dir, "postgres", "postgres", 0o700))
    return made


# The users that packages make, and the groups they must be in besides.
USERS = ["etcd", "nats", "haproxy", "postgres", "bongsu"]
