#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""roles.py: kills, stops and reloads the processes one by one while two friends chat.

    tests/fault/roles.py                    # all; the server is build/src/processes/bongsu, or $BONGSU
    tests/fault/roles.py ident_dies         # some

Each friend keeps what is not acknowledged, resumes (XEP-0198) and sends again with the
same origin-id; at the end of each test nothing may be missing, doubled or out of order.
"""
import asyncio
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import crash                                                                # noqa: E402
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import Failure, check                                           # noqa: E402

PING = "<ping xmlns='urn:xmpp:ping'/>"
NAMES = ("c0", "c1")


class Bongsu(servers.Bongsu):
    def run(self, *words):
        done = subprocess.run([servers.BONGSU, *words, "--config", self.config], text=True, capture_output=True, cwd=self.dir,
                              timeout=120)
        check(done.returncode == 0, f"bongsu {' '.join(words)} → {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    async def roles(self):
        """Asked beside the loop, so that the friends go on."""
        return await asyncio.get_running_loop().run_in_executor(None, super().roles)

    async def kill(self, role):
        """SIGKILL; returns how many restarts it had."""
        about = (await self.roles())[role]
        os.kill(about["pid"], signal.SIGKILL)
        return about["restarts"]

    async def back(self, role, restarts):
        await until(lambda: self.is_back(role, restarts), f"{role} did not come back")

    async def is_back(self, role, restarts):
        about = (await self.roles()).get(role, {})
        return about.get("ready") and about["restarts"] > restarts

    def descendants(self):
        found, more = [], [self.process.pid]
        while more:
            out = subprocess.run(["pgrep", "-P", ",".join(map(str, more))], capture_output=True, text=True).stdout
            more = [int(p) for p in out.split()]
            found += more
        return found


async def until(true, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not await true():
        check(time.monotonic() < deadline, what)
        await asyncio.sleep(0.1)


class Pair:
    """Two clients of crash.py, who chat until `settle`."""

    def __init__(self, server):
        rng = crash.random.Random(1)
        self.server = server
        self.clients = [crash.Client(server, n, [f for f in NAMES if f != n], 5, rng) for n in NAMES]

    async def __aenter__(self):
        for c in self.clients:
            c.run_task = asyncio.ensure_future(c.live())
        await self.goes_on()
        return self

    async def __aexit__(self, *_):
        for c in self.clients:
            c.run_task.cancel()
            if c.stream:
                c.stream.link.abort()
        await asyncio.sleep(0.1)

    async def goes_on(self, seconds=30):
        """Each hears ten more messages of the other."""
        goals = [(c, f, c.seen[f] + 10) for c in self.clients for f in c.friends]

        async def heard():
            return all(c.seen[f] >= n for c, f, n in goals)
        await until(heard, "the chat stands still", seconds)

    def streams(self):
        return [(c.resumed, c.rebound) for c in self.clients]

    async def settle(self):
        """Every message arrived once, in order, and is in both archives once."""
        for c in self.clients:
            c.sending = False
        check(await crash.settle(self.clients, 30), "not everything was acknowledged and delivered")
        for c in self.clients:
            check(not c.faults, "; ".join(c.faults[:5]))
        archives = {c.name: await c.archive() for c in self.clients}
        missing = [(c.name, to, n, owner) for c in self.clients for (to, n) in c.acked for owner in NAMES
                   if archives[owner].get((c.name, to, n), 0) != 1]
        check(not missing, f"not once in an archive: {missing[:5]}")
        return sum(len(c.acked) for c in self.clients)


async def log_in_again(server, seconds=30):
    """Soon after the break: tries as a client does."""
    async def works():
        try:
            stream = await xmpp.log_in(server, "c0", "secret-c0", None, "tls")
            stream.link.abort()
            return True
        except (OSError, xmpp.XMPPError, EOFError):
            return False
    await until(works, "nobody can log in", seconds)


# ---- one role dies ----

async def ident_dies(s):
    """ident is killed: no stream ends, the chat goes on, log-in works again soon"""
    async with Pair(s) as pair:
        before = pair.streams()
        restarts = await s.kill("ident")
        await pair.goes_on()
        await s.back("ident", restarts)
        await log_in_again(s)
        check(pair.streams() == before, f"a stream ended: {before}, {pair.streams()}")
        return f"{await pair.settle()} messages"


async def enabled_stream(s, name):
    """A stream with a resumable XEP-0198, and its id; what is sent on it from here counts from 1."""
    stream = await xmpp.log_in(s, name, "secret-" + name, "phone", "tls")
    stream.send(f"<enable xmlns='{crash.NS_SM}' resume='true'/>")
    enabled = await stream.take_where(lambda i: i.tag == f"{{{crash.NS_SM}}}enabled")
    stream.sm, stream.sm_in = True, 0
    return stream, enabled.get("id")


def reset(stream):
    """Ends the connection so that the server hears of it at once, also while it does not read (RST instead of FIN)."""
    stream.link.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.link.abort()


async def ident_hangs(s):
    """ident hangs while a message waits for its word: a stream that breaks then does not count it, and sent again it lands once"""
    await asyncio.get_running_loop().run_in_executor(None, s.add_users, {"far": "secret-far"})
    message = "<message to='far@town.example' type='chat' id='m1'><body>across</body></message>"     # no origin-id: h alone must tell
    stream, ident = await enabled_stream(s, NAMES[0])
    pid = (await s.roles())["ident"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    stream.send(message)
    await asyncio.sleep(0.5)
    reset(stream)
    await asyncio.sleep(0.5)
    os.kill(pid, signal.SIGCONT)
    again, features = await xmpp.connect(s, "tls")
    await xmpp.authenticate(again, features, NAMES[0], "secret-" + NAMES[0])
    await xmpp.open_stream(again, s.domain)
    again.send(f"<resume xmlns='{crash.NS_SM}' previd='{ident}' h='0'/>")
    answer = await again.take_where(lambda i: i.tag.startswith(f"{{{crash.NS_SM}}}"))
    check(answer is not None and answer.get("h") == "0", f"h should be 0: {answer is not None and xmpp.show(answer)}")
    again.send(message)
    far = await xmpp.log_in(s, "far", "secret-far", "home", "tls")
    far.send("<presence/>")
    first = await far.take_where(lambda i: xmpp.local(i) == "message")
    await far.ask("get", "<ping xmlns='urn:xmpp:ping'/>", to=s.domain)
    await asyncio.sleep(1)
    more = [i for i in far.items if i is not xmpp.GONE and xmpp.local(i) == "message"]
    check(first is not None and not more, f"far should see it once: {first is not None}, and {len(more)} more")
    return "1 message"


async def host_meta(s):
    try:
        reply, _, writer = await xmpp.http_request(
            "127.0.0.1", s.web_port, f"GET /.well-known/host-meta HTTP/1.1\r\nHost: {s.domain}\r\n\r\n".encode(),
            s.client_tls() if s.web_tls else None, s.domain)
        writer.close()
        return reply.status == 200 and b"websocket" in reply.body
    except (OSError, EOFError, asyncio.TimeoutError):
        return False


async def web_dies(s):
    """web is killed: no stream ends, and host-meta is served again"""
    async with Pair(s) as pair:
        before = pair.streams()
        check(await host_meta(s), "host-meta does not work")
        restarts = await s.kill("web")
        await s.back("web", restarts)
        await until(lambda: host_meta(s), "host-meta does not work again")
        await pair.goes_on()
        check(pair.streams() == before, "a stream ended")
        return f"{await pair.settle()} messages"


async def talk_dies(s):
    """talk is killed: the keeper starts it again, streams resume, nothing is lost"""
    async with Pair(s) as pair:
        rebound = [c.rebound for c in pair.clients]
        for _ in range(5):
            restarts = await s.kill("talk")
            await s.back("talk", restarts)
            await pair.goes_on()
        check(all(c.resumed >= 5 for c in pair.clients), f"resumed {[c.resumed for c in pair.clients]} times")
        check([c.rebound for c in pair.clients] == rebound, "a stream could not resume")
        return f"{await pair.settle()} messages, {sum(c.resumed for c in pair.clients)} resumed"


async def all_roles_die(s):
    """every role is killed at once: all come back, nothing is lost"""
    async with Pair(s) as pair:
        roles = await s.roles()
        for about in roles.values():
            os.kill(about["pid"], signal.SIGKILL)
        for name, about in roles.items():
            await s.back(name, about["restarts"])
        await pair.goes_on()
        await log_in_again(s)
        return f"{await pair.settle()} messages"


async def role_hangs(s):
    """talk is stopped for a moment (SIGSTOP): the chat goes on when it continues, or is started anew"""
    async with Pair(s) as pair:
        pid = (await s.roles())["talk"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(3)
        os.kill(pid, signal.SIGCONT)
        await pair.goes_on()
        return f"{await pair.settle()} messages"


async def keeper_dies(s):
    """the keeper is killed: nothing keeps running, a new `serve` works and streams resume"""
    async with Pair(s) as pair:
        pids = s.descendants()
        check(len(pids) >= 3, f"only {pids}")
        os.kill(s.process.pid, signal.SIGKILL)
        s.process.wait()

        async def gone():
            return not any(alive(p) for p in pids)
        await until(gone, "a role outlived the keeper", 10)
        await asyncio.get_running_loop().run_in_executor(None, s.start)
        await pair.goes_on()
        check(all(c.resumed for c in pair.clients), "a stream could not resume")
        return f"{await pair.settle()} messages"


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ---- order ----

async def stops_in_order(s):
    """SIGTERM: streams hear system-shutdown, all ends with status 0, and streams resume after the next start"""
    async with Pair(s) as pair:
        plain = await xmpp.log_in(s, "c0", "secret-c0", "watcher", "tls")
        pids = s.descendants()
        resumed = [c.resumed for c in pair.clients]
        s.process.terminate()
        error = await plain.take_where(lambda i: i is xmpp.GONE or i.tag == f"{{{xmpp.NS_STREAMS}}}error")
        check(error is not None and error is not xmpp.GONE and xmpp.local(error[0]) == "system-shutdown",
              "no system-shutdown: " + (xmpp.show(error) if error is not None else "nothing"))
        status = await asyncio.get_running_loop().run_in_executor(None, s.process.wait, 30)
        check(status == 0, f"exit status {status}")
        check(not any(alive(p) for p in pids), "a role outlived the keeper")
        await asyncio.get_running_loop().run_in_executor(None, s.start)
        await pair.goes_on()
        check(all(c.resumed > n for c, n in zip(pair.clients, resumed)), f"not resumed: {pair.streams()}")
        return f"{await pair.settle()} messages"


async def certificate_is_renewed(s):
    """SIGHUP and `reload` serve the new certificate to new connections, and old streams stay"""
    async with Pair(s) as pair:
        before = pair.streams()
        for n, ask in enumerate((lambda: s.process.send_signal(signal.SIGHUP), lambda: s.run("reload"))):
            old = certificates(s)
            folder = os.path.join(s.dir, f"renewed{n}")
            os.makedirs(folder)
            s.ca, crt, key = servers.make_certificates(folder)
            shutil.copy(crt, s.crt)
            shutil.copy(key, s.key)
            ask()

            async def renewed():
                return all(a != b for a, b in zip(old, certificates(s)))
            await until(renewed, "an old certificate is still served")
            await pair.goes_on()
            await log_in_again(s)
        check(pair.streams() == before, "a stream ended")
        return f"{await pair.settle()} messages"


def certificates(s):
    """Those served on the three TLS ports."""
    found = []
    for port in (s.tls_port, s.websocket_port, s.web_port):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=20)
        found.append(re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", done.stdout, re.S).group())
    return found


async def backup_is_whole(s):
    """a backup taken while people chat, restored into another place, has every message acknowledged before it"""
    copy = os.path.join(s.dir, "backup")
    async with Pair(s) as pair:
        await pair.goes_on()
        acked = {c.name: set(c.acked) for c in pair.clients}
        await asyncio.get_running_loop().run_in_executor(None, s.run, "backup", copy)
        await pair.goes_on()
        check(all(c.rebound == 1 and c.resumed == 0 for c in pair.clients), "a stream ended")
        total = await pair.settle()
    other = Bongsu()
    try:
        other.run("restore", copy)
        other.run("db", "check")
        other.start()
        readers = [crash.Client(other, n, [], 1, None) for n in NAMES]
        for reader in readers:
            found = await reader.archive()
            missing = [(c, to, n) for c in acked for to, n in acked[c] if found.get((c, to, n), 0) != 1]
            check(not missing, f"not in the archive of {reader.name}: {missing[:5]}")
    finally:
        other.remove()
    before = sum(map(len, acked.values()))
    check(before > 0, "nothing was acknowledged before the backup")
    return f"{before} of {total} messages were acknowledged before it"


# ---- rights ----

def status_of(pid):
    return dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)


async def rights_are_given_up(s):
    """no role may gain privileges, each has a seccomp filter"""
    filtered = 0
    roles = await s.roles()
    for role, about in roles.items():
        status = status_of(about["pid"])
        check(status["NoNewPrivs"] == "1", f"{role} may gain privileges")
        filtered += status["Seccomp"] == "2"
    if filtered == 0 and b"__asan_init" in open(servers.BONGSU, "rb").read():
        return None     # the sanitizers need more than a filter lets through
    check(filtered == len(roles), f"{filtered} of {len(roles)} roles have a filter")
    return f"{filtered} roles"


async def root_is_given_up(s):
    """started by root with `user = nobody`, no role stays root, and people can chat"""
    if os.geteuid() != 0:
        return None
    other = Bongsu("user = nobody\n")
    try:
        for folder in (other.dir, os.path.dirname(other.config)):
            os.chmod(folder, 0o755)
        for path in (os.path.join(other.dir, "data"), os.path.join(other.dir, "run"), other.key, other.crt):
            shutil.chown(path, "nobody")
        add(other)
        other.start()
        for role, about in (await other.roles()).items():
            status = status_of(about["pid"])
            check("0" not in status["Uid"].split() and "0" not in status["Gid"].split(), f"{role} is root: {status['Uid']}")
            check(int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0, f"{role} has capabilities")
        async with Pair(other) as pair:
            restarts = await other.kill("talk")
            await other.back("talk", restarts)
            await pair.goes_on()
            return f"{await pair.settle()} messages"
    finally:
        other.remove()


TESTS = (ident_dies, ident_hangs, web_dies, talk_dies, all_roles_die, role_hangs, keeper_dies, stops_in_order, certificate_is_renewed,
         backup_is_whole, rights_are_given_up, root_is_given_up)


def add(server):
    server.add_users({n: "secret-" + n for n in NAMES})


def play(test):
    """Each on a server of its own: 1 passed, 0 failed, None skipped."""
    server = Bongsu()
    try:
        add(server)
        server.start()
        said = asyncio.run(test(server))
        print(f"{'ok    ' if said else 'skip  '} {test.__name__}: {test.__doc__}" + (f" ({said})" if said else ""), flush=True)
        return 1 if said else None
    except Exception as e:
        print(f"not ok {test.__name__}: {test.__doc__}\n      {type(e).__name__}: {e}", flush=True)
        if not isinstance(e, Failure):
            traceback.print_exc(file=sys.stdout)
        print("      " + server.tail()[-1500:].replace("\n", "\n      "))
        return 0
    finally:
        server.remove()


def main():
    tests = [t for t in TESTS if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    why = servers.Bongsu.missing()
    if why:
        print(f"skip  {why}\n0 passed, 0 failed, {len(tests)} skipped")
        return 0
    results = [play(t) for t in tests]
    print(f"{results.count(1)} passed, {results.count(0)} failed, {results.count(None)} skipped")
    return 1 if 0 in results else 0


if __name__ == "__main__":
    sys.exit(main())
