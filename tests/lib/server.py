# SPDX-License-Identifier: AGPL-3.0-or-later
"""server.py: starts a server for a test: Bongsu, or a peer to prove the test with.

    with make("prosody") as server:         # start() and stop()
        server.add_user("alice", "secret")

Every server serves the domain town.example on ports of 127.0.0.1 that were
free a moment ago, with a certificate of a fresh test authority (server.ca).
What Bongsu calls its commands and settings stands in BONGSU_* below, once.
"""
import ctypes
import fcntl
import glob
import hashlib
import hmac
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

from xmpp import client_context

DOMAIN = "town.example"
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

BONGSU = os.environ.get("BONGSU", os.path.join(TOP, "build/src/processes/bongsu"))
BONGSU_SERVE = ["serve", "--config", "{config}"]
BONGSU_ADD = ["user", "add", "{name}", "--password-stdin", "--config", "{config}"]
BONGSU_ADMIN = ["user", "admin", "{name}", "on", "--config", "{config}"]
BONGSU_READY = "bongsu: ready:"         # on stdout, once every role serves
BONGSU_WEBSOCKET_PATH = "/xmpp-websocket"
BONGSU_CONFIG = """\
domain = {domain}
data_dir = {dir}/data
run_dir = {dir}/run
talk.listen = 127.0.0.1:{port}
talk.listen_tls = 127.0.0.1:{tls_port}
talk.listen_websocket = 127.0.0.1:{websocket_port}
web.listen = 127.0.0.1:{web_port}
files.url = https://localhost:{web_port}
talk.metrics_listen = 127.0.0.1:{metrics[0]}
ident.metrics_listen = 127.0.0.1:{metrics[1]}
web.metrics_listen = 127.0.0.1:{metrics[2]}
keeper.metrics_listen = 127.0.0.1:{metrics[3]}
courier.metrics_listen = 127.0.0.1:{metrics[4]}
{federation}tls.certificate = {crt}
tls.key = {key}
talk.registration = yes
talk.invitations = yes
talk.invite_page = https://town.example/invite.html
talk.connections_per_address_max = 2000
ident.registration = yes
ident.registrations_per_hour = 0
ident.failures_per_address = 0
ident.scram_iterations = 4096
{extra}"""


BONGSU_ALONE = "federation.on = no\nfederation.listen =\nfederation.listen_tls =\n"


class ServerError(Exception):
    pass


PORTS = range(12000, 32000)     # below those that the kernel gives to connections: a server that is started again finds its own


class Reserved:
    """The ports given to this process, and to the others that run tests: a server starts long after its port was chosen, and again."""
    given = set()
    file = None

    @classmethod
    def take(cls, port):
        if cls.file is None:
            cls.file = os.open(os.path.join(tempfile.gettempdir(), "bongsu-test-ports"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.lockf(cls.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)      # until this process ends
        except OSError:
            return False
        if port in cls.given:
            return False
        cls.given.add(port)
        return True


def free_ports(count):
    found = []
    while len(found) < count:
        port = random.choice(PORTS)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if Reserved.take(port):
            found.append(port)
    return found


def make_certificates(directory, domain=DOMAIN, authority=None):
    """An authority (or that of another folder) and one certificate of it; returns (ca, crt, key)."""
    def path(name):
        return os.path.join(directory, name)

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=directory)

    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    if authority:
        for name in ("ca.key", "ca.pem"):
            shutil.copy(os.path.join(authority, name), path(name))
    else:
        openssl("req", "-x509", *ec, "-keyout", path("ca.key"), "-out", path("ca.pem"), "-days", "30",
                "-subj", "/CN=Bongsu test authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", *ec, "-keyout", path("key.pem"), "-out", path("request.pem"), "-subj", f"/CN={domain}")
    with open(path("extensions"), "w") as f:
        f.write(f"subjectAltName=DNS:{domain},DNS:*.{domain},DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
                "extendedKeyUsage=serverAuth,clientAuth\n")
    openssl("x509", "-req", "-in", path("request.pem"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
            "-CAcreateserial", "-days", "30", "-extfile", path("extensions"), "-out", path("leaf.pem"))
    with open(path("crt.pem"), "w") as f:
        f.write(open(path("leaf.pem")).read())
    os.chmod(path("key.pem"), 0o600)
    return path("ca.pem"), path("crt.pem"), path("key.pem")


def runs_in_group(group):
    """A dead process that nobody has asked after does not count, unless threads of it are still ending."""
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            state, _, member = open(path).read().rpartition(")")[2].split()[:3]
            if int(member) == group and (state not in "ZX" or len(os.listdir(os.path.dirname(path) + "/task")) > 1):
                return True
        except OSError:
            continue
    return False


class Server:
    name = ""
    domain = DOMAIN
    authority = None            # the folder of another server whose test authority signs this one's certificate
    websocket_path, websocket_tls = "/xmpp-websocket", False
    web_tls = False
    bosh_port = None            # those that can have a door for BOSH, made with bosh=True, have it here

    def __init__(self, extra=""):
        self.dir = tempfile.mkdtemp(prefix=f"bongsu-test-{self.name}-")
        self.port, self.tls_port, self.websocket_port, self.web_port = free_ports(4)
        self.ca, self.crt, self.key = make_certificates(self.dir, self.domain, self.authority)
        self.extra = extra
        self.process = None
        self.log = os.path.join(self.dir, "server.log")
        self.prepare()

    @classmethod
    def missing(cls):
        """Why it cannot run here, or None."""
        return None

    def prepare(self):
        """Writes the configuration."""

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    settle_s = 0

    def open_bosh(self):
        """Before start()."""

    def bosh_url(self, host):
        return f"http{'s' if self.websocket_tls else ''}://{host}:{self.bosh_port}/http-bind"

    def add_user(self, name, password):
        self.add_users({name: password})

    def add_users(self, users):
        """Accounts, before or after start()."""
        raise NotImplementedError

    def make_admin(self, name):
        raise ServerError(f"nobody has taught {self.name} to make {name} an administrator")

    def ready(self):
        return True

    def client_tls(self):
        return client_context(self.ca)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return path

    def tail(self, since_start=False):
        try:
            return open(self.log, errors="replace").read()[self.log_start if since_start else 0:][-3000:]
        except OSError:
            return ""

    def start(self):
        """A port that was free may be the other end of somebody's connection for a moment."""
        for _ in range(20):
            try:
                return self.start_once()
            except ServerError:
                if "in use" not in self.tail(since_start=True):
                    raise
                time.sleep(0.5)
        return self.start_once()

    def start_once(self):
        def child():
            os.setsid()
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)     # PR_SET_PDEATHSIG: not to outlive the test
        self.log_start = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=child, env={**os.environ, **self.environment()})
        deadline = time.monotonic() + 60
        while not self.up():
            if self.process.poll() is not None:
                raise ServerError(f"{self.name} ended while starting:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} did not get ready:\n{self.tail()}")
            time.sleep(0.05)

    def up(self):
        for port in self.ports_expected():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                return False
        return self.ready()

    def ports_expected(self):
        return [self.port, self.tls_port, self.websocket_port]

    def signal_group(self, sig, seconds):
        """Until the last of them has gone, for each may hold ports and files."""
        group, deadline = self.process.pid, time.monotonic() + seconds
        try:
            os.killpg(group, sig)
        except ProcessLookupError:
            pass
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        while runs_in_group(group) and time.monotonic() < deadline:
            time.sleep(0.005)
        return True

    def kill9(self):
        """The end without warning, of every process of the server."""
        self.signal_group(signal.SIGKILL, 10)
        self.process = None

    def stop(self):
        """A polite end, as a service manager asks for it."""
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        self.signal_group(signal.SIGKILL, 10)
        self.process = None

    def restart(self):
        self.stop()
        self.start()

    def remove(self):
        """Stops it and takes its files away; KEEP=1 in the environment keeps them."""
        self.stop()
        if os.environ.get("KEEP"):
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.remove()


class Bongsu(Server):
    name = "bongsu"
    websocket_path = BONGSU_WEBSOCKET_PATH
    websocket_tls = web_tls = os.environ.get("BONGSU_HTTP_TLS", "1") == "1"

    @classmethod
    def missing(cls):
        return None if os.access(BONGSU, os.X_OK) else f"{BONGSU} is not built (or set BONGSU=PATH)"

    def prepare(self):
        os.makedirs(os.path.join(self.dir, "data"))
        os.makedirs(os.path.join(self.dir, "run"))
        self.metrics_ports = free_ports(5)
        self.config = self.write("bongsu.conf", BONGSU_CONFIG.format(
            dir=self.dir, domain=self.domain, port=self.port, tls_port=self.tls_port, websocket_port=self.websocket_port,
            web_port=self.web_port, crt=self.crt, key=self.key, extra=self.extra, metrics=self.metrics_ports,
            federation="" if "federation." in self.extra else BONGSU_ALONE))
        self.pending = {}

    def open_bosh(self):
        self.bosh_port, = free_ports(1)
        with open(self.config, "a") as f:
            f.write(f"talk.listen_bosh = 127.0.0.1:{self.bosh_port}\n")

    def fill(self, words, **kwargs):
        return [BONGSU] + [w.format(config=self.config, **kwargs) for w in words]

    def command(self):
        return self.fill(BONGSU_SERVE)

    def metric(self, name):
        """The sum of what talk counts under it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_ports[0]}/metrics", timeout=10) as answer:
            rows = [line.split() for line in answer.read().decode().splitlines()]
        return sum(float(row[1]) for row in rows if len(row) == 2 and row[0].split("{")[0] == name)

    def roles(self):
        """By name: pid, ready, restarts."""
        done = subprocess.run([BONGSU, "status", "--json", "--config", self.config], text=True, capture_output=True)
        return json.loads(done.stdout)["roles"] if done.stdout else {}

    def ready(self):
        with open(self.log, "rb") as f:
            f.seek(self.log_start)
            return BONGSU_READY.encode() in f.read()

    def start(self):
        super().start()
        pending, self.pending = self.pending, {}
        if pending:
            self.add_users(pending)

    def add_users(self, users):
        if not self.process:
            self.pending.update(users)
            return
        for name, password in users.items():
            self.add_user(name, password)

    def add_user(self, name, password):
        """A database that is busy may put it off; it says so, and is asked again."""
        for _ in range(10):
            done = subprocess.run(self.fill(BONGSU_ADD, name=name), input=password + "\n", text=True, capture_output=True, cwd=self.dir)
            if not done.returncode:
                return
            if "try again later" not in done.stderr:
                break
            time.sleep(1)
        raise ServerError(f"could not add {name}: {done.stdout}{done.stderr}{self.tail()}")


    def make_admin(self, name):
        done = subprocess.run(self.fill(BONGSU_ADMIN, name=name), text=True, capture_output=True, cwd=self.dir)
        if done.returncode:
            raise ServerError(f"could not make {name} an administrator: {done.stdout}{done.stderr}{self.tail()}")


class BongsuPostgreSQL(Bongsu):
    """The same messenger over PostgreSQL, as in a cluster: a database of its own in the server that BONGSU_TEST_POSTGRESQL
    names (tools/with-postgres)."""
    name = "bongsu-postgresql"

    @classmethod
    def missing(cls):
        if not os.environ.get("BONGSU_TEST_POSTGRESQL"):
            return "there is no PostgreSQL to use: run it with tools/with-postgres"
        return super().missing()

    def psql(self, database, sql):
        done = subprocess.run(["psql", "-qAtX", "-d", f"{os.environ['BONGSU_TEST_POSTGRESQL']} dbname={database}", "-c", sql],
                              capture_output=True, text=True)
        if done.returncode:
            raise ServerError(f"psql: {done.stderr}")
        return done.stdout

    def prepare(self):
        self.database = "t" + os.urandom(6).hex()
        self.psql("postgres", f"CREATE DATABASE {self.database}")
        self.extra += f"\ndb.server = {os.environ['BONGSU_TEST_POSTGRESQL']} dbname={self.database}\n"
        super().prepare()

    def remove(self):
        super().remove()
        self.psql("postgres", f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")


class BongsuWorkers(BongsuPostgreSQL):
    """One machine of a cluster, with three workers of talk behind the same sockets."""
    name = "bongsu-workers"
    workers = 3

    @classmethod
    def missing(cls):
        return super().missing() if shutil.which("nats-server") else "the package nats-server is not installed"

    def prepare(self):
        self.nats_port, = free_ports(1)
        self.nats = None
        self.extra += f"\ntalk.workers = {self.workers}\nbus.servers = nats://127.0.0.1:{self.nats_port}\n"
        super().prepare()

    def start(self):
        self.start_nats()
        super().start()

    def start_nats(self):
        with open(os.path.join(self.dir, "nats.log"), "ab") as log:
            self.nats = subprocess.Popen(["nats-server", "-a", "127.0.0.1", "-p", str(self.nats_port)], stdout=log, stderr=log)

    def stop(self):
        super().stop()
        self.end_nats()

    def end_nats(self):
        if self.nats:
            self.nats.kill()
            self.nats.wait()
        self.nats = None


class BongsuThree(BongsuPostgreSQL):
    """Three messengers over one database, with one NATS server between them. Each connection goes to the next of them, so that
    whoever talks to each other, and whoever comes back, does so on another machine. Who starts it again begins at another one, so that what
    is played again is not played the same way."""
    name = "bongsu-three"
    starts = itertools.count()

    @property
    def settle_s(self):
        """Until all have heard of what one of them did; a busy machine takes longer."""
        return 0.1 * max(1, os.getloadavg()[0] / (os.cpu_count() or 1))

    @classmethod
    def missing(cls):
        return super().missing() if shutil.which("nats-server") else "the package nats-server is not installed"

    class Node(Bongsu):
        def __init__(self, extra, certificates):
            self.shared = certificates
            super().__init__(extra)

        def prepare(self):
            self.ca, self.crt, self.key = self.shared
            super().prepare()

    def prepare(self):
        why = super().missing()
        if why:
            raise ServerError(why)
        self.nats_port, = free_ports(1)
        self.database = "t" + os.urandom(6).hex()
        self.psql("postgres", f"CREATE DATABASE {self.database}")
        extra = (f"{self.extra}\ndb.server = {os.environ['BONGSU_TEST_POSTGRESQL']} dbname={self.database}\n"
                 f"bus.servers = nats://127.0.0.1:{self.nats_port}\n")
        self.nodes = [self.Node(f"{extra}site = {site}\n", (self.ca, self.crt, self.key)) for site in ("one", "two", "three")]
        self.turn = next(self.starts)
        self.nats = None
        self.pending = {}

    def next(self):
        self.turn += 1
        return self.nodes[self.turn % len(self.nodes)]

    def start(self):
        with open(os.path.join(self.dir, "nats.log"), "ab") as log:
            self.nats = subprocess.Popen(["nats-server", "-a", "127.0.0.1", "-p", str(self.nats_port)], stdout=log, stderr=log)
        for node in self.nodes:
            node.start()
        self.process = self.nodes[0].process
        deadline = time.monotonic() + 20        # until they hear each other
        while any(open(n.log, errors="replace").read()[n.log_start:].count("node.found") < 2 for n in self.nodes):
            if time.monotonic() > deadline:
                raise ServerError("the messengers do not hear each other:\n" + self.nodes[0].tail())
            time.sleep(0.05)
        pending, self.pending = self.pending, {}
        self.add_users(pending)

    def add_users(self, users):
        if not self.process:
            self.pending.update(users)
        else:
            self.nodes[0].add_users(users)

    def make_admin(self, name):
        self.nodes[0].make_admin(name)

    def tail(self):
        return "".join(f"--- {n.dir}\n{n.tail()}" for n in self.nodes)

    def kill9(self):
        for node in self.nodes:
            node.kill9()
        self.end_nats()
        self.process = None

    def stop(self):
        for node in self.nodes:
            node.stop()
        self.end_nats()
        self.process = None

    def end_nats(self):
        if self.nats:
            self.nats.kill()
            self.nats.wait()
        self.nats = None

    def remove(self):
        self.stop()
        for node in self.nodes:
            node.remove()
        super().remove()


def _turns(name):
    """The port of the next messenger, each time it is asked for."""
    return property(lambda self: getattr(self.next(), name) if "nodes" in self.__dict__ else self.__dict__[name],
                    lambda self, value: self.__dict__.__setitem__(name, value))


for _name in ("port", "tls_port", "websocket_port", "web_port"):
    setattr(BongsuThree, _name, _turns(_name))


PROSODY_CONFIG = """
run_as_root = true
daemonize = false
pidfile = "{dir}/prosody.pid"
data_path = "{dir}/data"
certificates = "{dir}"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ {tls_port} }}
http_ports = {{ {websocket_port} }}
http_interfaces = {{ "127.0.0.1" }}
https_ports = {{ {web_port} }}
https_interfaces = {{ "127.0.0.1" }}
https_ssl = {{ key = "{key}", certificate = "{crt}" }}
consider_websocket_secure = true
http_default_host = "{domain}"
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "carbons", "blocklist", "private", "version",
    "time", "uptime", "lastactivity", "vcard_legacy", "register_ibr", "user_account_management", "csi", "csi_simple",
    "smacks", "pep", "offline", "mam", "websocket" }}
modules_disabled = {{ {disabled} }}
authentication = "internal_hashed"
password_hash = "SHA-256"
allow_registration = true
registration_throttle_max = 10000
storage = {{ archive = "memory", offline = "internal" }}
storage_archive_item_limit = 10000
default_archive_policy = true
max_archive_query_results = 50
smacks_max_unacked_stanzas = 0
ssl = {{ key = "{key}", certificate = "{crt}" }}
log = {{ warn = "*console" }}
{extra}
VirtualHost "{domain}"
Component "rooms.{domain}" "muc"
    modules_enabled = {{ "muc_mam", "vcard_muc" }}
    muc_log_by_default = true
    muc_room_default_public = false
"""


class Prosody(Server):
    """Debian's Prosody 0.12, with all that it has of our list."""
    name = "prosody"

    @classmethod
    def missing(cls):
        return None if shutil.which("prosody") else "the package prosody is not installed"

    def prepare(self):
        self.config = self.write("prosody.cfg.lua", PROSODY_CONFIG.format(
            dir=self.dir, domain=self.domain, port=self.port, tls_port=self.tls_port, websocket_port=self.websocket_port,
            web_port=self.web_port, crt=self.crt, key=self.key, extra=self.extra, disabled='' if 's2s' in self.extra else '"s2s"'))

    def command(self):
        return ["prosody", "--config", self.config, "-F"]

    def add_users(self, users):
        """The file that prosodyctl would write, without 0.3 s for each."""
        for name, password in users.items():
            salt = hashlib.sha1(name.encode()).hexdigest()
            salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 10000)
            stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).hexdigest()
            key = hmac.digest(salted, b"Server Key", "sha256").hex()
            escaped = "".join(c if c.isalnum() else f"%{ord(c):02x}" for c in name)
            self.write(f"data/{self.domain.replace('.', '%2e')}/accounts/{escaped}.dat",
                       f'return {{\n\t["iteration_count"] = 10000;\n\t["salt"] = "{salt}";\n'
                       f'\t["stored_key"] = "{stored}";\n\t["server_key"] = "{key}";\n}};\n')


EJABBERD_CONFIG = """
loglevel: warning
hosts: ["{domain}"]
certfiles: ["{dir}/both.pem"]
listen:
  - {{ port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, max_stanza_size: 262144, starttls_required: true }}
  - {{ port: {tls_port}, ip: "127.0.0.1", module: ejabberd_c2s, max_stanza_size: 262144, tls: true }}
{listen}  - port: {websocket_port}
    ip: "127.0.0.1"
    module: ejabberd_http
    request_handlers:
      /xmpp-websocket: ejabberd_http_ws
      /.well-known/host-meta: mod_host_meta
      /.well-known/host-meta.json: mod_host_meta
      /api: mod_http_api
{extra}auth_password_format: scram
auth_scram_hash: sha256
disable_sasl_mechanisms: ["digest-md5", "X-OAUTH2"]
registration_timeout: infinity
api_permissions:
  test: {{ from: [mod_http_api], who: all, what: "*" }}
shaper: {{}}
shaper_rules: {{ max_user_sessions: 10, max_user_offline_messages: 100 }}
modules:
{modules}  mod_roster: {{ versioning: true }}
  mod_disco: {{}}
  mod_ping: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_privacy: {{}}
  mod_blocking: {{}}
  mod_offline: {{}}
  mod_stream_mgmt: {{ resend_on_timeout: if_offline }}
  mod_private: {{}}
  mod_vcard: {{ search: false }}
  mod_version: {{}}
  mod_time: {{}}
  mod_last: {{}}
  mod_client_state: {{}}
  mod_host_meta: {{ websocket_url: "ws://{domain}:{websocket_port}/xmpp-websocket" }}
  mod_register: {{ ip_access: all }}
  mod_pubsub: {{ plugins: [flat, pep] }}
  mod_mam: {{ default: always, request_activates_archiving: false }}
  mod_muc: {{ host: "rooms.@HOST@", max_user_conferences: 100, default_room_options: {{ mam: true, public: false }} }}
"""


class Ejabberd(Server):
    """Debian's ejabberd 23.01."""
    name = "ejabberd"

    @classmethod
    def missing(cls):
        if not shutil.which("erl") or not shutil.which("ejabberdctl"):
            return "the package ejabberd is not installed"
        return None

    def prepare(self):
        self.write("both.pem", open(self.crt).read() + open(self.key).read())
        self.config = self.write("ejabberd.yml", EJABBERD_CONFIG.format(
            dir=self.dir, domain=self.domain, port=self.port, tls_port=self.tls_port, websocket_port=self.websocket_port, extra=self.ejabberd_extra(),
            listen=self.ejabberd_listen(), modules=self.ejabberd_modules()))
        os.makedirs(os.path.join(self.dir, "mnesia"), exist_ok=True)
        self.pending = {}
        self.web_port = self.websocket_port

    def ejabberd_extra(self):
        return ""

    def ejabberd_listen(self):
        return ""

    def ejabberd_modules(self):
        return ""

    def command(self):
        return ["erl", "+K", "true", "-noinput", "-mnesia", "dir", f'"{self.dir}/mnesia"',
                "-eval", "{ok, _} = ejabberd:start()."]

    def environment(self):
        return {"EJABBERD_CONFIG_PATH": self.config, "EJABBERD_LOG_PATH": f"{self.dir}/ejabberd.log", "HOME": self.dir,
                "ERL_LIBS": "/usr/lib/x86_64-linux-gnu", "ERL_CRASH_DUMP": "/dev/null", "ERL_CRASH_DUMP_BYTES": "0"}

    def start(self):
        super().start()
        pending, self.pending = self.pending, {}
        if pending:
            self.add_users(pending)

    def add_users(self, users):
        if not self.process:
            self.pending.update(users)
            return
        for name, password in users.items():
            body = json.dumps({"user": name, "host": self.domain, "password": password}).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{self.websocket_port}/api/register", body,
                                             {"Content-Type": "application/json"})
            try:
                urllib.request.urlopen(request, timeout=20).read()
            except OSError as e:
                raise ServerError(f"could not add {name}: {e}")


SERVERS = {s.name: s for s in (Bongsu, BongsuPostgreSQL, BongsuWorkers, BongsuThree, Prosody, Ejabberd)}


def make(name, extra="", bosh=False):
    """A server of that kind, not started; ServerError says why it cannot be."""
    why = SERVERS[name].missing()
    if why:
        raise ServerError(why)
    server = SERVERS[name](extra)
    if bosh:
        server.open_bosh()
    return server
