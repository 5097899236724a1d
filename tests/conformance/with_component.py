#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_component.py: components (XEP-0114): Slixmpp's own, as gateways are built on it, and a bare socket for all that must be refused.
Played with one messenger, and with three over one database where there is PostgreSQL (tools/with-postgres)."""
import argparse
import asyncio
import os
import subprocess
import sys

from checks import PASSWORD, Checks, servers

import xmpp
from component import NS, Component, open_doors

IRC, SMS = f"irc.{servers.DOMAIN}", f"sms.{servers.DOMAIN}"
ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
PING = "<ping xmlns='urn:xmpp:ping'/>"
ROSTER = "<query xmlns='jabber:iq:roster'/>"
EXTRA = "talk.login_time_max = 4s\n"
STANZA_ERRORS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"


def client(name):
    return f"{{jabber:client}}{name}"


def missing():
    try:
        import slixmpp      # noqa: F401
        return None
    except ImportError:
        return "the package python3-slixmpp is not installed"


# ---- people ----

async def enter(server, name, resource="home"):
    s = await xmpp.log_in(server, name, PASSWORD, resource)
    await s.ask("get", ROSTER)
    s.send("<presence/>")
    await take(s, "presence", sender=s.me)
    return s


async def take(s, name, seconds=20, **attrs):
    wanted = {{"kind": "type", "sender": "from"}.get(k, k): v for k, v in attrs.items()}
    return await s.take_where(lambda i: i not in (xmpp.CLOSE, xmpp.GONE) and i.tag == client(name)
                              and all(i.get(k) == v for k, v in wanted.items()), seconds)


async def hear(s, words):
    return await s.take_where(lambda i: i not in (xmpp.CLOSE, xmpp.GONE) and i.findtext(client("body")) == words, 20)


def error_of(item):
    """(type, condition)"""
    error = None if item is None else next((e for e in item if xmpp.local(e) == "error"), None)
    return None if error is None else (error.get("type"), next((xmpp.local(e) for e in error if e.tag.startswith(STANZA_ERRORS)), None))


async def eventually(promise, seconds=20):
    """What the messengers tell each other takes a moment."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        answer = await promise()
        if answer or asyncio.get_running_loop().time() > deadline:
            return answer
        await asyncio.sleep(0.1)


async def listed(s):
    items = await s.ask("get", ITEMS, servers.DOMAIN, 20)
    return [i.get("jid") for i in items.iter("{http://jabber.org/protocol/disco#items}item")]


async def is_listed(people, domain, yes=True):
    """By whichever messenger each of them is connected to."""
    async def all_say():
        return all([(domain in await listed(s)) == yes for s in people])
    return await eventually(all_say)


AWAY = ("wait", "remote-server-timeout")


async def while_it_is_away(checks, alice):
    answer = await alice.ask("get", PING, IRC, 20)
    checks.check("while it is away, a question is answered with remote-server-timeout", error_of(answer) == AWAY, xmpp.show(answer))
    alice.send(f"<message to='bob@{IRC}' type='chat' id='away1'><body>anyone?</body></message>")
    checks.check("and a message", error_of(await take(alice, "message", id="away1")) == AWAY)
    alice.send(f"<presence to='#room@{IRC}/alice' id='away2'/>")
    checks.check("and who enters a room there", error_of(await take(alice, "presence", id="away2")) == AWAY)
    alice.send(f"<presence type='probe' to='{IRC}' id='away3'/>")
    checks.check("and who asks for its presence", error_of(await take(alice, "presence", kind="error", sender=IRC)) == AWAY)
    checks.check("and the domain does not list it", IRC not in await listed(alice))


# ---- Slixmpp's component ----

class Gateway:
    """What happened to it, to wait for."""

    def __init__(self, node):
        import slixmpp
        self.events = asyncio.Queue()
        self.kept = []
        c = self.component = slixmpp.ComponentXMPP(IRC, "irc-secret", "127.0.0.1", node.component_port)
        c.auto_authorize = c.auto_subscribe = None
        for plugin in ("xep_0030", "xep_0199", "xep_0092"):
            c.register_plugin(plugin)
        for name in ("session_start", "message", "presence_subscribe", "presence_subscribed", "presence_available", "presence_unavailable",
                     "presence_probe", "presence_error", "message_error", "disconnected"):
            c.add_event_handler(name, lambda e, name=name: self.events.put_nowait((name, e)))

    async def next(self, name, fits=lambda e: True, seconds=20):
        """The first of that name; what else came stays."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            for n, (kind, e) in enumerate(self.kept):
                if kind == name and fits(e):
                    del self.kept[n]
                    return e if e is not None else True
            try:
                self.kept.append(await asyncio.wait_for(self.events.get(), max(0.001, deadline - asyncio.get_running_loop().time())))
            except asyncio.TimeoutError:
                return None

    async def log_in(self):
        self.component.connect()
        return await self.next("session_start")

    def presence(self, to, kind, sender=IRC):
        self.component.send_presence(pto=to, ptype=kind, pfrom=sender)


async def chats(checks, gateway, alice):
    someone = f"bob#town@{IRC}"
    alice.send(f"<message to='{someone}' type='chat' id='c1'><body>안녕 &lt;bob&gt;</body></message>")
    m = await gateway.next("message", lambda m: m["body"] == "안녕 <bob>")
    checks.check("a message to anybody at its domain reaches it", m and m["to"].full == someone and m["from"].full == alice.me)
    gateway.component.send_message(mfrom=f"{someone}/nick", mto=alice.me, mbody="hello alice", mtype="chat")
    got = await hear(alice, "hello alice")
    checks.check("it writes as anybody at its domain", got is not None and got.get("from") == f"{someone}/nick")
    for i in range(100):
        gateway.component.send_message(mfrom=someone, mto=alice.me.split("/")[0], mbody=f"n{i}", mtype="chat")
    in_order = []
    for i in range(100):
        got = await alice.take_where(lambda i: i not in (xmpp.CLOSE, xmpp.GONE) and (i.findtext(client("body")) or "").startswith("n"), 20)
        in_order.append(got is not None and got.findtext(client("body")))
    checks.check("a hundred arrive in order", in_order == [f"n{i}" for i in range(100)], in_order)
    gateway.component.send_message(mfrom=someone, mto=f"nobody@{servers.DOMAIN}", mbody="?", mtype="chat")
    checks.check("for somebody whom nobody knows it gets an error",
                 await gateway.next("message_error", lambda m: m["from"].bare == f"nobody@{servers.DOMAIN}") is not None)


async def waits_for_who_is_away(server, checks, gateway, alice):
    gateway.component.send_message(mfrom=f"bob@{IRC}", mto=f"carol@{servers.DOMAIN}", mbody="while you were out", mtype="chat")
    gateway.component.send_message(mfrom=f"bob@{IRC}", mto=alice.me, mbody="and behind it", mtype="chat")
    checks.check("who is there hears what was written later", await hear(alice, "and behind it") is not None)      # so the first is stored
    carol = await enter(server, "carol")
    got = await hear(carol, "while you were out")
    checks.check("what it writes waits for who is away", got is not None and got.find("{urn:xmpp:delay}delay") is not None)
    carol.link.abort()


async def questions(checks, gateway, alice):
    answer = await alice.ask("get", PING, IRC, 20)
    checks.check("a question is answered by it", answer.get("type") == "result" and answer.get("from") == IRC, xmpp.show(answer))
    answer = await alice.ask("get", INFO, IRC, 20)
    checks.check("it says what it is", answer.find(".//{http://jabber.org/protocol/disco#info}identity") is not None, xmpp.show(answer))
    await gateway.component["xep_0199"].ping(servers.DOMAIN, timeout=20)
    info = await gateway.component["xep_0030"].get_info(jid=servers.DOMAIN, ifrom=IRC, timeout=20)
    checks.check("it asks the server", "urn:xmpp:ping" in info["disco_info"]["features"])
    asking = asyncio.ensure_future(gateway.component["xep_0092"].get_version(alice.me, ifrom=f"bob@{IRC}", timeout=20))
    q = await take(alice, "iq", kind="get")
    alice.send(f"<iq type='result' id='{q.get('id')}' to='{q.get('from')}'><query xmlns='jabber:iq:version'><name>hers</name></query></iq>")
    checks.check("it asks a device", (await asking)["software_version"]["name"] == "hers")


async def contacts(server, checks, gateway, alice):
    me = alice.me.split("/")[0]
    alice.send(f"<presence type='subscribe' to='{IRC}'/>")
    asked = await gateway.next("presence_subscribe")
    checks.check("it is asked to be a contact", asked and asked["from"].bare == me and asked["to"].full == IRC)
    gateway.presence(me, "subscribed")
    gateway.presence(me, "subscribe")
    ask = await take(alice, "presence", kind="subscribe", sender=IRC)
    checks.check("and asks back", ask is not None)
    alice.send(f"<presence type='subscribed' to='{IRC}'/>")
    p = await gateway.next("presence_available", lambda p: p["from"].full == alice.me)
    checks.check("then it sees who is there", p is not None)
    gateway.presence(me, None)
    checks.check("and is seen", await take(alice, "presence", sender=IRC, kind=None) is not None)
    roster = await alice.ask("get", ROSTER)
    item = next((i for i in roster.iter("{jabber:iq:roster}item") if i.get("jid") == IRC), None)
    checks.check("the contact list has it both ways", item is not None and item.get("subscription") == "both", xmpp.show(roster))

    phone = await enter(server, "alice", "phone")
    asked = await gateway.next("presence_probe", lambda p: p["from"].full == phone.me)
    p = await gateway.next("presence_available", lambda p: p["from"].full == phone.me)
    checks.check("a device that comes asks for its presence and shows its own", asked is not None and p is not None)
    phone.link.abort()
    checks.check("and it hears when the device goes", await gateway.next("presence_unavailable", lambda p: p["from"].full == phone.me) is not None)
    gateway.presence(me, "probe")
    checks.check("it asks who is there, as after a restart", await gateway.next("presence_available", lambda p: p["from"].full == alice.me) is not None)


async def rooms(checks, gateway, alice):
    room, someone = f"harbour@rooms.{servers.DOMAIN}", f"bob@{IRC}/irc"
    alice.send(f"<presence to='{room}/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    await take(alice, "presence", sender=f"{room}/alice")
    await alice.ask("set", "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>", room, 20)
    gateway.component.send_raw(f"<presence from='{someone}' to='{room}/bob'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    checks.check("somebody of it enters a room", await take(alice, "presence", sender=f"{room}/bob") is not None)
    alice.send(f"<message to='{room}' type='groupchat' id='g1'><body>ahoy</body></message>")
    m = await gateway.next("message", lambda m: m["body"] == "ahoy")
    checks.check("and hears what is said", m and m["to"].full == someone and m["from"].full == f"{room}/alice")
    gateway.component.send_message(mfrom=someone, mto=room, mbody="aye", mtype="groupchat")
    got = await hear(alice, "aye")
    checks.check("and is heard", got is not None and got.get("from") == f"{room}/bob")


async def among_themselves(checks, gateway, node):
    sms = Component(SMS)
    checks.check("a second one is there too", await sms.log_in(node))
    gateway.component.send_message(mfrom=f"bob@{IRC}", mto=f"+82@{SMS}", mbody="call me", mtype="chat")
    got = await sms.message("call me")
    checks.check("components write to each other", got is not None and got.get("from") == f"bob@{IRC}")
    sms.send(f"<iq type='get' id='q1' from='+82@{SMS}' to='{IRC}'>{PING}</iq>")
    checks.check("and ask each other", await sms.stanza("iq", id="q1", kind="result") is not None)
    sms.send("</stream:stream>")
    checks.check("an end in order is answered in order", await sms.stream.take_where(lambda i: i is xmpp.CLOSE, 20) is not None)


async def gateways(server, checks):
    nodes = getattr(server, "nodes", [server])
    alice = await enter(server, "alice")
    people = [alice] + [await enter(server, name) for name in ("bob", "dave")]      # with three messengers, one is at each
    await while_it_is_away(checks, alice)
    gateway = Gateway(nodes[0])
    checks.check("Slixmpp's component logs in", await gateway.log_in() is not None)
    checks.check("the domain lists it", await is_listed(people, IRC))
    await chats(checks, gateway, alice)
    await waits_for_who_is_away(server, checks, gateway, alice)
    await questions(checks, gateway, alice)
    await contacts(server, checks, gateway, alice)
    await rooms(checks, gateway, alice)
    await among_themselves(checks, gateway, nodes[-1])
    for n, one in enumerate(people):
        one.send(f"<message to='x@{IRC}' type='chat'><body>from {n}</body></message>")
        checks.check(f"heard from messenger {n + 1}", await gateway.next("message", lambda m: m["body"] == f"from {n}") is not None)

    later = Component(IRC)
    checks.check("who connects again with the same name is taken", await later.log_in(nodes[-1]))
    checks.check("and the earlier connection ends", await gateway.next("disconnected") is not None)
    gateway.component.abort()

    async def is_asked():
        alice.send(f"<iq type='get' id='who' to='{IRC}'>{PING}</iq>")
        return await later.stanza("iq", seconds=1, id="who") is not None
    checks.check("what comes is the later one's", await eventually(is_asked))
    alice.send(f"<message to='x@{IRC}' type='chat' id='l1'><body>still there?</body></message>")
    checks.check("messages too", await later.message("still there?") is not None)
    later.close()
    checks.check("when it has gone the domain does not list it", await is_listed(people, IRC, False))
    answer = await alice.ask("get", PING, IRC, 20)
    checks.check("and who asks hears so", error_of(answer) == AWAY, xmpp.show(answer))
    alice.send(f"<message to='harbour@rooms.{servers.DOMAIN}' type='groupchat' id='g2'><body>gone?</body></message>")
    checks.check("who was in a room through it is not any more, once somebody speaks",
                 await take(alice, "presence", kind="unavailable", sender=f"harbour@rooms.{servers.DOMAIN}/bob") is not None)
    checks.check("and who spoke is heard", await hear(alice, "gone?") is not None)
    checks.check("nothing broke the RFCs", not sum((s.breaches for s in people), []), str([s.breaches for s in people]))
    for s in people:
        s.link.abort()


# ---- what must be refused ----

async def refusals(server, checks):
    node = getattr(server, "nodes", [server])[0]

    async def ends(what, condition, sent="", **kwargs):
        c = await Component(SMS).open(node, **kwargs)
        checks.check(f"{what}: a header is answered", c.header is not None)
        c.send(sent)
        got = await c.ended_with()
        checks.check(f"{what}: {condition}", got == condition, got)

    await ends("a name that is not ours", "host-unknown", to="mail.town.example")
    await ends("the domain itself", "host-unknown", to="town.example")
    await ends("no name at all", "host-unknown", to=" ")
    await ends("the stream of a client", "invalid-namespace", ns="jabber:client")
    await ends("a wrong digest", "not-authorized", "<handshake>aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e</handshake>")
    await ends("an empty handshake", "not-authorized", "<handshake/>")
    await ends("a stanza before the handshake", "not-authorized", f"<message from='{SMS}' to='alice@town.example'><body>x</body></message>")
    await ends("something large before the handshake", "policy-violation", f"<handshake>{'a' * 40000}</handshake>")
    await ends("bad XML", "not-well-formed", "<handshake></message>")
    await ends("silence", "connection-timeout")

    c = await Component(SMS).open(node)
    checks.check("the header names the component and an id", c.header.get("from") == SMS and len(c.header.get("id") or "") >= 16
                 and c.header.get("version") is None, str(c.header.attrib))
    c.send(f"<handshake>{c.digest().upper()}</handshake>")
    checks.check("a digest in capitals: not-authorized", await c.ended_with() == "not-authorized")
    first, second = await Component(SMS).open(node), await Component(SMS).open(node)
    second.send(f"<handshake>{first.digest()}</handshake>")
    checks.check("the digest of another stream: not-authorized", await second.ended_with() == "not-authorized")
    first.close()


async def after_log_in(server, checks):
    node = getattr(server, "nodes", [server])[0]

    async def ends(what, condition, sent):
        c = Component(SMS)
        checks.check(f"{what}: it is in", await c.log_in(node))
        c.send(sent)
        got = await c.ended_with()
        checks.check(f"{what}: {condition}", got == condition, got)

    await ends("in the name of one of ours", "invalid-from", "<message from='bob@town.example' to='alice@town.example'><body>x</body></message>")
    await ends("in the name of another component", "invalid-from", f"<message from='{IRC}' to='alice@town.example'><body>x</body></message>")
    await ends("in no name that is one", "invalid-from", f"<message from='@@{SMS}' to='alice@town.example'><body>x</body></message>")
    await ends("with an empty from", "invalid-from", "<message from='' to='alice@town.example'><body>x</body></message>")
    await ends("what is no stanza", "unsupported-stanza-type", "<handshake/>")
    await ends("bad XML after log-in", "not-well-formed", "<message></iq>")

    old, new = Component(SMS), Component(SMS)
    checks.check("it is in, and again", await old.log_in(node) and await new.log_in(node))
    checks.check("the earlier one: conflict", await old.ended_with() == "conflict")
    new.send(f"<message from='{SMS}' to='a@@@b' id='m1'><body>x</body></message>")
    checks.check("an address that cannot be read is answered with jid-malformed",
                 error_of(await new.stanza("message", id="m1")) == ("modify", "jid-malformed"))
    new.send(f"<message from='{SMS}' id='m2'><body>x</body></message>")
    checks.check("one for nobody with bad-request", error_of(await new.stanza("message", id="m2")) == ("modify", "bad-request"))
    new.send(f"<iq to='town.example' id='i0' type='get'>{PING}</iq>")
    checks.check("one of nobody is the component's own", await new.stanza("iq", id="i0", kind="result", to=SMS) is not None)
    new.send(f"<iq from='{SMS}' to='town.example' id='i1' type='get'/>")
    checks.check("a question without content with bad-request", error_of(await new.stanza("iq", id="i1")) == ("modify", "bad-request"))
    new.send(f"<iq from='{SMS}' to='alice@there.example' id='i2' type='get'>{PING}</iq>")
    checks.check("another server, without federation, with remote-server-not-found",
                 error_of(await new.stanza("iq", id="i2")) == ("cancel", "remote-server-not-found"))
    new.send(f"<iq xmlns='{NS}' from='{SMS}' to='town.example' id='i3' type='get'>{PING}</iq>"
             f"<iq xmlns='jabber:client' from='{SMS}' to='town.example' id='i4' type='get'>{PING}</iq>")
    checks.check("who names the namespace on each stanza is heard",
                 await new.stanza("iq", id="i3", kind="result") is not None and await new.stanza("iq", id="i4", kind="result") is not None)
    for n in range(1000):
        new.send(f"<message from='x{n % 7}@{SMS}' to='dave@town.example' type='chat'><body>{n}</body></message>")
    checks.check("a thousand at once hold nobody up", await new.beat())
    new.close()


def rules(server, checks):
    """What the settings may say, and where secrets are never seen."""
    node = getattr(server, "nodes", [server])[0]
    text = open(node.config).read()

    def judged(what, said, *changes):
        path = os.path.join(node.dir, "other.conf")
        with open(path, "w") as f:
            f.write("\n".join(row for row in text.split("\n") if not row.startswith("talk.components") and
                              (not changes or not row.startswith("talk.listen_component"))) + f"\ntalk.components = {what}\n")
        done = subprocess.run([servers.BONGSU, "config", "check", "--config", path], capture_output=True, text=True)
        words = done.stdout + done.stderr
        checks.check(f"config check: {said}", done.returncode != 0 and said in words and "hunter2" not in words, words)

    judged("town.example hunter2", "has a name that is the server's own")
    judged("rooms.town.example hunter2", "has a name that is the server's own")
    judged("irc.town.example hunter2, irc.town.example hunter2", "names somebody who stands there already")
    judged("irc.town.example", "has no secret")
    judged("irc.other.example hunter2", "does not begin with a name below the domain")
    judged("irc.town.example hunter2", "talk.listen_component is not", "no door")
    done = subprocess.run([servers.BONGSU, "config", "check", "--config", node.config], capture_output=True, text=True)
    checks.check("config check: ours are well", done.returncode == 0, done.stdout + done.stderr)
    status = subprocess.run([servers.BONGSU, "status", "--json", "--config", node.config], capture_output=True, text=True).stdout
    log = open(node.log, errors="replace").read()
    checks.check("no secret is in the log, nor in the status", "-secret" not in log + status and "component.connected" in log)


def play(kind):
    checks = Checks(f"component, {kind}")
    why = missing() or servers.SERVERS[kind].missing()
    if why:
        checks.skip("all", why)
        return checks
    server = servers.make(kind, EXTRA)
    open_doors(server, IRC, SMS)
    server.add_users({n: PASSWORD for n in ("alice", "bob", "carol", "dave")})
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with server:
        try:
            loop.run_until_complete(gateways(server, checks))
            loop.run_until_complete(refusals(server, checks))
            loop.run_until_complete(after_log_in(server, checks))
            rules(server, checks)
        except Exception as e:
            import traceback
            traceback.print_exc()
            checks.check("the play came to its end", False, f"{type(e).__name__}: {e}\n{server.tail()}")
    return checks


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--server", choices=["bongsu", "bongsu-three"], help="only this one")
    only = p.parse_args().server
    played = [play(kind) for kind in ([only] if only else ["bongsu", "bongsu-three"])]
    print(f"{sum(c.passed for c in played)} passed, {sum(c.failed for c in played)} failed, {sum(c.skipped for c in played)} skipped", flush=True)
    if any(c.failed for c in played):
        return 1
    return 0 if any(c.passed for c in played) else 77


if __name__ == "__main__":
    sys.exit(main())
