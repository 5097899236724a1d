# SPDX-License-Identifier: AGPL-3.0-or-later
"""enemy.py: what the tests share: the town under attack, raw connections from
other addresses, and two friends who chat all the while."""
import asyncio
import re
import ssl
import time

import server as servers
import xmpp
from trials import Failure, check

# What must not be in the log: said in messages, typed as a password, given out as a token.
MARK = "m4rk-of-the-town"
PASSWORD = MARK + "-password"
LOGIN_SECONDS, IDLE_SECONDS, DEAD_SECONDS = 3, 10, 2
STANZA_BYTES, STANZA_BYTES_EARLY = 256 * 1024, 16 * 1024
PER_ADDRESS = 40
SETTINGS = f"""\
log.level = debug
talk.login_time_max = {LOGIN_SECONDS}s
talk.idle_time_max = {IDLE_SECONDS}s
talk.dead_time_max = {DEAD_SECONDS}s
talk.connections_per_address_max = {PER_ADDRESS}
talk.out_bytes_max = 262144
talk.bytes_per_second_max = 8388608
talk.metrics_listen = 127.0.0.1:{{metrics}}
"""
HEADER = (f"<stream:stream to='{servers.DOMAIN}' version='1.0' xmlns='jabber:client' "
          f"xmlns:stream='{xmpp.NS_STREAMS}'>").encode()
PING = "<ping xmlns='urn:xmpp:ping'/>"


class Raw:
    """Bytes to a port and what comes back. `heard` grows; `ended` when the server is done."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.heard, self.ended = b"", False
        self.task = asyncio.ensure_future(self.listen())

    async def listen(self):
        try:
            while True:
                data = await self.reader.read(65536)
                if not data:
                    break
                self.heard += data
        except (OSError, ssl.SSLError):
            pass
        self.ended = True

    def send(self, data):
        """What the server does not want to hear any more is lost, as on any wire."""
        try:
            self.writer.write(data if isinstance(data, bytes) else data.encode())
        except (OSError, RuntimeError):
            pass

    async def until(self, words, seconds=10):
        """Everything heard, once it contains `words`, or the server ended, or the time is up."""
        deadline = time.monotonic() + seconds
        while words not in self.heard and not self.ended and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return self.heard

    async def end(self, seconds=10):
        """Whether the server ended the connection in that time."""
        try:
            await asyncio.wait_for(asyncio.shield(self.task), seconds)
        except asyncio.TimeoutError:
            pass
        return self.ended

    def close(self):
        self.task.cancel()
        try:
            self.writer.transport.abort()
        except AttributeError:          # Python 3.11 forgets the TLS side of what has ended
            pass


class Friends:
    """alice and bob: each message is answered, and none may be missing or out of order."""

    def __init__(self, server):
        self.server, self.sent, self.seen, self.answered = server, 0, 0, 0
        self.faults, self.worst_ms = [], 0
        self.news = asyncio.Event()
        self.task = None

    async def start(self):
        self.alice = await xmpp.log_in(self.server, "alice", PASSWORD, "phone", "tls")
        self.bob = await xmpp.log_in(self.server, "bob", PASSWORD, "web", "websocket")
        self.alice.hears, self.bob.hears = self.alice_hears, self.bob_hears
        for friend in (self.alice, self.bob):
            friend.send("<presence xmlns='jabber:client'/>")
        self.task = asyncio.ensure_future(self.chat())

    def number(self, item):
        if item in (xmpp.CLOSE, xmpp.GONE) or xmpp.local(item) != "message":
            if item in (xmpp.CLOSE, xmpp.GONE):
                self.faults.append("the stream of a friend ended")
            return None
        body = item.find("{jabber:client}body")
        if item.get("type") == "error" or body is None or not item.get("from").startswith(("alice@", "bob@")):
            if item.get("type") == "error":
                self.faults.append("a friend's message came back: " + xmpp.show(item)[-200:])
            return None
        return int(body.text.split()[1])

    def bob_hears(self, item):
        n = self.number(item)
        if n is not None:
            if n != self.seen + 1:
                self.faults.append(f"bob heard {n} after {self.seen}")
            self.seen = n
            self.say(self.bob, "alice", n)
        return False

    def alice_hears(self, item):
        n = self.number(item)
        if n is not None:
            if n != self.answered + 1:
                self.faults.append(f"alice heard the answer {n} after {self.answered}")
            self.answered = n
            self.news.set()
        return False

    def say(self, stream, to, n):
        stream.send(f"<message xmlns='jabber:client' to='{to}@{self.server.domain}' type='chat' id='f{n}'>"
                    f"<body>{MARK} {n}</body></message>")

    async def round_trip(self, seconds=20):
        """One more message and its answer."""
        self.sent += 1
        n = self.sent
        start = time.monotonic()
        self.say(self.alice, "bob", n)
        while self.answered < n:
            self.news.clear()
            try:
                await asyncio.wait_for(self.news.wait(), start + seconds - time.monotonic())
            except asyncio.TimeoutError:
                raise Failure(f"the friends' message {n} was not answered in {seconds} s")
        self.worst_ms = max(self.worst_ms, round((time.monotonic() - start) * 1000))

    async def chat(self):
        while True:
            try:
                await self.round_trip()
            except Failure as e:
                self.faults.append(str(e))
                return
            self.alice.items.clear()
            self.bob.items.clear()
            await asyncio.sleep(0.05)

    async def round_trip_seen(self, seconds=20):
        """The chat goes on: one message sent from now on is answered."""
        goal, deadline = self.sent + 1, time.monotonic() + seconds
        while self.answered < goal:
            check(time.monotonic() < deadline, "the friends' chat stands still")
            await asyncio.sleep(0.01)

    async def stop(self):
        self.task.cancel()
        await asyncio.sleep(0.5)
        self.alice.hears = self.bob.hears = lambda item: False


class Town:
    def __init__(self):
        self.metrics_port = servers.free_ports(1)[0]
        self.server = servers.make("bongsu", SETTINGS.format(metrics=self.metrics_port))
        self.server.open_bosh()
        self.https = (self.server.web_port, self.server.websocket_port, self.server.bosh_port)
        self.server.add_users({n: PASSWORD for n in ("alice", "bob", "mallory", "carol", "victim", "never-here")})
        self.friends = Friends(self.server)
        self.secrets = [MARK]
        self.last_address = 256

    def address(self):
        """A new one of 127/8, so that the bounds of one test are not another's."""
        self.last_address += 1
        return "127.0.%d.%d" % divmod(self.last_address, 256)

    def tls(self, alpn="xmpp-client"):
        context = self.server.client_tls()
        context.set_alpn_protocols([alpn])
        return context

    async def raw(self, port, tls=None, address=None):
        more = {"ssl": tls, "server_hostname": self.server.domain} if tls else {}
        return Raw(*await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", port, local_addr=(address or self.address(), 0), **more), 10))

    async def raw_stream(self, address=None, secure=True):
        """Up to the features."""
        r = await (self.raw(self.server.tls_port, self.tls(), address) if secure else self.raw(self.server.port, None, address))
        r.send(HEADER)
        await r.until(b"</stream:features>")
        check(b"</stream:features>" in r.heard, f"no features: {r.heard[-300:]}")
        r.heard = b""
        return r

    async def stream(self, address=None):
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(xmpp.Link, "127.0.0.1", self.server.tls_port, ssl=self.tls(),
                                               server_hostname=self.server.domain,
                                               local_addr=(address or self.address(), 0))
        stream = xmpp.Stream(link)
        return stream, await xmpp.open_stream(stream, self.server.domain)

    async def log_in(self, user, resource=None, address=None, password=PASSWORD):
        stream, features = await self.stream(address)
        try:
            await xmpp.authenticate(stream, features, user, password)
            await xmpp.open_stream(stream, self.server.domain)
            await xmpp.bind(stream, resource)
        except xmpp.XMPPError:
            stream.link.abort()
            raise
        return stream

    async def fate(self, stream, seconds=10):
        """The condition of the stream error that ends it, "closed" without one, None when it lives on."""
        condition = None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            item = await stream.take(deadline - time.monotonic())
            if item is None:
                return condition
            if item is xmpp.GONE:
                return condition or "closed"
            if item.tag == f"{{{xmpp.NS_STREAMS}}}error":
                condition = xmpp.local(item[0])
        return condition

    # ---- what the server says of itself ----
    async def metrics(self):
        reply, _, writer = await xmpp.http_request("127.0.0.1", self.metrics_port,
                                                   b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        writer.close()
        check(reply.status == 200, f"metrics answered {reply.status}")
        return reply.body.decode()

    async def counter(self, name):
        """The sum over its labels."""
        found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.e+]+)$", await self.metrics(), re.M)
        check(found, f"there is no counter {name}")
        return sum(float(f) for f in found)

    def log(self):
        with open(self.server.log, errors="replace") as f:
            return f.read()


def plain(user, password=PASSWORD):
    return xmpp.b64(f"\0{user}\0{password}".encode())


def auth_plain(user, password=PASSWORD):
    return f"<auth xmlns='{xmpp.NS_SASL}' mechanism='PLAIN'>{plain(user, password)}</auth>"
