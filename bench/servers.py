"""servers.py: how to start each server for the benchmark, fairly.

One class per server, one row in SERVERS. Every server gets the same
certificate, the same accounts, no rate limits, logs at error, and the same
features: roster, presence, disco, ping, stream management, carbons,
blocking, PEP, offline messages, and an archive as the mode says:

  files   archive on, in the store the server takes by default
  synced  archive on, in SQLite (WAL), synchronous=FULL
  off     no archive

SPDX-License-Identifier: AGPL-3.0-or-later"""
import base64
import ctypes
import glob
import hashlib
import hmac
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

DOMAIN = "bench.test"
PREFIX = "u"
PASSWORD = "bench-password"
# One salt for all accounts: the load generator derives its keys once. For
# the server a log-in costs the same, it only reads what is stored.
SALT = b"bench-salt-16byt"
ITERATIONS = 4096
HERE = os.path.dirname(os.path.abspath(__file__))


class ServerError(Exception):
    pass


def scram_keys():
    """StoredKey and ServerKey of RFC 5802 for PASSWORD, SHA-1."""
    salted = hashlib.pbkdf2_hmac("sha1", PASSWORD.encode(), SALT, ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha1")
    return hashlib.sha1(client).digest(), hmac.digest(salted, b"Server Key", "sha1")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_certificate(directory):
    """ECDSA P-256, because the kind of key decides what a log-in costs."""
    key, crt = os.path.join(directory, "key.pem"), os.path.join(directory, "crt.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", key, "-out", crt, "-days", "2", "-subj", f"/CN={DOMAIN}",
                    "-addext", f"subjectAltName=DNS:{DOMAIN}"], check=True, capture_output=True)
    return key, crt


def wal_database(path, schema=None):
    """The journal mode stays in the file, so a server that does not ask for
    WAL gets it as well. Synchronous is FULL unless a server says otherwise."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    if schema:
        db.executescript(open(schema).read())
    db.commit()
    db.close()


class Server:
    name = ""
    label = ""
    mechanism = "SCRAM-SHA-1"

    def __init__(self, directory, mode, accounts, cpu=None):
        self.dir, self.mode, self.accounts, self.cpu = directory, mode, accounts, cpu
        self.port, self.tls_port = free_port(), free_port()
        self.process = None
        self.log = os.path.join(directory, "stderr.log")

    @classmethod
    def missing(cls):
        """Why it cannot run here, or None."""
        return None

    @classmethod
    def mode_missing(cls, mode):
        """Why it cannot run in this mode, or None."""
        return None

    def durable(self):
        """What the configuration says about syncing, for when strace is missing."""
        return "?"

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def spawn(self, args, env=None):
        def prepare():
            os.setsid()
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG: not to outlive the benchmark
            if self.cpu is not None:
                os.sched_setaffinity(0, {self.cpu})
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(args, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=prepare, env={**os.environ, **(env or {})})

    def wait_ports(self, seconds=60):
        deadline = time.monotonic() + seconds
        for port in (self.port, self.tls_port):
            while True:
                if self.process.poll() is not None:
                    raise ServerError(f"{self.name} ended while starting:\n{self.tail()}")
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise ServerError(f"{self.name} did not open port {port}:\n{self.tail()}")
                    time.sleep(0.05)

    def tail(self):
        try:
            return open(self.log, errors="replace").read()[-2000:]
        except OSError:
            return ""

    def start(self):
        raise NotImplementedError

    def stop(self):
        """The whole process group, helpers of the server too. Its data is
        thrown away, so it gets little time to say good-bye."""
        if not self.process:
            return
        for sig, seconds in ((signal.SIGTERM, 1.5), (signal.SIGKILL, 10)):
            try:
                os.killpg(self.process.pid, sig)
            except ProcessLookupError:
                pass
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        self.process = None


PROSODY_CONFIG = """
run_as_root = true
daemonize = false
pidfile = "{dir}/prosody.pid"
data_path = "{dir}/data"
certificates = "{dir}"
network_backend = "epoll"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ {tls_port} }}
c2s_require_encryption = false
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "carbons", "blocklist",
                    "smacks", "pep", "offline" {mam} }}
modules_disabled = {{ "s2s", "limits" }}
authentication = "internal_hashed"
storage = {{ archive = "{archive_store}" }}
sql = {{ driver = "SQLite3", database = "{dir}/archive.sqlite" }}
default_archive_policy = true
archive_expires_after = "never"
max_archive_query_results = 100
ssl = {{ key = "{key}", certificate = "{crt}", protocol = "tlsv1_2+" }}
log = {{ error = "*console" }}
VirtualHost "{domain}"
Component "rooms.{domain}" "muc"
    modules_enabled = {{ {muc_mam} }}
    muc_log_by_default = true
"""


class Prosody(Server):
    name, label = "prosody", "Prosody"

    @classmethod
    def missing(cls):
        return None if shutil.which("prosody") else "the package prosody is not installed"

    def durable(self):
        return "SQLite, synchronous=FULL by default" if self.mode == "synced" else "no: files are written, not synced"

    def start(self, key, crt):
        data = os.path.join(self.dir, "data")
        self.write_accounts(os.path.join(data, DOMAIN.replace(".", "%2e"), "accounts"))
        wal_database(os.path.join(self.dir, "archive.sqlite"))
        config = self.write("prosody.cfg.lua", PROSODY_CONFIG.format(
            dir=self.dir, port=self.port, tls_port=self.tls_port, key=key, crt=crt, domain=DOMAIN,
            mam="" if self.mode == "off" else ', "mam"', muc_mam="" if self.mode == "off" else '"muc_mam"',
            archive_store="sql" if self.mode == "synced" else "internal"))
        self.spawn(["prosody", "--config", config, "-F"])
        self.wait_ports()

    def write_accounts(self, directory):
        """The files prosodyctl would write, without 0.3 s for each."""
        os.makedirs(directory)
        stored, server = scram_keys()
        text = ('return {{\n\t["iteration_count"] = {i};\n\t["salt"] = "{s}";\n\t["stored_key"] = "{k}";\n'
                '\t["server_key"] = "{v}";\n}};\n').format(i=ITERATIONS, s=SALT.decode(), k=stored.hex(), v=server.hex())
        for n in range(self.accounts):
            with open(os.path.join(directory, f"{PREFIX}{n}.dat"), "w") as f:
                f.write(text)


EJABBERD_CONFIG = """
loglevel: error
hosts: ["{domain}"]
certfiles: ["{dir}/both.pem"]
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 262144
    starttls: true
    backlog: 1024
  - port: {tls_port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 262144
    tls: true
    backlog: 1024
auth_password_format: scram
auth_scram_hash: sha
disable_sasl_mechanisms: ["digest-md5", "X-OAUTH2"]
{sql}
shaper: {{}}
shaper_rules:
  max_user_sessions: 1000
  max_user_offline_messages: 100
modules:
  mod_roster: {{}}
  mod_disco: {{}}
  mod_ping: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_privacy: {{}}
  mod_blocking: {{}}
  mod_offline: {{}}
  mod_stream_mgmt: {{}}
  mod_muc:
    host: "rooms.@HOST@"
    max_users: 5000
    max_users_presence: 5000
    min_presence_interval: 0
    min_message_interval: 0
    default_room_options:
      mam: {room_mam}
      max_users: 5000
  mod_pubsub:
    plugins: [flat, pep]
{mam}
"""

EJABBERD_ACCOUNTS = """
{{ok, _}} = ejabberd:start(),
lists:foreach(fun(N) ->
    mnesia:dirty_write({{passwd, {{<<"{prefix}", (integer_to_binary(N))/binary>>, <<"{domain}">>}},
        {{scram, <<"{stored}">>, <<"{server}">>, <<"{salt}">>, sha, {iterations}}}}})
  end, lists:seq(0, {last})),
ok = file:write_file("{dir}/accounts-ready", "").
"""


class Ejabberd(Server):
    name, label = "ejabberd", "ejabberd"

    @classmethod
    def missing(cls):
        if not shutil.which("erl") or not shutil.which("ejabberdctl"):
            return "the package ejabberd is not installed"
        return None

    @classmethod
    def mode_missing(cls, mode):
        if mode != "synced" or glob.glob("/usr/lib/erlang/lib/p1_sqlite3-*"):
            return None
        return "the package erlang-p1-sqlite3 is not installed"

    def durable(self):
        return "SQLite, synchronous=FULL by default" if self.mode == "synced" else "no: mnesia syncs its log now and then"

    def start(self, key, crt):
        self.write("both.pem", open(crt).read() + open(key).read())
        sql = mam = ""
        if self.mode != "off":
            mam = "  mod_mam:\n    default: always\n    request_activates_archiving: false\n"
            mam += "    db_type: %s\n" % ("sql" if self.mode == "synced" else "mnesia")
        if self.mode == "synced":
            path = os.path.join(self.dir, "archive.sqlite")
            wal_database(path, "/usr/share/ejabberd/sql/lite.sql")
            sql = f'sql_type: sqlite\nsql_database: "{path}"\nsql_pool_size: 1\n'
        config = self.write("ejabberd.yml", EJABBERD_CONFIG.format(
            dir=self.dir, port=self.port, tls_port=self.tls_port, domain=DOMAIN, sql=sql, mam=mam,
            room_mam="false" if self.mode == "off" else "true"))
        stored, server = (base64.b64encode(k).decode() for k in scram_keys())
        program = EJABBERD_ACCOUNTS.format(
            prefix=PREFIX, domain=DOMAIN, stored=stored, server=server, salt=base64.b64encode(SALT).decode(),
            iterations=ITERATIONS, last=self.accounts - 1, dir=self.dir)
        os.mkdir(os.path.join(self.dir, "mnesia"))
        # The flags of Debian's ejabberdctl; no node name, so no epmd. Spinning
        # schedulers are turned off: they would count as work.
        self.spawn(["erl", "+K", "true", "+P", "250000", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
                    "-noinput", "-mnesia", "dir", f'"{self.dir}/mnesia"', "-eval", program],
                   env={"EJABBERD_CONFIG_PATH": config, "EJABBERD_LOG_PATH": f"{self.dir}/ejabberd.log",
                        "ERL_LIBS": "/usr/lib/x86_64-linux-gnu", "ERL_MAX_PORTS": "32000", "HOME": self.dir,
                        "ERL_CRASH_DUMP": "/dev/null", "ERL_CRASH_DUMP_BYTES": "0"})
        self.wait_ports()
        deadline = time.monotonic() + 120
        while not os.path.exists(os.path.join(self.dir, "accounts-ready")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"ejabberd did not take the accounts:\n{self.tail()}")
            time.sleep(0.1)

    def tail(self):
        log = os.path.join(self.dir, "ejabberd.log")
        extra = open(log, errors="replace").read()[-2000:] if os.path.exists(log) else ""
        return super().tail() + extra


BONGSU_CONFIG = """
domain = {domain}
data_dir = {dir}/data
run_dir = {dir}/run
log.level = error
talk.listen = 127.0.0.1:{port}
talk.listen_tls = 127.0.0.1:{tls_port}
talk.listen_websocket =
web.listen =
talk.metrics_listen =
ident.metrics_listen =
web.metrics_listen =
keeper.metrics_listen =
courier.metrics_listen =
federation.on = no
federation.listen =
federation.listen_tls =
talk.plain_without_tls = yes
talk.connections_per_address_max = 100000
talk.sessions_per_account_max = 1000
talk.roster_items_max = 20000
talk.out_bytes_max = 64M
talk.stanzas_per_second_max = 1000000
talk.bytes_per_second_max = 1000M
ident.scram_iterations = 4096
ident.failures_per_address = 0
tls.key = {key}
tls.certificate = {crt}
"""


class Bongsu(Server):
    """Its archive is always on, in SQLite and synced: in the modes files and off it is
    compared with peers that promise less."""
    name, label = "bongsu", "Bongsu"
    binary = os.environ.get("BONGSU", os.path.join(os.path.dirname(HERE), "build/src/processes/bongsu"))

    @classmethod
    def missing(cls):
        return None if os.access(cls.binary, os.X_OK) else f"{cls.binary} is not built (or set BONGSU=PATH)"

    def durable(self):
        return "SQLite, WAL, synchronous=FULL"

    def start(self, key, crt):
        os.mkdir(os.path.join(self.dir, "data"))
        config = self.write("bongsu.conf", BONGSU_CONFIG.format(
            dir=self.dir, domain=DOMAIN, port=self.port, tls_port=self.tls_port, key=key, crt=crt))
        names = self.write("accounts", "".join(f"{PREFIX}{n} {PASSWORD}\n" for n in range(self.accounts)))
        self.spawn([self.binary, "serve", "--config", config])
        self.wait_ports()
        done = subprocess.run([self.binary, "user", "add", "--from", names, "--config", config],
                              capture_output=True, text=True, cwd=self.dir)
        if done.returncode:
            raise ServerError(f"bongsu did not take the accounts:\n{done.stderr}{self.tail()}")


class Floor(Server):
    """Not a server: the least one could do, see floor.c."""
    name, label, mechanism = "floor", "floor", "PLAIN"
    binary = os.path.join(os.path.dirname(HERE), "build/bench/bongsu-floor")

    @classmethod
    def missing(cls):
        return None if os.access(cls.binary, os.X_OK) else f"{cls.binary} is not built"

    @classmethod
    def mode_missing(cls, mode):
        return "it has no store but the synced log" if mode == "files" else None

    def durable(self):
        return "one log, fdatasync" if self.mode == "synced" else "no"

    def start(self, key, crt):
        log = [os.path.join(self.dir, "log")] if self.mode == "synced" else []
        self.spawn([self.binary, str(self.port), str(self.tls_port), key, crt] + log)
        self.wait_ports()


SERVERS = [Bongsu, Prosody, Ejabberd]
EXTRAS = [Floor]
