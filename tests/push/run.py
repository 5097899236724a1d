#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""run.py: what a browser gets, whatever happens to the push service, to courier and to the messenger.

    tests/push/run.py                   # all; the server is build/src/processes/bongsu, or $BONGSU
    tests/push/run.py gone slow         # those whose name holds a word
    tests/push/run.py --server bongsu-postgresql
"""
import asyncio
import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from service import Service                                                 # noqa: E402
from trials import check, play                                              # noqa: E402

OPTIONS = "http://jabber.org/protocol/pubsub#publish-options"
KINDS = {c.name: c for c in (servers.Bongsu, servers.BongsuPostgreSQL, servers.BongsuThree)}


class Town:
    """A server, its push service, and people who come and go."""

    def __init__(self, kind, extra="", trusted=True):
        self.server = kind(f"courier.push_retry_time = 300ms\n{extra}")
        for one in getattr(self.server, "nodes", [self.server]) if trusted else []:
            with open(one.config, "a") as f:
                f.write(f"courier.push_ca = {self.server.ca}\n")
        self.service = Service(self.server.crt, self.server.key)
        self.loop = asyncio.new_event_loop()
        self.count = 0

    def __enter__(self):
        self.server.start()
        self.server.add_users({n: "secret" for n in ("bob",)})
        self.bob = self.run(xmpp.log_in(self.server, "bob", "secret", "home", "tls"))
        self.bob_port = self.bob.link.transport.get_extra_info("peername")[1]
        return self

    def __exit__(self, *_):
        self.server.remove()
        self.service.close()

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def person(self):
        self.count += 1
        name = f"p{self.count}"
        self.server.add_users({name: "secret"})
        return name

    def field(self, name, value):
        return f"<field var='{name}'><value>{xmpp.escape(value)}</value></field>"

    def enable(self, name, browser, more="", as_json=False, resource="app"):
        """The person's browser subscribes, and goes away."""
        async def go():
            s = await xmpp.log_in(self.server, name, "secret", resource, "tls")
            if as_json:
                fields = self.field("subscription", json.dumps({"endpoint": browser.endpoint, "expirationTime": None, "keys": {
                    "p256dh": browser.p256dh, "auth": base64_pad(browser.auth)}}))
            else:
                from service import b64
                fields = self.field("endpoint", browser.endpoint) + self.field("p256dh", browser.p256dh) + self.field("auth", b64(browser.auth))
            answer = await s.ask("set", f"<enable xmlns='urn:xmpp:push:0' jid='push.{self.server.domain}' node='{browser.name}'>"
                                        f"<x xmlns='jabber:x:data' type='submit'>{self.field('FORM_TYPE', OPTIONS)}{fields}</x>{more}</enable>")
            check(answer.get("type") == "result", xmpp.show(answer))
            s.end_stream()
            s.link.close()
        self.run(go())

    def disable(self, name, browser):
        async def go():
            s = await xmpp.log_in(self.server, name, "secret", "other", "tls")
            answer = await s.ask("set", f"<disable xmlns='urn:xmpp:push:0' jid='push.{self.server.domain}' node='{browser.name}'/>")
            check(answer.get("type") == "result", xmpp.show(answer))
            s.end_stream()
            s.link.close()
        self.run(go())

    def delete(self, name):
        node = getattr(self.server, "nodes", [self.server])[0]
        done = subprocess.run([servers.BONGSU, "user", "delete", name, "--config", node.config], text=True, capture_output=True)
        check(done.returncode == 0, done.stdout + done.stderr)

    def status(self):
        node = getattr(self.server, "nodes", [self.server])[0]
        done = subprocess.run([servers.BONGSU, "status", "--json", "--config", node.config], text=True, capture_output=True)
        return json.loads(done.stdout)

    def waiting(self, browser):
        """How many notifications for it courier has."""
        count = f"SELECT count(*) FROM push WHERE endpoint = '{browser.endpoint}'"
        if hasattr(self.server, "psql"):
            return int(self.server.psql(self.server.database, count.replace("push", "courier.push", 1)))
        with tempfile.TemporaryDirectory() as copy:     # courier is alone with its file, and its log is nobody else's to tidy up
            for f in glob.glob(f"{self.server.dir}/data/courier.db*"):
                shutil.copy(f, copy)
            with contextlib.closing(sqlite3.connect(f"{copy}/courier.db")) as db:
                return db.execute(count).fetchone()[0]

    def key(self):
        async def go():
            for _ in range(50):
                answer = await self.bob.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", f"push.{self.server.domain}")
                for f in answer.iter("{jabber:x:data}field"):
                    if f.get("var") == "vapid-key":
                        return f[0].text
                await asyncio.sleep(0.1)
        return self.run(go())

    def say(self, name, text="hello", payload=None):
        self.count += 1
        payload = payload or f"<body>{text}</body>"
        self.bob.send(f"<message to='{name}@{self.server.domain}' type='chat' id='m{self.count}'>{payload}</message>")
        self.run(self.bob.ask("get", "<ping xmlns='urn:xmpp:ping'/>", self.server.domain))

    def pid(self, role):
        return self.server.roles()[role]["pid"]

    def back(self, role, pid):
        """Until another process has the role."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            about = self.server.roles().get(role, {})
            if about.get("ready") and about.get("pid") != pid:
                return
            time.sleep(0.1)
        check(False, f"{role} did not come back")

    def bob_again(self):
        self.bob = self.run(xmpp.log_in(self.server, "bob", "secret", "home", "tls"))

    def quiet(self, browser, seconds=1.5):
        n = len(browser.asked)
        time.sleep(seconds)
        check(len(browser.asked) == n, f"{len(browser.asked) - n} more came")


def base64_pad(data):
    import base64
    return base64.b64encode(data).decode()      # some write it so


# ---- what must be true ----

def nothing_but_that(t):
    """a browser learns that there is a message, and nothing else; the push service learns nothing"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b)
    t.say(name, "a secret of bob's")
    got, = b.wait(1)
    check(got["payload"] == {"v": 1, "kind": "message", "count": 1}, f"{got['payload']}")
    check(got["headers"]["Urgency"] == "normal" and 600000 < int(got["headers"]["TTL"]) <= 604800 and got["headers"]["Topic"] == "message", f"{got['headers']}")
    check(t.service.keys == {t.key()}, "it is signed with the key that the browser subscribed with")
    check(not t.service.faults, f"{t.service.faults}")


def what_is_allowed(t):
    """sender and text are told where the owner allows it, and every body is as long as another"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b, "<show xmlns='urn:bongsu:push:0' sender='true' body='true'/>", as_json=True)
    t.say(name, "봉수에 &lt;불&gt;")
    b.wait(1)
    t.say(name, "x" * 200)
    got = b.wait(2)
    check(got[0]["payload"] == {"v": 1, "kind": "message", "count": 1, "from": "bob@town.example", "body": "봉수에 <불>"}, f"{got[0]['payload']}")
    check(got[0]["bytes"] == got[1]["bytes"], "the length tells something")


def a_long_text(t):
    """a long text is cut at a whole character"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b, "<show xmlns='urn:bongsu:push:0' body='1'/>")
    t.say(name, "불" * 5000)
    got, = b.wait(1)
    check(set(got["payload"]["body"]) == {"불"} and 300 < len(got["payload"]["body"]) < 340, f"{len(got['payload']['body'])}")


def calls(t):
    """a call wakes at once, with high urgency, and is not kept for long"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b)
    t.say(name, payload="<propose xmlns='urn:xmpp:jingle-message:0' id='c'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose>")
    got, = b.wait(1)
    check(got["payload"]["kind"] == "call" and got["headers"]["Urgency"] == "high" and 50 <= int(got["headers"]["TTL"]) <= 60
          and got["headers"]["Topic"] == "call", f"{got}")


def trouble_passes(t):
    """a push service that has trouble gets it again, later and later"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b)
    b.answers = [500, 503, 201]
    t.say(name)
    b.wait(1)
    times = [a["at"] for a in b.asked]
    check(len(times) == 3 and times[2] - times[1] > 0.3, f"{times}")


def retry_after(t):
    """whoever says when to come back is believed, also by what is ordered meanwhile"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b)
    b.answers = [(429, {"Retry-After": "3"}), 201]
    t.say(name)
    b.wait(1, asked=True)
    t.say(name)
    got, = b.wait(1)
    check(b.asked[1]["at"] - b.asked[0]["at"] >= 2.9, "came too early")
    check(got["payload"]["count"] == 2, f"{got['payload']}")
    t.quiet(b)


def gone(t):
    """a subscription that is no more (404, 410) is forgotten, and a new one of the same browser is not"""
    for status in (410, 404):
        b, name = t.service.browser(), t.person()
        t.enable(name, b)
        b.answers = [status]
        t.say(name)
        b.wait(1, asked=True)
        time.sleep(0.5)
        t.say(name)
        t.quiet(b, 2)
        b.answers = [201]
        t.enable(name, b)
        t.say(name)
        b.wait(1)


def told(t):
    """a device whose stream waits to be resumed hears then that its subscription is no more, by its name, and orders anew"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b)
    b.answers = [410]

    async def sleeper():
        s = await xmpp.log_in(t.server, name, "secret", "app", "tls")
        s.send_raw("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        enabled = await s.take_where(lambda i: i.tag == "{urn:xmpp:sm:3}enabled")
        s.send("<presence/>")
        await s.ask("get", "<ping xmlns='urn:xmpp:ping'/>", t.server.domain)
        s.link.abort()
        return enabled.get("id")
    stream = t.run(sleeper())
    t.say(name)
    b.wait(1, asked=True)

    async def resume():
        s, features = await xmpp.connect(t.server, "tls")
        await xmpp.authenticate(s, features, name, "secret")
        await xmpp.open_stream(s, t.server.domain)
        s.send_raw(f"<resume xmlns='urn:xmpp:sm:3' previd='{stream}' h='0'/>")
        removed = await s.take_where(lambda i: i.find("{urn:bongsu:push:0}removed") is not None)
        s.link.abort()
        return removed
    removed = t.run(asyncio.wait_for(resume(), 20))
    check(removed.get("from") == f"{name}@{t.server.domain}" and removed[0].get("node") == b.name and removed[0].get("jid") == f"push.{t.server.domain}",
          xmpp.show(removed))
    b.answers = [201]
    t.enable(name, b)
    t.say(name)
    b.wait(1)


def refused(t):
    """what is refused for good is not tried again, and the next one is"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b)
    b.answers = [413, 201]
    t.say(name)
    b.wait(1, asked=True)
    t.quiet(b)
    t.say(name)
    b.wait(1)


def forgotten(t):
    """what waits for a device that is disabled, or for an account that is deleted, is sent no more and does not stay"""
    off, out, other = (t.service.browser() for _ in range(3))
    names = [t.person() for _ in range(3)]
    for b, name in zip((off, out, other), names):
        b.answers = [503]
        t.enable(name, b)
        t.say(name)
        b.wait(1, asked=True)
    t.disable(names[0], off)
    t.delete(names[1])
    time.sleep(0.5)
    n = len(off.asked), len(out.asked)
    other.wait(len(other.asked) + 2, asked=True)
    check((len(off.asked), len(out.asked)) == n, "it was sent once more")
    deadline = time.monotonic() + 10
    while t.waiting(off) or t.waiting(out):
        check(time.monotonic() < deadline, "it stays with courier")
        time.sleep(0.1)
    check(t.waiting(other) == 1, "somebody else's went too")
    check(t.status()["courier"]["push_waiting"] >= 1, "`bongsu status` does not tell of it")
    other.answers = [201]
    other.wait(1)


def redirects(t):
    """a redirect leads nowhere"""
    b, other, name = t.service.browser(), t.service.browser(), t.person()
    t.enable(name, b)
    b.answers = [(307, {"Location": other.endpoint})]
    t.say(name)
    b.wait(1, asked=True)
    t.quiet(b)
    check(not other.asked, "it was followed")


def down(t):
    """a push service that is away gets everything when it is back"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b)
    t.service.close()
    t.say(name)
    time.sleep(1)
    t.service.open()
    got, = b.wait(1)
    check(got["payload"]["count"] == 1, f"{got['payload']}")


def slow(t):
    """a slow one holds up nobody; what comes for it meanwhile is told together"""
    b, name, fast, other = t.service.browser(), t.person(), t.service.browser(), t.person()
    t.enable(name, b)
    t.enable(other, fast)
    b.delay_s = 3
    for _ in range(20):
        t.say(name)
    t.say(other)
    fast.wait(1, 2)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not (b.got and b.got[-1]["payload"]["count"] == 20):
        time.sleep(0.1)
    check(b.got and b.got[-1]["payload"]["count"] == 20 and len(b.asked) <= 3, f"{[a['payload'] for a in b.asked]}")


def courier_dies(t):
    """SIGKILL to courier with notifications that wait and others on their way: each arrives; registrations stay"""
    b, name, c, second = t.service.browser(), t.person(), t.service.browser(), t.person()
    t.enable(name, b)
    t.enable(second, c)
    b.answers = [503, 201]
    c.delay_s = 2
    t.say(name)
    t.say(second)
    b.wait(1, asked=True)
    pid, key = t.pid("courier"), t.key()
    os.kill(pid, signal.SIGKILL)
    t.back("courier", pid)
    b.wait(1)
    check(t.service.keys == {key}, "it signs with another key: every subscription would be worthless")
    c.wait(1)
    c.delay_s = 0
    t.say(second)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and c.asked[-1]["payload"]["count"] < 2:
        time.sleep(0.1)
    check(c.asked[-1]["payload"]["count"] == 2, f"{[a['payload'] for a in c.asked]}")


def talk_dies(t):
    """SIGKILL to talk before courier could be told: the message's own batch holds that somebody is to be woken"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b)
    courier, talk = t.pid("courier"), t.pid("talk")
    os.kill(courier, signal.SIGSTOP)
    t.say(name)
    os.kill(talk, signal.SIGKILL)
    time.sleep(0.5)
    check(not b.asked, "courier was told")
    os.kill(courier, signal.SIGCONT)
    t.back("talk", talk)
    b.wait(1, 90 if t.server.name != "bongsu" else 20)
    t.bob_again()


def restored(t):
    """courier's database is lost, as after a restore: it signs with the same key, and what is ordered arrives"""
    b, name, key = t.service.browser(), t.person(), t.key()
    t.enable(name, b)
    time.sleep(0.5)
    t.server.stop()
    gone = [f for f in os.listdir(f"{t.server.dir}/data") if f.startswith("courier.db")]
    check(gone, "there was none")
    for f in gone:
        os.unlink(f"{t.server.dir}/data/{f}")
    t.service.keys.clear()
    t.server.start()
    t.bob_again()
    t.say(name)
    b.wait(1)
    check(t.service.keys == {key} and t.key() == key, "it is another key")


def awake(t):
    """a device that sleeps with its stream up is woken only when it does not confirm what it was sent"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b)

    async def sleeper():
        s = await xmpp.log_in(t.server, name, "secret", "app", "tls")
        s.send_raw("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        await s.take_where(lambda i: i.tag == "{urn:xmpp:sm:3}enabled")
        s.sm, s.sm_acks, s.sm_in, s.sm_out = True, True, 0, 0
        s.send("<presence/>")
        s.send_raw("<inactive xmlns='urn:xmpp:csi:0'/>")
        return s
    s = t.run(sleeper())
    t.run(asyncio.sleep(0.3))
    t.say(name, "one")
    t.run(asyncio.sleep(8))
    check(not b.asked, "it was woken though it had confirmed")
    s.sm_acks = False
    t.say(name, "two")
    t.run(asyncio.sleep(8))
    check(len(b.asked) == 1 and b.asked[0]["payload"]["count"] == 1, f"{[a['payload'] for a in b.asked]}")
    s.link.abort()


def many(t):
    """fifty browsers at once"""
    pairs = [(t.service.browser(), t.person()) for _ in range(50)]
    for b, name in pairs:
        t.enable(name, b)
    for b, name in pairs:
        t.say(name)
    for b, _ in pairs:
        b.wait(1)
    check(not t.service.faults, f"{t.service.faults}")


def inside(t):
    """an endpoint at a private address is not asked, by whatever name, and its registration goes"""
    host = socket.gethostname()
    names = ["localhost", "127.0.0.1"]
    try:
        names += [host] * socket.gethostbyname(host).startswith(("127.", "10.", "172.1", "192.168."))     # through the resolver
    except OSError:
        pass
    for n, known_as in enumerate(names, 1):
        b, name = t.service.browser(), t.person()
        b.endpoint = b.endpoint.replace("localhost", known_as)
        t.enable(name, b)
        t.say(name)
        deadline = time.monotonic() + 10
        while open(t.server.log).read().count("push.removed") < n:
            check(time.monotonic() < deadline, f"the registration of {known_as} stays")
            time.sleep(0.1)
        t.say(name)
        t.quiet(b, 0.5)
        check(not b.asked, "it was asked")


def full(t):
    """what a full queue refuses waits with the messenger, and comes when there is room"""
    pairs = [(t.service.browser(), t.person()) for _ in range(4)]
    for b, name in pairs:
        b.answers = [503, 503, 201]
        t.enable(name, b)
    for _, name in pairs:
        t.say(name)
    for b, _ in pairs:
        b.wait(1, 60)


def untrusted(t):
    """a push service whose certificate is good for nothing gets nothing, and keeps nobody from asking again"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b)
    t.say(name)
    time.sleep(2)
    check(not b.asked, "it was told")
    log = open(t.server.log).read()
    check("error=unauthorized" in log and "push.removed" not in log, log[-2000:])


def one_of_three(t):
    """three couriers over one database: each notification is sent by one of them, once"""
    pairs = [(t.service.browser(), t.person()) for _ in range(40)]
    for b, name in pairs:
        b.answers = [503, 201]          # the second time whichever is quickest
        t.enable(name, b)
    time.sleep(0.5)
    for b, name in pairs:
        t.say(name)
    for b, _ in pairs:
        b.wait(1, 40)
    time.sleep(2)
    check(all(len(b.asked) == 2 for b, _ in pairs), f"{[len(b.asked) for b, _ in pairs]}")


def a_site_dies(t):
    """what a site's courier had not sent another site's sends; registrations hold everywhere"""
    b, name = t.service.browser(), t.person()
    t.enable(name, b)
    time.sleep(0.5)
    b.answers = [503] * 4 + [201]
    t.say(name)
    b.wait(1, asked=True)
    dead = next(n for n in t.server.nodes if n.tls_port != t.bob_port)
    dead.kill9()
    b.wait(1, 90)                       # a lease that it held has to run out
    t.say(name)
    b.wait(2, 90)


def main(argv):
    kind = servers.Bongsu
    if argv and argv[0] == "--server":
        kind, argv = KINDS[argv[1]], argv[2:]
    why = kind.missing()
    if why:
        print(f"skipped: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    trials = [nothing_but_that, what_is_allowed, a_long_text, calls, trouble_passes, retry_after, gone, told, refused, forgotten, redirects, down, slow,
              courier_dies, talk_dies, awake, many] + [restored] * (kind is servers.Bongsu)
    if kind is servers.BongsuThree:
        trials = [nothing_but_that, calls, trouble_passes, gone, told, forgotten, awake, many, one_of_three, a_site_dies]
    chosen = [f for f in trials if not argv or any(word in f.__name__ for word in argv)]
    alone = [] if kind is servers.BongsuThree else [
        (inside, "", True), (full, "courier.push_private = yes\ncourier.push_queue_max = 2\n", True), (untrusted, "courier.push_private = yes\n", False)]
    last = [row for row in alone if not argv or any(word in row[0].__name__ for word in argv)]
    failed = 0
    if chosen:
        with Town(kind, "courier.push_private = yes\n") as town:
            failed += play(chosen, town)
            if failed or os.environ.get("LOG"):
                print(town.server.tail())
    for trial, extra, trusted in last:      # each needs settings of its own
        with Town(kind, extra, trusted) as town:
            failed += play([trial], town)
    print(f"{len(chosen) + len(last) - failed} passed, {failed} failed, 0 skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
