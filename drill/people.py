#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""people.py: people who chat, move to another site when theirs is lost, and keep a journal of all they know.

They do what our app does: SASL2, Bind2 and FAST in one round trip, XEP-0198 with resumption, several addresses
(own site first). A lost connection, or 2 s without a byte after an <r/>, sends them to the next address within
0.3 s; they ask to resume, and where that fails bind anew, take h as counted, catch up by XEP-0313 from the last
stanza-id they know, and send again (same origin-id, same order) what was not counted.

A process of its own, so that nobody's work delays a client: commands come as JSON lines on stdin (see Crowd.do_*),
answers leave on stdout, and the journal is a file of one event a line, read by checker.py. Times are CLOCK_MONOTONIC in
seconds. A person may live in another network namespace: sockets are made there, by a thread that has entered it.

  ["s", t, me, to, n, site]            handed to the server for the first time
  ["r", t, me, to, n, site]            handed over again
  ["a", t, me, to, n, site]            counted by an <a h/>, <resumed h/> or <failed h/>
  ["e", t, me, to, n, condition]       refused: it is ours again
  ["l", t, me, from, n, id, site]      arrived live, with its stanza-id ("" if it had none)
  ["c", t, me, from, n, id, site]      came in a catch-up
  ["b", t, me, site, how]              in: "resumed" or "bound" (then live arrivals wait for "k")
  ["k", t, me]                         caught up: what arrived live since "bound" takes its place behind it
  ["x", t, me, site, why]              the connection is lost or given up
  ["f", t, me, site, why, seconds]     an attempt to get in failed after so long
  ["h", t, owner, site, [[id, from, to, n], …]]   a whole archive, of a person or of a room, as that site tells it

What is noted in rooms stands in groups.py.
"""
import argparse
import asyncio
import collections
import concurrent.futures
import ctypes
import functools
import gc
import hmac
import json
import os
import random
import re
import socket
import sys
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../tests/lib")]
import groups                                                               # noqa: E402
import xmpp                                                                 # noqa: E402

NS_SASL2, NS_BIND2, NS_FAST, NS_SM = "urn:xmpp:sasl:2", "urn:xmpp:bind:0", "urn:xmpp:fast:0", "urn:xmpp:sm:3"
NS_MAM, NS_RSM, NS_SID = "urn:xmpp:mam:2", "http://jabber.org/protocol/rsm", "urn:xmpp:sid:0"
NS_RECONNECT = "urn:bongsu:reconnect:0"
CLIENT = "{jabber:client}"
MECHANISM = "HT-SHA-256-NONE"
JITTER_S, SILENCE_S, TICK_S = 0.3, 2.0, 0.05
CONNECT_S, ENTER_S = 3.0, 10.0              # until the first byte comes; until the log-in is answered. Then the next address
UNACKED_MAX = 64                            # beyond it a person writes nothing new
PAGE, IDS_KEPT = 250, 64
CLONE_NEWNET = 0x40000000
# What may be wrong with a server or a network; anything else is a mistake of ours.
TROUBLES = (OSError, xmpp.XMPPError, asyncio.TimeoutError, EOFError, asyncio.IncompleteReadError)


def now():
    return time.monotonic()


def password_of(name):
    return "secret-" + name


class Journal:
    def __init__(self, path):
        self.file = open(path, "w", buffering=1 << 16)

    def note(self, *event):
        self.file.write(json.dumps(event, separators=(",", ":")) + "\n")

    def flush(self):
        self.file.flush()


class Outgoing:
    __slots__ = ("to", "number", "text", "count", "written")

    def __init__(self, me, domain, to, number, room=False):
        self.to, self.number = to, number
        origin = f"{me}.{to}.{number}"
        address, kind = (groups.address(to, domain), "groupchat") if room else (f"{to}@{domain}", "chat")
        self.text = (f"<message to='{address}' type='{kind}' id='{origin}'>"
                     f"<body>{me} {to} {number} {time.time_ns() // 1000}</body>"
                     f"<origin-id xmlns='{NS_SID}' id='{origin}'/></message><r xmlns='{NS_SM}'/>")
        self.count = None           # its XEP-0198 number on this stream; None: not sent on it
        self.written = False        # ever


# ---- entering: one round trip from the stream's header to the session ----

class Stream(xmpp.Stream):
    heard = 0.0                     # when the last byte came

    def feed(self, data):
        self.heard = now()
        super().feed(data)


def authenticate_text(who, inline):
    """With a token if there is one, else with the password."""
    if who.token:
        proof = hmac.digest(who.token.encode(), b"Initiator", "sha256")
        mechanism, initial, fast = MECHANISM, who.name.encode() + b"\0" + proof, f"<fast xmlns='{NS_FAST}'/>"
    else:
        mechanism, initial = "PLAIN", f"\0{who.name}\0{who.password}".encode()
        fast = f"<request-token xmlns='{NS_FAST}' mechanism='{MECHANISM}'/>"
    return (f"<authenticate xmlns='{NS_SASL2}' mechanism='{mechanism}'><initial-response>{xmpp.b64(initial)}"
            f"</initial-response><user-agent id='{who.agent}'><software>drill</software></user-agent>{fast}{inline}"
            "</authenticate>")


def enter_namespace(path):
    with open(path) as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"could not enter {path}")


@functools.cache
def socket_maker(path):
    return concurrent.futures.ThreadPoolExecutor(1, initializer=enter_namespace, initargs=(path,))


async def link_open(net, host, port, context, domain):
    """From the namespace `net` (a path), or from our own."""
    if not net:
        return await xmpp.link_open(host, port, context, domain)
    loop = asyncio.get_running_loop()
    made = await loop.run_in_executor(socket_maker(net), socket.socket)
    try:
        made.setblocking(False)
        await loop.sock_connect(made, (host, port))
    except BaseException:
        made.close()
        raise
    # from here on the transport closes it, a moment later: a number that is closed before it lets go is given to the next
    _, link = await loop.create_connection(xmpp.Link, sock=made, ssl=context, server_hostname=domain)
    return link


async def enter(who, host, port, context, domain, inline):
    """A stream, and the <success/> of SASL2. Nothing waits for the features: the log-in rides with the header."""
    async with asyncio.timeout(CONNECT_S):
        stream = Stream(await link_open(who.net, host, port, context, domain))
    try:
        stream.send_raw(f"<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='{xmpp.NS_CLIENT}' "
                        f"xmlns:stream='{xmpp.NS_STREAMS}'>" + authenticate_text(who, inline))
        if await stream.take(CONNECT_S) is None:
            raise xmpp.XMPPError("nothing came in time")
        answer = await stream.take_where(lambda i: i.tag in (f"{{{NS_SASL2}}}success", f"{{{NS_SASL2}}}failure",
                                                             f"{{{xmpp.NS_STREAMS}}}error"), ENTER_S)
        if answer is None:
            raise xmpp.XMPPError("the log-in was not answered")
        if not answer.tag.endswith("success"):
            why = " ".join(xmpp.local(e) for e in answer)
            if "not-authorized" in why or "credentials-expired" in why:
                who.token = None
            raise xmpp.XMPPError("the log-in failed: " + why)
    except BaseException:
        stream.link.abort()
        raise
    token = answer.find(f"{{{NS_FAST}}}token")
    if token is not None:
        who.token = token.get("token")
    return stream, answer


class Person:
    """One device of one person. The order of the methods is the order of a life."""

    def __init__(self, crowd, rng, name, addresses, friends, interval, net=None):
        self.crowd, self.rng, self.name, self.addresses, self.friends, self.interval, self.net = \
            crowd, rng, name, addresses, friends, interval, net
        self.password, self.agent, self.token = password_of(name), str(uuid.UUID(int=rng.getrandbits(128), version=4)), None
        self.note = lambda kind, *rest: crowd.journal.note(kind, now(), name, *rest)
        self.unacked = []           # Outgoing, in order
        self.sent = {f: 0 for f in friends}
        self.turn = rng.randrange(len(friends)) if friends else 0
        self.at = 0                 # which address
        self.sm_id, self.sm_in, self.sm_out = None, 0, 0
        self.stream = None          # while in
        self.known = []             # the last stanza-ids, newest last
        self.owed = None            # the ids to catch up from, as long as that is not complete
        self.ahead = []             # of what arrived live meanwhile
        self.page = None            # of a catch-up under way
        self.asked = None           # when the oldest <r/> was sent that no byte followed
        self.lost = asyncio.Event()
        self.catching = self.task = None
        self.leaving = ""           # why the connection is given up
        self.spread = 0             # seconds over which the site wants its people to come back

    def site(self):
        return self.addresses[self.at][0]

    # ---- hearing ----

    def hears(self, item):
        if item is xmpp.GONE or item is xmpp.CLOSE or item.tag == f"{{{xmpp.NS_STREAMS}}}error":
            if item is not xmpp.GONE and item is not xmpp.CLOSE:
                self.leaving = self.leaving or "stream error: " + " ".join(xmpp.local(e) for e in item)
            self.lost.set()
            return False
        if item.tag == f"{{{NS_SM}}}a":
            self.take_h(int(item.get("h")))
            return True
        if item.tag == f"{{{xmpp.NS_STREAMS}}}features":
            advice = item.find(f"{{{NS_RECONNECT}}}reconnect")
            self.spread = int(advice.get("spread")) if advice is not None else 0
            return True
        if item.tag == CLIENT + "message":
            self.take_message(item)
            return True
        return item.tag in (CLIENT + "presence", f"{{{NS_SM}}}r")

    def take_h(self, h):
        while self.unacked and self.unacked[0].count is not None and self.unacked[0].count <= h:
            o = self.unacked.pop(0)
            self.note("a", o.to, o.number, self.site())

    def take_message(self, m):
        if m.get("type") == "error":
            self.take_refusal(m)
            return
        result = m.find(f"{{{NS_MAM}}}result")
        inner = m.find(f"{{{NS_MAM}}}result/{{urn:xmpp:forward:0}}forwarded/{CLIENT}message") if result is not None else m
        body = inner.find(CLIENT + "body") if inner is not None else None
        words = (body.text or "").split() if body is not None else []
        if len(words) != 4:
            return
        sender, to, number = words[0], words[1], int(words[2])
        if result is not None:
            if self.page is not None:
                self.page.append((result.get("id"), sender, to, number))
            return
        if to != self.name:
            return
        mine = f"{self.name}@{self.crowd.domain}"
        ids = [e.get("id") for e in m.findall(f"{{{NS_SID}}}stanza-id") if e.get("by") == mine]
        self.note("l", sender, number, ids[0] if ids else "", self.site())
        line = self.known if self.owed is None else self.ahead
        line += ids[:1]
        del line[:-IDS_KEPT]

    def take_refusal(self, m):
        """The server said that it could not keep it: it is ours again, and goes behind what waits."""
        to, number = m.get("id", "..0").split(".")[1:3]
        error = m.find(CLIENT + "error")
        self.note("e", to, int(number), xmpp.local(error[0]) if error is not None and len(error) else "")
        o = next((u for u in self.unacked if u.to == to and u.number == int(number)), None)
        if o is None:
            o = self.outgoing(to, int(number))
            o.written = True
        else:
            self.unacked.remove(o)
        o.count = None
        self.unacked.append(o)
        asyncio.get_running_loop().call_later(1, self.say_what_waits)

    # ---- saying ----

    def say(self, o):
        self.sm_out += 1
        o.count = self.sm_out
        self.note("r" if o.written else "s", o.to, o.number, self.site())
        o.written = True
        self.stream.send_raw(o.text)
        if self.asked is None:
            self.asked = now()

    def outgoing(self, to, number):
        return Outgoing(self.name, self.crowd.domain, to, number, to in self.crowd.rooms)

    def may_say(self):
        return self.stream is not None and not self.lost.is_set()

    def say_what_waits(self):
        for o in self.unacked:
            if o.count is None and self.may_say():
                self.say(o)

    def chat(self):
        """The next message to the next friend, and when to write again."""
        asyncio.get_running_loop().call_later(self.interval * (0.8 + 0.4 * self.rng.random()), self.chat)
        if not (self.crowd.talking and self.may_say() and self.friends and len(self.unacked) < UNACKED_MAX):
            return
        self.turn = (self.turn + 1) % len(self.friends)
        to = self.friends[self.turn]
        self.sent[to] += 1
        o = self.outgoing(to, self.sent[to])
        self.unacked.append(o)
        self.say(o)

    # ---- coming and going ----

    def inline(self):
        known = self.rng.random() >= self.crowd.amnesia
        resume = f"<resume xmlns='{NS_SM}' previd='{self.sm_id if known else 'no-such-stream'}' h='{self.sm_in}'/>" \
            if self.sm_id else ""
        return resume + f"<bind xmlns='{NS_BIND2}'><tag>drill</tag><enable xmlns='{NS_SM}' resume='true'/></bind>"

    async def come_in(self):
        stream, success = await enter(self, *self.addresses[self.at][1:], self.crowd.context, self.crowd.domain, self.inline())
        resumed, failed = success.find(f"{{{NS_SM}}}resumed"), success.find(f"{{{NS_SM}}}failed")
        answer = resumed if resumed is not None else failed
        if answer is not None and answer.get("h"):
            self.take_h(int(answer.get("h")))
        for o in self.unacked:
            o.count = None
        self.lost.clear()
        self.asked, self.leaving = None, ""
        if resumed is not None:
            self.sm_out = int(resumed.get("h"))
            stream.sm_in = self.sm_in
        else:
            enabled = success.find(f"{{{NS_BIND2}}}bound/{{{NS_SM}}}enabled")
            if enabled is None:
                stream.link.abort()
                raise xmpp.XMPPError("bound without stream management")
            self.sm_id, self.sm_in, self.sm_out = enabled.get("id"), 0, 0
        stream.sm, stream.hears, self.stream = True, self.hears, stream
        stream.me = success.find(f"{{{NS_SASL2}}}authorization-identifier").text
        self.note("b", self.site(), "resumed" if resumed is not None else "bound")
        if resumed is None:
            self.sm_out += 1
            stream.send_raw("<presence/>")
            self.owed = self.owed or self.known
        if self.owed is not None:
            self.ahead = []
            self.catching = asyncio.ensure_future(self.catch_up(stream))
        came_along, stream.items = stream.items, collections.deque()
        for item in came_along:
            stream.push(item)
        self.settled_in(stream, resumed is not None)

    def settled_in(self, stream, resumed):
        self.say_what_waits()

    def is_settled(self):
        return self.stream is not None and not self.unacked and self.owed is None

    async def catch_up(self, stream):
        """XEP-0313 from the last id that the archive knows, until all of it is here."""
        try:
            while not await self.catch_page(stream):
                pass
            self.known, self.owed = (self.owed + self.ahead)[-IDS_KEPT:], None
            self.note("k")
        except TROUBLES as e:
            self.leave(f"the catch-up failed: {e}")
        finally:
            self.page = None

    async def catch_page(self, stream):
        """True: it was the last one."""
        self.page = []
        after = f"<after>{self.owed[-1]}</after>" if self.owed else ""
        self.sm_out += 1
        answer = await stream.ask("set", f"<query xmlns='{NS_MAM}'><set xmlns='{NS_RSM}'><max>100</max>{after}</set></query>",
                                  seconds=20)
        if answer.get("type") == "error":
            # An id that went out ahead of its entry may never have come to be: go back further.
            if "item-not-found" in xmpp.show(answer) and self.owed:
                self.owed = self.owed[:-1]
            else:
                await asyncio.sleep(0.5)
            return False
        for stanza_id, sender, to, number in self.page:
            if to == self.name:
                self.note("c", sender, number, stanza_id, self.site())
        if self.page:       # XEP-0059 §2.1: the next page begins behind what the answer calls the last
            last = answer.find(f".//{{{NS_RSM}}}last")
            self.owed = [last.text if last is not None else self.page[-1][0]]
        return not self.page or answer.find(f"{{{NS_MAM}}}fin").get("complete") == "true"

    def leave(self, why):
        self.leaving = why
        self.lost.set()

    def tick(self, t):
        """Silence: nothing at all for 2 s after an <r/>."""
        if not self.stream or self.asked is None:
            return
        if self.stream.heard > self.asked:
            self.asked = self.stream.heard if self.unacked else None
        if self.asked is not None and t - self.asked > SILENCE_S and not self.lost.is_set():
            self.leave("silence")

    async def stay(self):
        await self.lost.wait()
        stream, self.stream = self.stream, None
        self.sm_in = stream.sm_in
        self.note("x", self.site(), self.leaving or "closed")
        stream.hears = lambda item: True
        stream.items.append(xmpp.GONE)      # who still waits for an answer need not go on
        stream.news.set()
        stream.link.abort()
        if self.catching:
            self.catching.cancel()
            await asyncio.wait([self.catching])
            self.catching = None

    async def live(self):
        tries = 0
        while True:
            began = now()
            try:
                await self.come_in()
                tries = 0
                await self.stay()
            except TROUBLES as e:
                tries += 1
                self.note("f", self.site(), f"{type(e).__name__} {e}"[:200], round(now() - began, 3))
                if self.stream:
                    self.leave(str(e))
                    await self.stay()
            if self.leaving == "home":
                continue
            self.at = (self.at + 1) % len(self.addresses)
            backoff = min(2.0, 0.1 * tries) if tries > len(self.addresses) else 0
            await asyncio.sleep(self.rng.random() * max(JITTER_S, 0 if tries else self.spread) + backoff)

    def go_home(self):
        if self.at != 0 or not self.stream:
            self.at = 0
            if self.stream:
                self.leave("home")


class Member(groups.Membership, Person):
    """One who writes into a room."""


# ---- the archive, whole, by its own means: nothing of the live stream's code ----

RESULT = re.compile(rb"<result [^>]*?\bid=['\"]([^'\"]+)['\"].*?<body>(\S+) (\S+) (\d+) \d+</body>.*?</result>", re.S)
LAST = re.compile(rb"<last[^>]*>([^<]+)</last>")


class Reader:
    """Reads anybody's; whoever sits in a site that is cut off has an archive all the same. Or that of a room (`to`)."""

    def __init__(self, name, net, to=None):
        self.name, self.net, self.password, self.token = name, net, password_of(name), None
        self.to = f" to='{to}'" if to else ""
        self.agent = str(uuid.uuid4())
        self.bytes, self.news = b"", asyncio.Event()

    def feed(self, data):
        self.bytes += data
        if b"</iq>" in data or b"</iq>" in self.bytes[-len(data) - 8:]:
            self.news.set()

    async def page(self, link, after):
        self.bytes = b""
        self.news.clear()
        link.send(f"<iq type='set' id='p'{self.to}><query xmlns='{NS_MAM}'><set xmlns='{NS_RSM}'><max>{PAGE}</max>{after}</set>"
                  "</query></iq>".encode())
        await asyncio.wait_for(self.news.wait(), 20)
        return self.bytes

    async def read(self, host, port, context, domain):
        """[[id, from, to, n], …] in the archive's order. XMPPError, OSError, TimeoutError."""
        stream, _ = await enter(self, host, port, context, domain, f"<bind xmlns='{NS_BIND2}'><tag>reader</tag></bind>")
        found, after = [], ""
        try:
            await stream.take(2)            # the features
            stream.link.on_bytes = self.feed
            while True:
                text = await self.page(stream.link, after)
                if b"<fin " not in text:
                    raise xmpp.XMPPError("an archive query was refused: " + text[-300:].decode(errors="replace"))
                found += [[i.decode(), a.decode(), b.decode(), int(n)] for i, a, b, n in RESULT.findall(text)]
                last = LAST.search(text)
                if not last or re.search(rb"complete=['\"]true", text):
                    return found
                after = f"<after>{last.group(1).decode()}</after>"
        finally:
            stream.link.on_gone = None
            stream.link.abort()


# ---- all of them ----

class Crowd:
    def __init__(self, plan, journal):
        self.domain, self.context = plan["domain"], xmpp.client_context(plan["ca"])
        self.context.set_alpn_protocols(["xmpp-client"])
        self.journal, self.talking = Journal(journal), False
        self.amnesia = plan.get("amnesia", 0)       # share of resumptions that ask for a stream nobody knows
        self.readers, self.net = {}, plan.get("net")
        self.rooms = {}                             # name: its members
        for p in plan["people"]:
            if "room" in p:
                self.rooms.setdefault(p["room"], []).append(p["name"])
        rng = random.Random(plan.get("seed", "bongsu"))
        self.people = {p["name"]: (Member if "room" in p else Person)(self, random.Random(f"{rng.random()}{p['name']}"), **p)
                       for p in plan["people"]}

    def chosen(self, names):
        return [self.people[n] for n in names] if names is not None else list(self.people.values())

    @staticmethod
    def died(task):
        died(task)

    async def tick(self):
        while True:
            await asyncio.sleep(TICK_S)
            t = now()
            for p in self.people.values():
                p.tick(t)

    async def until(self, fits, people, seconds):
        """Names of those whom it does not fit when the time is up."""
        deadline = now() + seconds
        while True:
            left = [p.name for p in people if not fits(p)]
            if not left or now() > deadline:
                return left
            await asyncio.sleep(0.05)

    async def do_start(self, seconds=30):
        loop = asyncio.get_running_loop()
        for room, members in self.rooms.items():
            await self.make_room(room, self.people[members[0]])
        for p in self.people.values():
            p.task = asyncio.ensure_future(p.live())
            p.task.add_done_callback(died)
            loop.call_later(p.interval * p.rng.random(), p.chat)
        asyncio.ensure_future(self.tick())
        out = await self.until(lambda p: p.is_settled(), self.people.values(), seconds)
        gc.collect()
        gc.freeze()                         # no long collection in the middle of a measurement
        return {"out": out}

    async def make_room(self, room, maker):
        stream, _ = await enter(Reader(maker.name, self.net), *maker.addresses[0][1:], self.context, self.domain,
                                f"<bind xmlns='{NS_BIND2}'><tag>maker</tag></bind>")
        await groups.make(stream, room, self.domain)
        stream.link.abort()

    async def do_talk(self, on):
        self.talking = on
        return {}

    async def do_settle(self, seconds, names=None):
        """Everything acknowledged, everybody caught up."""
        left = await self.until(lambda p: p.is_settled(), self.chosen(names), seconds)
        return {"left": left, "unacked": sum(len(self.people[n].unacked) for n in left)}

    async def do_home(self, seconds, names=None):
        people, deadline = self.chosen(names), now() + seconds
        while True:
            for p in people:
                p.go_home()
            left = await self.until(lambda p: p.stream and p.at == 0, people, 2)
            if not left or now() > deadline:
                return {"left": left}

    async def do_archives(self, wanted, seconds):
        """`wanted`: [[owner, site, host, port], …], read a few at a time; says which could not be, and why."""
        left, gate, deadline = [], asyncio.Semaphore(4), now() + seconds

        async def one(owner, site, host, port):
            async with gate:
                while True:
                    try:
                        found = await self.reader(owner, site).read(host, port, self.context, self.domain)
                        self.journal.note("h", now(), owner, site, found)
                        return
                    except TROUBLES as e:
                        if now() > deadline:
                            left.append([owner, site, f"{type(e).__name__} {e}"])
                            return
                        await asyncio.sleep(0.3)
        await asyncio.gather(*(one(*row) for row in wanted))
        return {"left": left}

    def reader(self, owner, site):
        """A room is read by its first member."""
        if owner in self.rooms:
            return self.readers.setdefault((owner, site), Reader(self.rooms[owner][0], self.net, groups.address(owner, self.domain)))
        return self.readers.setdefault(owner, Reader(owner, self.net))

    async def do_where(self):
        return {"where": {p.name: p.site() if p.stream else None for p in self.people.values()}}

    async def answer(self, request):
        try:
            reply = await getattr(self, "do_" + request.pop("do"))(**request)
        except Exception as e:
            reply = {"error": f"{type(e).__name__}: {e}"}
        self.journal.flush()
        print(json.dumps(reply), flush=True)

    async def serve(self):
        reader = asyncio.StreamReader(limit=1 << 24)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            await self.answer(json.loads(line))


def died(task):
    """A mistake of ours in one life must not pass for a silent person."""
    if not task.cancelled() and task.exception():
        task.print_stack(file=sys.stderr)
        os._exit(3)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("plan", help="JSON file: domain, ca, net (a namespace, for reading archives), amnesia, people: "
                   "[{name, addresses: [[site, host, port], …], friends: [name, …], interval: seconds, net, room (who is in one writes to it)}, …]")
    p.add_argument("journal", help="where the events go")
    args = p.parse_args()
    with open(args.plan) as f:
        plan = json.load(f)
    asyncio.run(Crowd(plan, args.journal).serve())


if __name__ == "__main__":
    main()
