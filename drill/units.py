#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""units.py: what a site of the laboratory has in place of systemd; it runs the very units that deploy/site made.

    units.py run DIR SOCKET LOGS UNIT…      starts them, restarts what ends, until SIGTERM
    systemctl …                             (by that name) start, stop, restart, reload, kill, enable, is-active, daemon-reload, list-units

Of a unit it takes User, Environment(File), ExecStartPre, ExecStart, ExecReload, Restart, RestartSec, RuntimeDirectory,
KillMode, TimeoutStopSec, LimitNOFILE, ConditionPathExists, CapabilityBoundingSet and NoNewPrivileges. The other hardening is systemd's business. A process belongs to a unit by the variable
UNIT in its environment, for processes leave sessions and lose parents.
"""
import ctypes
import glob
import grp
import json
import os
import pwd
import resource
import selectors
import shlex
import signal
import socket
import sys
import time

PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 24, 36, 38
# linux/capability.h, in its order; the rest of the 41 are nobody's here.
CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP",
                "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
                "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE",
                "CAP_SYS_RESOURCE"]
libc = ctypes.CDLL(None)


def unit_read(path):
    """{key: [values]} of all sections."""
    found = {}
    for line in open(path):
        line = line.strip()
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def environment_file(path):
    if path.startswith("-") and not os.path.exists(path[1:]):
        return {}
    return dict(line.strip().split("=", 1) for line in open(path.lstrip("-")) if "=" in line)


class Unit:
    def __init__(self, name, path, logs):
        self.name, self.path, self.log = name, path, os.path.join(logs, name.removesuffix(".service") + ".log")
        self.pid = None
        self.wanted = False
        self.next_start = 0.0
        self.starts = 0
        self.load()

    def load(self):
        self.keys = unit_read(self.path)
        self.user = self.one("User", "root")
        self.restart_s = float(self.one("RestartSec", "1"))

    def one(self, key, default=""):
        return self.keys.get(key, [default])[-1]

    def environment(self):
        user = pwd.getpwnam(self.user)
        made = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": user.pw_dir, "USER": self.user, "UNIT": self.name}
        for path in self.keys.get("EnvironmentFile", []):
            made.update(environment_file(path))
        for pair in self.keys.get("Environment", []):
            made.update(p.split("=", 1) for p in shlex.split(pair))
        return made

    def runtime_directory(self):
        user = pwd.getpwnam(self.user)
        for name in self.one("RuntimeDirectory").split():
            path = os.path.join("/run", name)
            os.makedirs(path, exist_ok=True)
            os.chown(path, user.pw_uid, user.pw_gid)
            os.chmod(path, int(self.one("RuntimeDirectoryMode", "0755"), 8))

    def become(self):
        user = pwd.getpwnam(self.user)
        os.setsid()
        limit = int(self.one("LimitNOFILE", "1024"))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, hard), min(limit, hard)))
        kept = self.one("CapabilityBoundingSet", " ".join(CAPABILITIES)).split()
        for number in range(41):
            if number >= len(CAPABILITIES) or CAPABILITIES[number] not in kept:
                libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
        if self.one("NoNewPrivileges") == "yes":
            libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if self.user != "root":
            os.setgroups([g.gr_gid for g in grp.getgrall() if self.user in g.gr_mem] + [user.pw_gid])
            os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
            os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
        os.umask(0o077)

    def spawn(self, line):
        command = shlex.split(line.replace("$MAINPID", str(self.pid)))
        environment = self.environment()
        pid = os.fork()
        if pid:
            return pid
        try:
            for s in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT):
                signal.signal(s, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            self.become()
            os.chdir("/")
            os.execvpe(command[0], command, environment)
        except BaseException as e:
            os.write(2, f"could not start {line}: {e}\n".encode())
            os._exit(203)

    def start(self):
        if not self.one("ExecStart") or not os.path.exists(self.one("ConditionPathExists", "/")):
            self.wanted = False         # a target, a timer, or a service whose program is not there
            return
        self.runtime_directory()
        for line in self.keys.get("ExecStartPre", []):
            if os.waitpid(self.spawn(line), 0)[1]:
                self.next_start = time.monotonic() + self.restart_s
                return
        self.pid = self.spawn(self.one("ExecStart"))
        self.starts += 1

    def processes(self):
        return processes_with(b"UNIT=" + self.name.encode())

    def signal_all(self, number):
        for pid in self.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


def processes_with(variable):
    found = []
    own = os.stat("/proc/self/ns/net").st_ino
    for path in glob.glob("/proc/[0-9]*"):
        try:
            if os.stat(path + "/ns/net").st_ino == own and variable in open(path + "/environ", "rb").read().split(b"\0"):
                found.append(int(path[6:]))
        except OSError:
            pass
    return found


class Manager:
    def __init__(self, directory, path, logs, names):
        self.directory, self.logs = directory, logs
        self.units = {}
        self.ending = False
        for name in names:
            self.unit(name).wanted = True
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.path.exists(path):
            os.unlink(path)
        self.listener.bind(path)
        self.listener.listen(16)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.wake, wake = socket.socketpair()
        wake.setblocking(False)
        self.wake_end = wake
        signal.set_wakeup_fd(wake.fileno())
        self.selector.register(self.wake, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.on_term)

    def on_term(self, *_):
        self.ending = True

    def unit(self, name):
        name = name if "." in name else name + ".service"
        if name not in self.units:
            path = os.path.join(self.directory, name)
            if not os.path.exists(path):
                raise KeyError(f"Unit {name} not found.")
            self.units[name] = Unit(name, path, self.logs)
        return self.units[name]

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for u in self.units.values():
                if u.pid == pid:
                    u.pid = None
                    u.next_start = time.monotonic() + u.restart_s
                    self.ended(u)

    def ended(self, u):
        if u.one("KillMode", "control-group") != "process":
            u.signal_all(signal.SIGKILL)

    def start_due(self):
        now = time.monotonic()
        for u in self.units.values():
            if u.wanted and not u.pid and u.next_start <= now:
                u.start()

    def stop(self, u, number=signal.SIGTERM):
        u.wanted = False
        if u.pid:
            os.kill(u.pid, number)
        deadline = time.monotonic() + float(u.one("TimeoutStopSec", "30"))
        while u.pid and time.monotonic() < deadline:
            time.sleep(0.02)
            self.reap()
        if u.pid:
            os.kill(u.pid, signal.SIGKILL)
            while u.pid:
                time.sleep(0.02)
                self.reap()

    def do(self, words):
        """Like systemctl: (status, output)."""
        if words[0] == "daemon-reload":         # not before: whoever writes a unit says so when it is whole
            for u in self.units.values():
                u.load()
            return 0, ""
        words, number = [w for w in words if not w.startswith("-")], next((w for w in words if w.startswith("--signal=")), "--signal=TERM")
        verb, units = words[0], [self.unit(w) for w in words[1:]]
        if verb == "list-units":
            return 0, "".join(f"{u.name} {'active' if u.pid else 'inactive'} {u.pid or ''} starts={u.starts}\n" for u in self.units.values())
        if verb == "is-active":
            return (0, "active\n") if all(u.pid for u in units) else (3, "inactive\n")
        for u in units:
            if verb in ("stop", "restart"):
                self.stop(u)
            if verb in ("start", "restart", "enable"):
                u.wanted, u.next_start = True, 0.0
            if verb == "kill":
                u.signal_all(getattr(signal, "SIG" + number.partition("=")[2].removeprefix("SIG")))
            if verb == "reload" and u.pid:
                os.waitpid(u.spawn(u.one("ExecReload")), 0)
        self.start_due()
        return 0, ""

    def serve(self):
        client, _ = self.listener.accept()
        with client:
            try:
                status, output = self.do(json.loads(client.recv(65536)))
            except (KeyError, ValueError, IndexError) as e:
                status, output = 5, f"{e}\n"
            try:
                client.send(json.dumps([status, output]).encode())
            except OSError:
                pass

    def run(self):
        while not self.ending:
            self.start_due()
            for key, _ in self.selector.select(0.25):
                if key.fileobj is self.listener:
                    self.serve()
                else:
                    self.wake.recv(4096)
            self.reap()
        for u in reversed(list(self.units.values())):
            u.wanted = False
            if u.pid:
                os.kill(u.pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while any(u.pid for u in self.units.values()) and time.monotonic() < deadline:
            time.sleep(0.05)
            self.reap()


def systemctl(words):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        client.connect(os.environ.get("UNITS_SOCKET", "/run/bongsu/units"))
        client.send(json.dumps(words).encode())
        status, output = json.loads(client.recv(65536))
    except (OSError, ValueError) as e:
        status, output = 1, f"systemctl: {e}\n"
    print(output, end="", file=sys.stdout if status in (0, 3) else sys.stderr)
    return status


def main():
    if os.path.basename(sys.argv[0]) == "systemctl":
        return systemctl([w for w in sys.argv[1:] if w not in ("--now", "--quiet", "--wait")])
    if len(sys.argv) < 5 or sys.argv[1] != "run":
        print(__doc__)
        return 2
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    Manager(*sys.argv[2:5], sys.argv[5:]).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
