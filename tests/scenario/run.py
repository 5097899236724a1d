#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""run.py: plays the conversations of this folder against a server.

    tests/scenario/run.py                           # Bongsu: build/src/processes/bongsu, or $BONGSU
    tests/scenario/run.py --server prosody          # prove the transcripts with a peer
    tests/scenario/run.py --match 'xep0198*' -v     # some of them, with all that was said
"""
import argparse
import asyncio
import collections
import fnmatch
import glob
import json
import os
import re
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "lib"), HERE]

import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from transcript import (TEST, Mistake, Names, caps_of, match, match_group,   # noqa: E402
                        match_text, parse, read)
from xmpp import CLOSE, GONE, NS_SM, Stream, XMPPError, escape, local, namespace, show    # noqa: E402

PASSWORD = "correct horse"
RESOURCE = "home"           # of an actor written without one
SHORT = ("<message", "<presence", "<iq")


class Failure(Exception):
    pass


class Actor:
    """Somebody in a play: an account's device, or a raw stream."""

    def __init__(self, play, name):
        self.play, self.name = play, name
        self.account, _, resource = name.partition("/")
        self.resource = resource or RESOURCE
        self.raw = name.startswith("raw")
        self.stream = None
        self.last = None
        self.ignores = False
        self.sm_in = None

    @property
    def user(self):
        return self.play.names.real[self.account]

    def bound(self):
        return bool(self.stream and self.stream.me and not self.stream.ended)

    def adopt(self, stream):
        self.stream = stream
        stream.hears = self.hear

    def hear(self, item):
        """What is answered by the machine and does not belong to the play."""
        self.play.note(self, "<", item)
        if item.tag == f"{{{NS_SM}}}enabled":
            self.stream.sm, self.stream.sm_in = True, 0
        if item.tag == f"{{{NS_SM}}}resumed":
            self.stream.sm, self.stream.sm_in = self.sm_in is not None, self.sm_in or 0
        if item.tag == "{jabber:client}iq" and item.get("type") == "get" and item.find(f"{{{TEST}}}barrier") is not None:
            self.stream.send(f"<iq xmlns='jabber:client' type='result' id='{escape(item.get('id'))}' "
                             f"to='{escape(item.get('from'))}'/>")
            return True
        return False

    def say(self, text):
        self.play.note(self, ">", text)
        s = self.stream
        if s.framed and text.startswith(SHORT) and "xmlns='jabber:client'" not in text.split(">")[0]:
            head = re.match(r"<(\w+)", text)[0]
            text = head + " xmlns='jabber:client'" + text[len(head):]
        s.send(text)


class Play:
    """One transcript against one server."""

    def __init__(self, script, server, tag, options):
        self.script, self.server, self.options = script, server, options
        self.names = Names(script.accounts(), tag, server.domain, PASSWORD)
        self.actors = {}
        self.log = []
        self.web = None
        self.barriers = 0

    def note(self, actor, way, what):
        text = what if isinstance(what, str) else show(what)
        if f"'{TEST}'" in text or f"xmlns='{TEST}'" in text or "id='barrier" in text:
            return
        self.log.append(f"{actor.name}{way} " + self.names.unmap(text)[:3000])

    def actor(self, name):
        if name not in self.actors:
            self.actors[name] = Actor(self, name)
        return self.actors[name]

    # -- the whole --

    async def run(self):
        try:
            await self.enter()
            n = 0
            steps = self.script.steps
            while n < len(steps):
                step = steps[n]
                group = [step]
                if step.unordered:
                    while n + 1 < len(steps) and steps[n + 1].unordered:
                        n += 1
                        group.append(steps[n])
                n += 1
                try:
                    await self.step(step, group)
                except (Failure, XMPPError, Mistake, OSError, asyncio.TimeoutError) as e:
                    raise Failure(f"line {step.line}: {self.names.unmap(str(e) or type(e).__name__)}")
            await self.leave()
        finally:
            for a in self.actors.values():
                if a.stream:
                    a.stream.link.abort()

    async def enter(self):
        """Those who are there from the beginning."""
        for name, first in self.script.actors().items():
            a = self.actor(name)
            if first.kind == "do" and first.actor == name and re.match(r"connects|is offline|authenticates", first.text):
                continue
            await self.connects(a, "")

    async def leave(self):
        """Nothing may have come that the transcript does not tell."""
        for a in list(self.actors.values()):
            if a.bound() and not a.ignores:
                try:
                    await self.silence(a)
                except Failure as e:
                    raise Failure(self.names.unmap("at the end: " + str(e)))

    async def step(self, step, group):
        if step.actor == "web":
            await self.web_step(step)
        elif step.actor == "server":
            await self.server_does(step.text)
        elif step.actor == "check":
            self.check(step.text)
        elif step.kind == "do":
            await self.does(self.actor(step.actor), step.text)
        elif step.kind == "send":
            self.send(self.actor(step.actor), step.text)
        elif step.text == "nothing":
            await self.silence(self.actor(step.actor))
        elif step.optional:
            await self.maybe(step)
        else:
            await self.expect(group)

    # -- saying --

    def send(self, a, text):
        if not a.stream:
            raise Mistake(f"{a.name} is not connected")
        if a.raw:
            data = self.names.expand_bytes(text)
            self.note(a, ">", data.decode(errors="replace"))
            if data.lstrip().startswith((b"<?xml", b"<stream:stream", b"<stream ")) and not a.stream.framed:
                a.stream.restart()
            a.stream.send_raw(data)
            return
        text = self.names.expand(text, True)
        a.say(text)
        resumed_at = re.match(r"<resume .*h='(\d+)'", text)
        if resumed_at:
            a.sm_in = int(resumed_at[1])
        if text.startswith("<enable ") or text.startswith("<enable>"):
            a.stream.sm_out = 0

    # -- hearing --

    @staticmethod
    def beside(item, patterns):
        """Stream management's own talk, unless it is asked for."""
        if item.tag not in (f"{{{NS_SM}}}r", f"{{{NS_SM}}}a"):
            return False
        return not any(p.tag == item.tag for p in patterns)

    async def take(self, a, patterns):
        while True:
            item = await a.stream.take(self.options.patience)
            if item is None:
                return None
            if not self.beside(item, patterns):
                if item is not GONE:
                    a.last = item
                return item

    async def expect(self, group):
        by_actor = collections.OrderedDict()
        for step in group:
            by_actor.setdefault(step.actor, []).append(step)
        for name, steps in by_actor.items():
            a = self.actor(name)
            if not a.stream:
                raise Mistake(f"{name} is not connected")
            patterns = [parse(self.names.expand(s.text, False)) for s in steps]
            items = []
            for _ in patterns:
                item = await self.take(a, patterns)
                if item is None:
                    got = "".join("\n" + indent(show(i)) for i in items) or " nothing"
                    raise Failure(f"{name} waited {self.options.patience:g} s for\n"
                                  + "\n".join(indent(s.text) for s in steps) + f"\n  and got{got}")
                items.append(item)
            if len(patterns) == 1:
                why, found = match(patterns[0], items[0], self.names.values, steps[0].strict)
            else:
                why, found = match_group(patterns, items, self.names.values, [s.strict for s in steps])
            if why:
                raise Failure(f"{name}: {why}\n  expected\n" + "\n".join(indent(s.text) for s in steps)
                              + "\n  got\n" + "\n".join(indent(show(i)) for i in items))
            self.names.values.update(found)
            self.breaches(a)

    async def maybe(self, step):
        """What the RFC allows to come, or not to come."""
        a = self.actor(step.actor)
        await self.barrier(a)
        self.breaches(a)
        if a.stream.items:
            why, found = match(parse(self.names.expand(step.text, False)), a.stream.items[0], self.names.values)
            if why:
                return
            self.names.values.update(found)
            a.stream.items.popleft()

    @staticmethod
    def breaches(a):
        if a.stream and a.stream.breaches:
            raise Failure(f"the server {a.stream.breaches[0]} to {a.name}")

    async def barrier(self, a):
        """All that the others and the server sent to `a` before now has come.
        An iq to the full JID goes the same way as what went before it
        (RFC 6120 §10.1); the answer may also be an error."""
        for other in list(self.actors.values()):
            if not other.bound():
                continue
            for to in {a.stream.me, self.server.domain}:
                self.barriers += 1
                ident = f"barrier{self.barriers}"
                payload = f"<barrier xmlns='{TEST}'/>" if to == a.stream.me else "<ping xmlns='urn:xmpp:ping'/>"
                if other is a and to == a.stream.me:
                    continue
                other.stream.send(f"<iq xmlns='jabber:client' type='get' id='{ident}' to='{escape(to)}'>{payload}</iq>")
                done = await other.stream.take_where(
                    lambda i: local(i) == "iq" and i.get("id") == ident and i.get("type") in ("result", "error"),
                    self.options.patience)
                if done is None:
                    raise Failure(f"{other.name} got no answer to an iq for {to}")

    async def silence(self, a):
        if not a.stream:
            return
        if a.bound():
            await self.barrier(a)
        self.breaches(a)
        left = [i for i in a.stream.items if not self.beside(i, []) and i is not GONE]
        if left:
            raise Failure(f"{a.name} got what was not expected:\n" + "\n".join(indent(show(i)) for i in left))
        a.stream.items = collections.deque(i for i in a.stream.items if i is GONE)

    # -- doing --

    async def does(self, a, text):
        if text.startswith("connects") and a.raw:
            await self.raw_connects(a, text.removeprefix("connects").strip())
        elif text.startswith("connects"):
            await self.connects(a, text.removeprefix("connects").strip())
        elif text == "authenticates":
            stream, features = await xmpp.connect(self.server)
            await xmpp.authenticate(stream, features, a.user, PASSWORD)
            stream.features = await xmpp.open_stream(stream, self.server.domain)
            a.adopt(stream)
        elif text == "opens" or text == "reopens":
            a.stream.features = await xmpp.open_stream(a.stream, self.server.domain)
        elif text == "starts tls":
            await self.starts_tls(a)
        elif text == "is offline":
            pass
        elif text == "is an administrator":
            self.server.make_admin(a.user)
            await self.is_seen_as_administrator(a)
        elif text == "is seen as an administrator":
            await self.is_seen_as_administrator(a)
        elif text.startswith("is available"):
            await self.is_available(a, text.removeprefix("is available").strip())
        elif text == "disconnects":
            a.stream.end_stream()
            await self.ended(a)
        elif text == "drops":
            a.sm_in = a.stream.sm_in if a.stream.sm else None
            a.stream.link.abort()
            a.stream.me = None
        elif text == "stops acking":
            a.stream.sm_acks = False
        elif text.startswith("skips to "):
            await self.skips_to(a, parse(self.names.expand(text.removeprefix("skips to "), False)))
        elif text == "ignores the rest":
            a.ignores = True
        elif text == "is heard by all":
            await self.barrier(a)
            await asyncio.sleep(self.server.settle_s)
        elif text == "forgets":
            await self.barrier(a)
            a.stream.items.clear()
        elif re.fullmatch(r"and [\w/-]+ are friends", text):
            await self.are_friends(a, self.actor(text.split()[1]))
        else:
            raise Mistake(f"not understood: {a.name} {text}")

    async def skips_to(self, a, pattern):
        """Whatever comes before is not of interest."""
        while True:
            item = await a.stream.take(self.options.patience)
            if item is None or item is GONE and pattern is not GONE:
                raise Failure(f"{a.name} never got it")
            why, found = match(pattern, item, self.names.values)
            if not why:
                self.names.values.update(found)
                return

    async def connects(self, a, how):
        over = re.search(r"over (tls|websocket)", how)
        mechanism = re.search(r"with ([A-Z0-9-]+)", how)
        if a.stream and not a.stream.link.gone:
            a.stream.link.abort()
        stream = await xmpp.log_in(self.server, a.user, PASSWORD, a.resource, over[1] if over else "starttls",
                                   mechanism[1] if mechanism else None)
        a.adopt(stream)
        self.names.values[a.name + ".jid"] = stream.me

    async def raw_connects(self, a, how):
        if a.stream:
            a.stream.link.abort()
        if how == "over websocket":
            ws = await xmpp.WebSocket.open("127.0.0.1", self.server.websocket_port, self.server.websocket_path,
                                           self.server.domain,
                                           self.server.client_tls() if self.server.websocket_tls else None)
            a.adopt(Stream(ws, framed=True))
        elif how in ("over tls", "over tls with alpn"):
            context = self.server.client_tls()
            if how.endswith("alpn"):
                context.set_alpn_protocols(["xmpp-client"])
            link = await xmpp.link_open("127.0.0.1", self.server.tls_port, context, self.server.domain)
            a.adopt(Stream(link))
            if how.endswith("alpn") and link.tls().selected_alpn_protocol() != "xmpp-client":
                raise Failure("the server did not select xmpp-client by ALPN (XEP-0368 §4)")
        elif not how:
            a.adopt(Stream(await xmpp.link_open("127.0.0.1", self.server.port)))
        elif how == "securely":
            stream, features = await xmpp.connect(self.server)
            stream.features = features
            a.adopt(stream)
        else:
            raise Mistake(f"not understood: connects {how}")

    async def starts_tls(self, a):
        """The handshake; <proceed/> has been heard."""
        await a.stream.link.start_tls(self.server.client_tls(), self.server.domain)
        a.stream.restart()

    async def is_available(self, a, how):
        """Initial presence, and quiet between the account's own devices."""
        priority = re.search(r"with priority (-?\d+)", how)
        inner = f"<priority>{priority[1]}</priority>" if priority else ""
        a.say(f"<presence>{inner}</presence>")
        bare = a.stream.me.split("/")[0]
        for other in list(self.actors.values()):
            if not other.bound() or other.stream.me.split("/")[0] != bare:
                continue
            await self.barrier(other)
            other.stream.items = collections.deque(
                i for i in other.stream.items
                if not self.quiet(i, bare, other is a))

    @staticmethod
    def quiet(item, bare, self_too):
        """Available presence among one's own devices, and the optional word
        of a contact who is not there (RFC 6121 §4.3.2, third rule)."""
        if local(item) != "presence":
            return False
        sender, kind = item.get("from") or "", item.get("type")
        return kind is None and sender.split("/")[0] == bare or self_too and kind == "unavailable" and "/" not in sender

    async def is_seen_as_administrator(self, a):
        """Another worker than the one that did it is told of it a moment later."""
        for _ in range(100):
            answer = await a.stream.ask("get", "<query xmlns='http://jabber.org/protocol/disco#items'"
                                               " node='http://jabber.org/protocol/commands'/>", to=self.server.domain)
            if any("#add-user" in (item.get("node") or "") for item in answer.iter()):
                return
            await asyncio.sleep(0.05)
        raise Failure(f"{a.name} is no administrator")

    async def are_friends(self, a, b):
        """Each subscribed to the other, and nothing left to hear of it. Both
        are kept from seeing the ceremony, so it runs on streams of its own."""
        one = await xmpp.log_in(self.server, a.user, PASSWORD, "ceremony")
        two = await xmpp.log_in(self.server, b.user, PASSWORD, "ceremony")
        me, you = one.me.split("/")[0], two.me.split("/")[0]
        for asker, target, approver, approved in ((one, you, two, me), (two, me, one, you)):
            asker.send(f"<presence xmlns='jabber:client' type='subscribe' to='{target}'/>")
            await asker.ask("get", "<query xmlns='jabber:iq:roster'/>")
            for _ in range(200):
                approver.send(f"<presence xmlns='jabber:client' type='subscribed' to='{approved}'/>")
                answer = await asker.ask("get", "<query xmlns='jabber:iq:roster'/>")
                item = answer.find(f".//{{jabber:iq:roster}}item[@jid='{target}']")
                if item is not None and item.get("subscription") in ("to", "both"):
                    break
                await asyncio.sleep(0.01)
            else:
                raise Failure(f"{me} could not be subscribed to {you}")
        await asyncio.sleep(self.server.settle_s)
        for s in (one, two):
            s.end_stream()
            await s.take_where(lambda i: i is GONE or i is CLOSE)
            s.link.abort()
        for x in self.actors.values():
            if x.bound() and x.account in (a.account, b.account):
                await self.barrier(x)
                x.stream.items.clear()

    async def ended(self, a):
        deadline = time.monotonic() + self.options.patience
        while time.monotonic() < deadline:
            item = await a.stream.take(self.options.patience)
            if item is None:
                break
            if item is CLOSE or item is GONE or item.tag == f"{{{xmpp.NS_FRAMING}}}close":
                a.stream.link.close()
                a.stream.me = None
                return
        raise Failure("the server did not close the stream in turn (RFC 6120 §4.4)")

    async def server_does(self, text):
        if text in ("is its own",):
            return
        action = {"restarts": self.server.restart, "is killed": self.killed, "stops": self.server.stop,
                  "starts": self.server.start}.get(text)
        if not action:
            raise Mistake(f"not understood: server {text}")
        await asyncio.get_running_loop().run_in_executor(None, action)
        for a in self.actors.values():
            if a.stream:
                a.sm_in = a.stream.sm_in if a.stream.sm else None
                a.stream.me = None

    def killed(self):
        self.server.kill9()
        self.server.start()

    def check(self, text):
        """check caps {ver} of ACTOR: the hash of its last disco#info answer."""
        text = self.names.expand(text, True)
        m = re.fullmatch(r"(.+) differs from (.+)", text)
        if m:
            if m[1] == m[2]:
                raise Failure(f"both are {m[1]}")
            return
        m = re.fullmatch(r"caps (\S+) of (\S+)", text)
        if not m:
            raise Mistake(f"not understood: check {text}")
        got = caps_of(self.actor(m[2]).last)
        if got != m[1]:
            raise Failure(f"the answer hashes to {got}, announced was {m[1]} (XEP-0115 §5.1)")

    # -- the web --

    async def web_step(self, step):
        text = self.names.expand(step.text, step.kind == "send")
        if step.kind == "send":
            method, path = text.split(None, 1)
            request = f"{method} {path} HTTP/1.1\r\nHost: {self.server.domain}\r\nConnection: close\r\n\r\n"
            tls = self.server.client_tls() if self.server.web_tls else None
            self.web, _, writer = await xmpp.http_request("127.0.0.1", self.server.web_port, request.encode(), tls,
                                                          self.server.domain)
            writer.close()
            self.log.append(f"web< {self.web.status} {self.web.headers} {self.web.body[:500]!r}")
            return
        reply = self.web
        if text.startswith("status "):
            if reply.status != int(text[7:]):
                raise Failure(f"the status is {reply.status}")
        elif text.startswith("header "):
            key, _, value = text[7:].partition(":")
            if match_text(value.strip(), reply.headers.get(key.strip().lower(), ""), self.names.values) is None:
                raise Failure(f"{key} is {reply.headers.get(key.strip().lower())!r}")
        elif text.startswith("json "):
            why = json_fits(json.loads(text[5:]), json.loads(reply.body), self.names.values)
            if why:
                raise Failure(f"{why} in {reply.body[:1000].decode()}")
        else:
            import xml.etree.ElementTree as ET
            why, found = match(parse(text), ET.fromstring(reply.body), self.names.values, step.strict)
            if why:
                raise Failure(f"{why} in {reply.body[:1000].decode()}")
            self.names.values.update(found)


def json_fits(expected, got, names):
    if isinstance(expected, dict):
        if not isinstance(got, dict):
            return "an object was expected"
        for k, v in expected.items():
            why = json_fits(v, got[k], names) if k in got else f"no {k}"
            if why:
                return why
        return None
    if isinstance(expected, list):
        for v in expected:
            if all(json_fits(v, g, names) for g in got):
                return f"nothing like {json.dumps(v)}"
        return None
    if isinstance(expected, str):
        return None if isinstance(got, str) and match_text(expected, got, names) is not None else f"{got!r}"
    return None if expected == got else f"{got!r}, not {expected!r}"


def indent(text):
    return "\n".join("      " + line for line in text.split("\n"))


# ---- all of them ----

class Tally:
    def __init__(self, options):
        self.options = options
        self.passed = self.failed = self.skipped = 0
        self.those = []         # that failed

    def tell(self, script, why, play, seconds):
        known = script.differs.get(self.options.server)
        if why is None:
            self.passed += 1
            note = f"  ({self.options.server} no longer differs: {known})" if known else ""
            print(f"ok    {script.name}{note}")
        elif known:
            self.skipped += 1
            print(f"skip  {script.name}: {self.options.server} differs: {known}")
        else:
            self.failed += 1
            self.those.append(script)
            print(f"FAIL  {script.name}: {script.title}\n      {script.path}: {why}")
        if play and (self.options.verbose and (why is not None or self.options.match != "*")):
            print("".join(f"      | {line}\n" for entry in play.log for line in entry.split("\n")), end="")
        sys.stdout.flush()


async def one(script, server, tag, options, tally):
    play = Play(script, server, tag, options)
    started = time.monotonic()
    why = None
    try:
        await asyncio.wait_for(play.run(), options.limit)
    except (Failure, Mistake) as e:
        why = str(e)
    except asyncio.TimeoutError:
        why = f"took more than {options.limit:g} s"
    except (XMPPError, OSError) as e:
        why = play.names.unmap(f"{type(e).__name__}: {e}")
    except Exception:
        why = traceback.format_exc()
    if why and server.process and server.process.poll() is not None:
        why += "\n      THE SERVER HAS ENDED:\n" + indent(server.tail())
    tally.tell(script, why, play, time.monotonic() - started)


def accounts(scripts, tags):
    return {f"{a}-{tags[s.name]}": PASSWORD for s in scripts for a in s.accounts()}


async def all_of(scripts, options, tally):
    run = os.urandom(2).hex()
    tags = {s.name: f"{run}-{n}" for n, s in enumerate(scripts)}
    shared = [s for s in scripts if not s.alone()]
    if shared:
        server = servers.make(options.server)
        server.add_users(accounts(shared, tags))
        with server:
            places = asyncio.Semaphore(options.jobs)

            async def placed(s):
                async with places:
                    await one(s, server, tags[s.name], options, tally)
            await asyncio.gather(*(placed(s) for s in shared))
            if options.verbose and tally.failed:
                print(indent(server.tail()))
    for s in scripts:
        if s.alone():
            server = servers.make(options.server)
            server.add_users(accounts([s], tags))
            with server:
                await one(s, server, tags[s.name], options, tally)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--server", default="bongsu", choices=sorted(servers.SERVERS))
    p.add_argument("--match", default="*", help="which transcripts, by a pattern of their names")
    p.add_argument("--jobs", "-j", type=int, default=6, help="so many at the same time")
    p.add_argument("--patience", type=float, default=5, help="seconds to wait for something expected")
    p.add_argument("--limit", type=float, default=90, help="seconds for one transcript")
    p.add_argument("--verbose", "-v", action="store_true", help="show what was said")
    p.add_argument("--again", type=int, default=0, help="play those that failed again, so often: across messengers two stanzas of"
                   " different people may overtake each other for a moment")
    p.add_argument("--list", action="store_true", help="only the titles")
    options = p.parse_args()
    scripts = [read(path) for path in sorted(glob.glob(os.path.join(HERE, "*.xmpp")))]
    scripts = [s for s in scripts if any(fnmatch.fnmatch(s.name, m) for m in options.match.split(","))]
    if options.list:
        print("\n".join(f"{s.name:44} {s.title}" for s in scripts))
        return 0
    why = servers.SERVERS[options.server].missing()
    if why:
        print(f"skip  all: {why}\n0 passed, 0 failed, {len(scripts)} skipped")
        return 77
    tally = Tally(options)
    asyncio.run(all_of(scripts, options, tally))
    for _ in range(options.again):
        if tally.those:
            print(f"again {len(tally.those)}")
            once_more = Tally(options)
            asyncio.run(all_of(tally.those, options, once_more))
            tally.passed += once_more.passed
            tally.failed, tally.those = once_more.failed, once_more.those
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
