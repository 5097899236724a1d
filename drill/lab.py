#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""lab.py: three sites on one machine, as network namespaces, and what can befall them.

    with Lab(bongsu="build/src/processes/bongsu") as lab:       # up() and down()
        lab.wait_healthy(60)
        lab.cut(lab.primary())

Every site runs the units and configurations that deploy/site makes, at the paths of a real machine (/etc/bongsu, /var/lib/bongsu,
/run/bongsu), in a mount namespace of its own. A namespace "people" is where clients live. Addresses are 10.77.RUN.NUMBER.
Nothing outlives the lab: processes and mounts end with it, even when it is killed. By hand: drill/lab.py --help.
"""
import argparse
import contextlib
import ctypes
import glob
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(TOP, "deploy")]
from faults import Faults, kill_namespace, namespace_processes               # noqa: E402
import etcdapi                                                              # noqa: E402
import siteconf                                                             # noqa: E402

NETSW = os.environ.get("NETSW", os.path.join(TOP, "build/drill/netsw"))
PEOPLE, PEOPLE_NUMBER = "people", 100
DISK_MB = 1024                  # what PostgreSQL has at each site
RUNS_MAX = 200
DEPLOY, PROGRAMS, WEB = "/usr/lib/bongsu/deploy", "/usr/lib/bongsu/bin", "/usr/share/bongsu/web"
MOUNT_POINTS = ["/etc/bongsu", "/var/lib/bongsu", "/run/bongsu", "/etc/systemd/system", DEPLOY, PROGRAMS, WEB]
NEEDED = {"patroni": "/usr/bin/patroni", "etcd-server": "/usr/bin/etcd", "nats-server": "/usr/sbin/nats-server", "haproxy": "/usr/sbin/haproxy",
          "postgresql-15": "/usr/lib/postgresql/15/bin/postgres", "python3-psycopg2": "/usr/lib/python3/dist-packages/psycopg2"}
UNITS = ["bongsu-etcd", "bongsu-haproxy", "bongsu-nats", "bongsu-patroni", "bongsu-commit-watch"]
PR_SET_PDEATHSIG, CLONE_NEWNET = 1, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    pass


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def in_own_session():
    os.setsid()
    die_with_parent()


def run(*command, **options):
    done = subprocess.run(command, text=True, capture_output=True, **options)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {(done.stderr + done.stdout).strip()}")
    return done.stdout


def missing():
    """Why a lab cannot be built here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    if not os.access(NETSW, os.X_OK):
        return f"{NETSW} is not built"
    if not importlib.util.find_spec("psycopg2"):
        return f"{sys.executable} has no psycopg2 (Debian's python3-psycopg2, for /usr/bin/python3)"
    lacking = [package for package, path in NEEDED.items() if not os.path.exists(path)]
    if lacking:
        return f"not installed: {', '.join(lacking)} (deploy/packages)"
    return None


class Place:
    """A network namespace with a mount namespace: a site, or the people's."""

    def __init__(self, name, number, address):
        self.name, self.number, self.address = name, number, address
        self.started = self.frozen = self.stuck = False
        self.manager = None
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", "--propagation", "private", "sleep", "infinity"],
                                       stdin=subprocess.DEVNULL, preexec_fn=in_own_session)
        path, own = f"/proc/{self.holder.pid}/ns/net", os.stat("/proc/self/ns/net").st_ino
        for _ in range(500):
            if os.stat(path).st_ino != own and os.stat(f"/proc/{self.holder.pid}/ns/mnt").st_ino != os.stat("/proc/self/ns/mnt").st_ino:
                break
            time.sleep(0.01)
        else:
            raise LabError("unshare made no namespace")
        self.fd = os.open(path, os.O_RDONLY)
        self.inode = os.fstat(self.fd).st_ino

    def command(self, argv):
        return ["nsenter", "-t", str(self.holder.pid), "-n", "-m", "--", *argv]

    def root(self, path):
        """That path of the place, as seen from outside."""
        return f"/proc/{self.holder.pid}/root{path}"

    def processes(self):
        return namespace_processes(self.inode, (self.holder.pid,))


class Lab(Faults):
    """The faults are in faults.py. Sites are named s1, s2, …; `sites` of `sites_max` are there from the start."""

    def __init__(self, dir=None, sites=3, workers=1, bongsu=None, delay_us=500, backup=False, domain="town.example", settings=None, sites_max=None):
        self.made_dir = dir is None
        self.dir = os.path.abspath(dir or tempfile.mkdtemp(prefix="bongsu-lab-"))
        self.bongsu = os.path.abspath(bongsu) if bongsu else None
        self.workers, self.delay_us, self.domain, self.backup = workers, delay_us, domain, backup
        self.settings_extra = settings or {}
        self.names = [f"s{i + 1}" for i in range(sites)]
        self.names_max = [f"s{i + 1}" for i in range(max(sites, sites_max or 0))]
        self.places, self.settings = {}, {}
        self.children = []
        self.netsw = self.janitor = None
        self.is_up = False

    # ---- life ----

    def up(self):
        why = missing()
        if why:
            raise LabError(why)
        try:
            os.makedirs(self.dir, exist_ok=True)
            os.chmod(self.dir, 0o755)
            self._claim()
            for point in MOUNT_POINTS:
                os.makedirs(point, exist_ok=True)
            for i, name in enumerate(self.names_max, 1):
                self.places[name] = Place(name, i, f"10.77.{self.run}.{i}")
            self.places[PEOPLE] = Place(PEOPLE, PEOPLE_NUMBER, f"10.77.{self.run}.{PEOPLE_NUMBER}")
            self._start_janitor()
            self._network()
            self._init_sites()
            self.is_up = True
            for name in self.names:
                self.install(name)
                self.start_site(name)
        except BaseException:
            self.down()
            raise
        return self

    def __enter__(self):
        return self.up()

    def __exit__(self, *_):
        self.down()

    def down(self):
        """KEEP=1 in the environment keeps the directory."""
        self.is_up = False
        for p in self.places.values():
            with contextlib.suppress(OSError):
                self.unstick_disk(p.name)
            kill_namespace(p.inode, (p.holder.pid,))
        for p in self.places.values():
            p.holder.kill()
            p.holder.wait()
            os.close(p.fd)
        if self.netsw:
            self.netsw.kill()
            self.netsw.wait()
            self.netsw.stdout.close()
        for child in self.children:
            child.wait()
        if self.janitor:
            self.janitor.stdin.close()
            self.janitor.wait()
        self.places, self.netsw, self.janitor, self.children = {}, None, None, []
        if getattr(self, "claim", None):
            self.claim.close()
        if os.environ.get("KEEP"):
            print(f"kept: {self.dir}")
        elif self.made_dir:
            shutil.rmtree(self.dir, ignore_errors=True)

    def _claim(self):
        """A number of its own, by a name that the kernel forgets with the process."""
        for self.run in range(1, RUNS_MAX):
            self.claim = socket.socket(socket.AF_UNIX)
            try:
                self.claim.bind(f"\0bongsu-lab-{self.run}")
                return
            except OSError:
                self.claim.close()
        raise LabError("there are too many labs already")

    def _start_janitor(self):
        """Kills what is left of the lab, should this process be killed."""
        inodes = [str(p.inode) for p in self.places.values()]
        self.janitor = subprocess.Popen([sys.executable, os.path.abspath(__file__), "janitor", self.dir if self.made_dir else "-", *inodes],
                                        stdin=subprocess.PIPE, start_new_session=True)

    def _network(self):
        """netsw makes eth0 everywhere; neighbours are static, so that a cut is silent and nothing asks around."""
        order = list(self.places.values())
        ports = [f"{p.name}=/proc/{p.holder.pid}/ns/net" for p in order]
        self.switch = os.path.join(self.dir, "netsw")
        self.netsw = subprocess.Popen([NETSW, self.switch, *ports], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=in_own_session)
        if self.netsw.stdout.readline().strip() != "ready":
            raise LabError("netsw did not start")
        macs = {p.name: f"02:00:00:00:00:{i:02x}" for i, p in enumerate(order, 1)}
        for p in order:
            lines = ["link set lo up", f"addr add {p.address}/24 dev eth0", "link set eth0 up"]
            lines += [f"neigh add {q.address} lladdr {macs[q.name]} dev eth0 nud permanent" for q in order if q is not p]
            run("nsenter", "-t", str(p.holder.pid), "-n", "ip", "-batch", "-", input="\n".join(lines) + "\n")
        self.net(f"delay {self.delay_us}")

    def _init_sites(self):
        values = {
            "site": "s1", "sites": ", ".join(f"{n} {self.places[n].address}" for n in self.names), "domain": self.domain,
            "talk.workers": str(self.workers), "program": f"{PROGRAMS}/bongsu", "clients_max": "9000",
            "postgresql.shared_buffers": "64MB", "postgresql.max_connections": "100", "postgresql.max_wal_size": "256MB",
            "postgresql.min_wal_size": "64MB", "postgresql.max_slot_wal_keep_size": "256MB", "postgresql.wal_keep_size": "64MB",
            "disk_free_min_mb": "64", "web_files": WEB, **self.settings_extra,
        }
        if self.backup:
            values.setdefault("backup.sites", " ".join(self.names[-2:]))
        self.conf = os.path.join(self.dir, "site.conf")
        with open(self.conf, "w") as f:
            f.write("".join(f"{n} = {v}\n" for n, v in values.items()))
        self.made = os.path.join(self.dir, "made")
        run(os.path.join(TOP, "deploy/site"), "init", "--settings", self.conf, "--out", self.made)
        self.ca = os.path.join(self.made, "authority/ca.pem")

    def machine(self, name):
        """A machine with disks and programs, and nothing of a site yet but what its data says."""
        base, image = os.path.join(self.dir, name), os.path.join(self.dir, name, "disk")
        for part in ("var", "logs", "etc", "systemd"):
            os.makedirs(os.path.join(base, part), exist_ok=True)
        if not os.path.exists(image):
            with open(image, "w") as f:
                f.truncate(DISK_MB << 20)
            run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
        binds = [(f"{base}/etc", "/etc/bongsu"), (f"{base}/systemd", "/etc/systemd/system"), (f"{base}/var", "/var/lib/bongsu"), (os.path.join(TOP, "deploy"), DEPLOY)]
        if self.bongsu:
            binds.append((os.path.dirname(self.bongsu), PROGRAMS))
            if os.path.isdir(os.path.join(TOP, "web/dist")):
                binds.append((os.path.join(TOP, "web/dist"), WEB))
        script = ["set -e"] + [f"mount --bind {a} {b}" for a, b in binds] + [
            "mount -t tmpfs -o mode=755 none /run/bongsu", "mkdir -p /var/lib/bongsu/postgresql",
            f"mount -o loop {image} /var/lib/bongsu/postgresql", "rmdir /var/lib/bongsu/postgresql/lost+found 2>/dev/null || true"]
        self.exec(name, ["sh", "-c", "\n".join(script)])

    def install(self, name):
        """A site's machine, with its settings, certificates and configurations, and nothing running."""
        self.machine(name)
        shutil.copytree(os.path.join(self.made, name), os.path.join(self.dir, name, "etc"), dirs_exist_ok=True)
        self.exec(name, ["sh", "-c", f"set -e; {DEPLOY}/site prepare; {DEPLOY}/site render; cp /etc/bongsu/units/* /etc/systemd/system/"])
        self.learn(name)

    def learn(self, name):
        """The settings of a site for this process, which sees its files elsewhere."""
        s = siteconf.Settings.read(os.path.join(self.made, name, "site.conf"))
        s.values["secrets_dir"] = os.path.join(self.made, name, "secrets")
        self.settings[name] = s
        self.names = list(s.sites)

    def start_site(self, name):
        """Cold: as a machine that was switched on, with whatever data is there."""
        units = UNITS + (["bongsu-backup-server"] if self.backup else []) + (["bongsu"] if self.bongsu else [])
        self.power_on(name, units)

    def power_on(self, name, units=()):
        p = self.places[name]
        if p.manager and p.manager.poll() is None:
            raise LabError(f"{name} runs already")
        p.frozen = False
        self.exec(name, ["sh", "-c", "rm -rf /run/bongsu/*"])
        logs = os.path.join(self.dir, name, "logs")
        with open(os.path.join(logs, "units.log"), "ab") as log:
            p.manager = subprocess.Popen(p.command([sys.executable, os.path.join(HERE, "units.py"), "run", "/etc/systemd/system", "/run/bongsu/units", logs,
                                                    *(u + ".service" for u in units)]),
                                         stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=in_own_session, env=self.environment())
        self.children.append(p.manager)
        p.started = True
        self._wait_socket(p)

    def _wait_socket(self, p):
        for _ in range(500):
            if os.path.exists(p.root("/run/bongsu/units")):
                return
            time.sleep(0.01)
        raise LabError(f"{p.name} did not start")

    def environment(self):
        return {**os.environ, "PATH": os.path.join(HERE, "bin") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

    # ---- reaching in ----

    def exec(self, name, argv, check=True, timeout=300, **options):
        """Runs a command at a place, as root; returns its output."""
        done = subprocess.run(self.places[name].command(argv), text=True, capture_output=True, timeout=timeout, env=self.environment(), **options)
        if check and done.returncode:
            raise LabError(f"{name}: {' '.join(argv)}: {(done.stderr + done.stdout).strip()}")
        return done.stdout

    def systemctl(self, name, *words):
        return self.exec(name, ["systemctl", *words], check=False)

    @contextlib.contextmanager
    def inside(self, name):
        """This thread's sockets belong to that place while the block runs, and those made in it for ever."""
        own = os.open(f"/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            if libc.setns(self.places[name].fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"could not enter {name}")
            yield
        finally:
            libc.setns(own, CLONE_NEWNET)
            os.close(own)

    def http(self, name, path, port=siteconf.PATRONI, timeout=1.0):
        """JSON from a site's loopback, or None."""
        with self.inside(name):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as e:
                with contextlib.suppress(ValueError, OSError):
                    return json.load(e)
            except (OSError, ValueError):
                pass
        return None

    def connect(self, name, at=None, user="bongsu", dbname="bongsu", timeout=2):
        """psycopg2 to the PostgreSQL of site `name`, from site `at` (itself, unless given)."""
        import psycopg2
        secret = siteconf.parse(open(os.path.join(self.made, "authority/passwords")).read(), "passwords")
        with self.inside(at or name):
            return psycopg2.connect(host=self.places[name].address, user=user, dbname=dbname, connect_timeout=timeout, sslmode="require",
                                    password=secret["postgresql" if user == "postgres" else user], tcp_user_timeout=timeout * 1000)

    def sql(self, name, query, user="postgres", dbname="bongsu"):
        connection = self.connect(name, user=user, dbname=dbname)
        try:
            connection.autocommit = True
            with connection.cursor() as c:
                c.execute(query)
                return c.fetchall() if c.description else None
        finally:
            connection.close()

    def net(self, command):
        """A command to netsw."""
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            s.connect(self.switch)
            s.send(command.encode())
            answer = s.recv(4096).decode()
        finally:
            s.close()
        if answer.startswith("error"):
            raise LabError(f"netsw {command}: {answer}")
        return answer

    # ---- looking ----

    def alive(self):
        """Sites whose processes run and are not frozen."""
        return [n for n in self.names if self.places[n].started and not self.places[n].frozen]

    def roles(self):
        """{site: what its Patroni says}, of those that answer."""
        found = {}

        def ask(name):
            answer = self.http(name, "/patroni")
            if answer:
                found[name] = answer
        threads = [threading.Thread(target=ask, args=(n,)) for n in self.alive()]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return found

    def primary(self):
        """The site of the primary with the highest timeline, or None."""
        primaries = [(a.get("timeline", 0), n) for n, a in self.roles().items() if a.get("role") == "primary" and a.get("state") == "running"]
        return max(primaries)[1] if primaries else None

    def etcd_leader(self):
        for name in self.alive():
            with self.inside(name):
                found = etcdapi.statuses(self.settings[name])
            for site, status in found.items():
                if status["id"] == status["leader"]:
                    return site
        return None

    def status(self):
        """{"primary", "etcd_leader", "etcd": [alive], "members": {site: {"role", "state", "timeline", "lag"}}, "sync": [sites], "bongsu": {site: ready}}"""
        primary = self.primary()
        cluster = (self.http(primary, "/cluster") if primary else None) or {}
        found = {"primary": primary, "etcd_leader": self.etcd_leader(), "etcd": [], "sync": [], "bongsu": {},
                 "members": {m["name"]: {k: m.get(k) for k in ("role", "state", "timeline", "lag")} for m in cluster.get("members", [])}}
        for name in self.alive():
            with self.inside(name):
                found["etcd"] = etcdapi.members_alive(self.settings[name])
                if self.bongsu:
                    found["bongsu"][name] = self._ready(name)
        if primary:
            import psycopg2
            with contextlib.suppress(psycopg2.Error, OSError):
                found["sync"] = sorted(r[0] for r in self.sql(primary, "SELECT application_name FROM pg_stat_replication "
                                                              "WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')"))
        return found

    def _ready(self, name):
        try:
            urllib.request.urlopen(f"http://{self.places[name].address}:{siteconf.HEALTH}/health/ready", timeout=1).close()
            return True
        except OSError:
            return False

    def is_healthy(self, status):
        members = status["members"]
        timelines = {m["timeline"] for m in members.values()}
        # Only a standby that Patroni calls quorum_standby may follow a lost primary; at a cluster's start that comes after the streaming.
        roles = {n: ("leader", "running") if n == status["primary"] else ("quorum_standby", "streaming") for n in members}
        return (status["primary"] is not None and set(members) >= set(self.names) and len(timelines) == 1
                and all((m["role"], m["state"]) == roles[n] for n, m in members.items())
                and len(status["sync"]) == len(self.names) - 1 and len(status["etcd"]) == len(self.names) and all(status["bongsu"].values()))

    def wait_healthy(self, timeout=60):
        """Until all sites are members, stream in quorum, on one timeline, with all of etcd (and Bongsu ready); returns the seconds it took."""
        begin = time.monotonic()
        while True:
            status = self.status()
            if self.is_healthy(status):
                return time.monotonic() - begin
            if time.monotonic() - begin > timeout:
                raise LabError(f"not healthy after {timeout} s: {json.dumps(status)}\n{self.tails()}")
            time.sleep(0.2)

    def wait_primary(self, timeout=30, but=None):
        """The site of a primary that is not `but`."""
        begin = time.monotonic()
        while time.monotonic() - begin < timeout:
            primary = self.primary()
            if primary and primary != but:
                return primary
            time.sleep(0.05)
        raise LabError(f"no primary after {timeout} s\n{self.tails()}")

    @property
    def logs(self):
        """{site: {unit: path}}"""
        return {n: {os.path.basename(p)[:-4]: p for p in sorted(glob.glob(os.path.join(self.dir, n, "logs/*.log")))} for n in self.names}

    def tails(self, lines=12, units=("bongsu", "bongsu-patroni", "bongsu-commit-watch")):
        out = []
        for site, paths in self.logs.items():
            for unit, path in ((u, p) for u, p in paths.items() if u in units):
                text = open(path, errors="replace").read().splitlines()[-lines:]
                out += [f"--- {site} {unit}", *text]
        return "\n".join(out)


def janitor(directory, inodes):
    sys.stdin.read()
    for inode in inodes:
        kill_namespace(int(inode))
    if directory != "-" and not os.environ.get("KEEP"):
        shutil.rmtree(directory, ignore_errors=True)


def main():
    if sys.argv[1:2] == ["janitor"]:
        return janitor(sys.argv[2], sys.argv[3:])
    p = argparse.ArgumentParser(description="Three sites to try things with; commands are the methods of Lab: \"cut s1\", \"status\", \"exec s1 ps\".")
    p.add_argument("--dir")
    p.add_argument("--sites", type=int, default=3)
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--bongsu", help="the program; without it, the sites run all the rest")
    p.add_argument("--delay", type=int, default=500, help="one way, microseconds")
    p.add_argument("--backup", action="store_true")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with Lab(a.dir, a.sites, a.workers, a.bongsu, a.delay, a.backup) as lab:
        print(f"up in {lab.dir}, healthy after {lab.wait_healthy(90):.1f} s; the domain's authority is {lab.ca}")
        for line in iter(lambda: (print("> ", end="", flush=True), sys.stdin.readline())[1], ""):
            words = line.split()
            try:
                if words[:1] == ["exec"]:
                    print(lab.exec(words[1], words[2:], check=False))
                elif words:
                    print(json.dumps(getattr(lab, words[0])(*words[1:]), indent=2))
            except (LabError, AttributeError, TypeError, OSError, IndexError, KeyError) as e:
                print(f"error: {e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
