#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""profiles.py: promise 4: whatever breaks, nobody sees a profile that is meant for others.

    tests/fault/profiles.py [--server bongsu|bongsu-postgresql|bongsu-three] [--rounds 40]

The model is small: who sees which profile, and until when. Everything in a profile bears its mark, so everything that reaches a viewer,
by whatever door, is searched for marks; the only ones allowed are those of the profile that was this viewer's while the question was
under way. No mark at all is the minimal profile. Played are every door, for every viewer, with every fault: a read that fails
(each one in turn, and all), a change in the middle, a kill -9, and (bongsu-three) changes through one messenger seen
through another, with the bus between them and without it.

The hash in presence comes by itself, and on its way through another messenger it may be slow. So each presence of the owner has a number in its
status, and what comes with it may show what was the viewer's at any moment since it was sent, and nothing else.
"""
import argparse
import asyncio
import base64
import hashlib
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import Failure, check                                           # noqa: E402

OWNER, VIEWERS, PASSWORD = "alice", ("bob", "carol", "dave"), "secret"      # dave is no contact
PROFILES = "urn:bongsu:profiles:0"
PUBSUB = "http://jabber.org/protocol/pubsub"
NICK, METADATA, DATA, VCARD4 = ("http://jabber.org/protocol/nick", "urn:xmpp:avatar:metadata", "urn:xmpp:avatar:data", "urn:xmpp:vcard4")
CAPS = ["urn:example:profiles-test"] + [n + "+notify" for n in (NICK, METADATA, VCARD4)]


def mark(kind, number):
    return f"{kind}-of-{number}-{PROFILES}"


def picture(number):
    return mark("photo", number).encode()


def picture_id(number):
    return hashlib.sha1(picture(number)).hexdigest()


def picture_text(number):
    return base64.b64encode(picture(number)).decode()


SIGNS = {n: (mark("name", n), mark("status", n), picture_id(n), picture_text(n)) for n in range(4)}


def seen(text):
    """The profiles that show in it."""
    return {n for n, signs in SIGNS.items() if any(s in text for s in signs)}


class Model:
    """Who may see what: a viewer's profiles during a stretch of time are those in force at any moment of it."""

    def __init__(self):
        self.now = {v: {0} for v in VIEWERS}        # two while a change is under way
        self.open = []                              # questions under way: [viewer, allowed]
        self.history = []
        self.shown = {}                             # the owner's presences: {status: {viewer: allowed}}
        self.hashes = 0                             # how many told the hash of a photo
        self.views = self.minimal = 0
        self.doors = {}

    def begin(self, viewer):
        question = [viewer, set(self.now[viewer])]
        self.open.append(question)
        return question

    def changing(self, viewer, number):
        self.now[viewer].add(number)
        for q in self.open:
            if q[0] == viewer:
                q[1].add(number)
        for allowed in self.shown.values():
            allowed[viewer].add(number)

    def changed(self, viewer, number):
        self.now[viewer] = {number}

    def show(self):
        """The status of the owner's next presence."""
        status = f"presence {len(self.shown)}"
        self.shown[status] = {v: set(self.now[v]) for v in VIEWERS}
        return status

    def presence(self, viewer, element, allowed, fault):
        status = element.find("{jabber:client}status")
        allowed = self.shown.get(status.text, {}).get(viewer) if status is not None and status.text in self.shown else allowed
        hashed = element.find("{vcard-temp:x:update}x/{vcard-temp:x:update}photo")
        self.hashes += hashed is not None and bool(hashed.text)
        self.judge(viewer, allowed, "presence", element, fault)

    def end(self, question, door, element, fault):
        self.open.remove(question)
        self.judge(question[0], question[1], door, element, fault)

    def judge(self, viewer, allowed, door, element, fault):
        text = xmpp.show(element)
        there = seen(text)
        self.views += 1
        self.minimal += not there
        self.doors[door] = self.doors.get(door, 0) + 1
        check(there <= allowed, f"{viewer} saw profile {sorted(there)} by {door} while {fault}; theirs is {sorted(allowed)}"
              f" (last: {', '.join(self.history[-6:])}):\n{text[:1500]}")


def items(node, inner=""):
    return f"<pubsub xmlns='{PUBSUB}'><items node='{node}'>{inner}</items></pubsub>"


DOORS = {
    "vcard-temp": "<vCard xmlns='vcard-temp'/>",
    "vCard4": items(VCARD4),
    "nick": items(NICK),
    "avatar metadata": items(METADATA),
    "avatar data": items(DATA),
    "avatar data by id": items(DATA, "".join(f"<item id='{picture_id(n)}'/>" for n in range(4))),
    "ids of avatars": f"<query xmlns='http://jabber.org/protocol/disco#items' node='{DATA}'/>",
    "what is said of a node": f"<query xmlns='http://jabber.org/protocol/disco#info' node='{METADATA}'/>",
    "nodes": "<query xmlns='http://jabber.org/protocol/disco#items'/>",
    "profile": f"<profile xmlns='{PROFILES}'/>",
}


async def look(model, viewer, stream, owner, door, fault):
    question = model.begin(viewer)
    answer = await stream.ask("get", DOORS[door], owner, 20)
    model.end(question, door, answer, fault)


async def subscribe(model, viewer, stream, owner, fault):
    """Who subscribes is sent the last item; sweep judges it when it comes."""
    own = viewer + owner[owner.index("@"):]
    for node in (NICK, METADATA, VCARD4):
        for verb in ("subscribe", "unsubscribe"):
            question = model.begin(viewer)
            answer = await stream.ask("set", f"<pubsub xmlns='{PUBSUB}'><{verb} node='{node}' jid='{own}'/></pubsub>", owner, 20)
            model.end(question, verb, answer, fault)


def sweep(model, viewer, stream, fault, allowed=None):
    """What came by itself: news, last items, presence."""
    for item in list(stream.items):
        if item is xmpp.GONE or item is xmpp.CLOSE or (xmpp.local(item) == "iq" and item.get("type") != "get"):
            continue        # answers belong to those who asked
        stream.items.remove(item)
        if xmpp.local(item) == "iq" and item.get("type") == "get":
            answer_caps(stream, item)
        elif xmpp.local(item) == "presence":
            model.presence(viewer, item, allowed or model.now[viewer], fault)
        else:
            model.judge(viewer, allowed or model.now[viewer], "news", item, fault)


def caps_hash():
    s = "client/pc//<" + "".join(f + "<" for f in sorted(CAPS))
    return base64.b64encode(hashlib.sha1(s.encode()).digest()).decode()


def answer_caps(stream, ask):
    query = ask.find("{http://jabber.org/protocol/disco#info}query")
    if query is None:
        return
    features = "".join(f"<feature var='{f}'/>" for f in CAPS)
    stream.send(f"<iq type='result' id='{ask.get('id')}' to='{ask.get('from')}'><query xmlns='http://jabber.org/protocol/disco#info'"
                f" node='{query.get('node')}'><identity category='client' type='pc'/>{features}</query></iq>")


def appear(stream, status=""):
    stream.send(f"<presence>{status and '<status>' + status + '</status>'}<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://client.example'"
                f" ver='{caps_hash()}'/></presence>")


async def fence(stream):
    await stream.ask("get", "<ping xmlns='urn:xmpp:ping'/>", None, 20)


async def befriend(a, b, bare_a, bare_b):
    for s in (a, b):
        await s.ask("get", "<query xmlns='jabber:iq:roster'/>")
        s.send("<presence/>")
    for x, y, bx, by in ((a, b, bare_a, bare_b), (b, a, bare_b, bare_a)):
        x.send(f"<presence type='subscribe' to='{by}'/>")
        await y.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "presence" and i.get("type") == "subscribe", 20)
        y.send(f"<presence type='subscribed' to='{bx}'/>")
        await x.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "presence" and i.get("type") == "subscribed", 20)


async def must(stream, payload):
    answer = await stream.ask("set", payload, None, 30)
    check(answer.get("type") == "result", "the owner was refused: " + xmpp.show(answer))


def publish(node, ident, payload):
    return f"<pubsub xmlns='{PUBSUB}'><publish node='{node}'><item id='{ident}'>{payload}</item></publish></pubsub>"


async def set_basic(owner):
    await must(owner, f"<vCard xmlns='vcard-temp'><FN>{mark('name', 0)}</FN><DESC>{mark('status', 0)}</DESC>"
               f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{picture_text(0)}</BINVAL></PHOTO></vCard>")
    await must(owner, publish(NICK, "current", f"<nick xmlns='{NICK}'>{mark('name', 0)}</nick>"))
    await must(owner, publish(VCARD4, "current", "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'>"
                              f"<fn><text>{mark('name', 0)}</text></fn><note><text>{mark('status', 0)}</text></note></vcard>"))
    await must(owner, f"<profile xmlns='{PROFILES}' number='0'><status>{mark('status', 0)}</status></profile>")


async def set_profile(owner, n):
    await must(owner, f"<profile xmlns='{PROFILES}' number='{n}'><name>{mark('name', n)}</name><status>{mark('status', n)}</status>"
               f"<photo type='image/png'>{picture_text(n)}</photo>"
               f"<background type='image/png'>{picture_text(n)}</background></profile>")


async def give(model, owner, viewer, domain, number):
    model.changing(viewer, number)
    model.history.append(f"{viewer} is given {number}")
    await must(owner, f"<audience xmlns='{PROFILES}' number='{number}'><viewer jid='{viewer}@{domain}'/></audience>")
    model.changed(viewer, number)


class Town:
    """A server, the owner and the viewers; `place` says through which messenger each comes in."""

    def __init__(self, server):
        self.server = server
        self.model = Model()
        self.streams = {}
        self.fault = "all is well"

    async def enter(self, name, resource="home"):
        s = await xmpp.log_in(self.server, name, PASSWORD, resource, "tls")
        appear(s)
        return s

    async def come(self, names=(OWNER,) + VIEWERS):
        for n in names:
            self.streams[n] = await self.enter(n)

    def leave(self):
        for s in self.streams.values():
            s.link.abort()
        self.streams = {}

    @property
    def owner_bare(self):
        return f"{OWNER}@{self.server.domain}"

    async def settle(self, strict=True):
        """Everything that was on its way has come; from here on only what is true now may be seen."""
        for v in VIEWERS:
            if v in self.streams:
                sweep(self.model, v, self.streams[v], self.fault)
                await fence(self.streams[v])
                sweep(self.model, v, self.streams[v], self.fault)

    async def look_everywhere(self, fault):
        self.fault = fault
        for v in VIEWERS:
            for door in DOORS:
                await look(self.model, v, self.streams[v], self.owner_bare, door, fault)
            await subscribe(self.model, v, self.streams[v], self.owner_bare, fault)
        self.streams[OWNER].send(f"<presence><nick xmlns='{NICK}'>{mark('name', 0)}</nick>"
                                 f"<x xmlns='vcard-temp:x:update'><photo>{picture_id(0)}</photo></x></presence>")
        await fence(self.streams[OWNER])
        for v in VIEWERS:
            phone = await self.enter(v, "phone")
            await fence(phone)
            sweep(self.model, v, phone, fault)
            await fence(phone)
            sweep(self.model, v, phone, fault)
            phone.link.abort()
        await self.settle()


async def prepare(town):
    server, model = town.server, town.model
    domain = server.domain
    await town.come()
    for v in VIEWERS[:2]:
        await befriend(town.streams[OWNER], town.streams[v], f"{OWNER}@{domain}", f"{v}@{domain}")
    for s in town.streams.values():
        appear(s)
        await fence(s)
        s.items.clear()
    owner = town.streams[OWNER]
    for n in (1, 2, 3):
        await set_profile(owner, n)
    await give(model, owner, "bob", domain, 1)
    await give(model, owner, "carol", domain, 2)
    await set_basic(owner)          # nobody of them may hear of it
    await town.settle()


async def change_while_looking(town, rounds):
    """The owner moves viewers between profiles and changes the basic one, while they ask all the time."""
    town.fault = "changes were under way"
    over = False

    async def watch(v):
        doors = list(DOORS)
        while not over:
            await look(town.model, v, town.streams[v], town.owner_bare, random.choice(doors), town.fault)

    watchers = [asyncio.create_task(watch(v)) for v in VIEWERS[:2]]
    owner = town.streams[OWNER]
    for i in range(rounds):
        v = random.choice(VIEWERS[:2])
        before = set(town.model.now[v])
        number = random.choice([0, 1, 2, 3])
        await give(town.model, owner, v, town.server.domain, number)
        sweep(town.model, v, town.streams[v], town.fault, before | {number})
        await fence(town.streams[v])
        sweep(town.model, v, town.streams[v], town.fault, before | {number})
        appear(owner, town.model.show())
        if i % 5 == 0:
            await set_basic(owner)
    over = True
    await asyncio.gather(*watchers)
    await town.settle()


def arm(server, text):
    server.environment = lambda: {"BONGSU_FAULT": text} if text else {}


async def on_one_machine(town, rounds):
    server = town.server
    await prepare(town)
    await town.look_everywhere("all was well")
    await change_while_looking(town, rounds)
    await hashes_come(town, town.enter)
    for v, number in (("bob", 1), ("carol", 0)):
        before = town.model.now[v] | {number}
        await give(town.model, town.streams[OWNER], v, server.domain, number)
        await fence(town.streams[v])
        sweep(town.model, v, town.streams[v], town.fault, before)
        await town.settle()
    for how in [""] + [f"profile.read={n}:io" for n in (1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 17, 22, 30)] + ["profile.read=0:io", ""]:
        town.leave()
        server.kill9()
        arm(server, how)
        server.start()
        await town.come()
        for s in town.streams.values():
            await fence(s)
        await town.look_everywhere(f"after kill -9, with the fault {how or 'none'}")


def hash_in(item):
    photo = None if item is xmpp.GONE or xmpp.local(item) != "presence" else item.find("{vcard-temp:x:update}x/{vcard-temp:x:update}photo")
    return photo.text if photo is not None else None


async def hash_comes(town, viewer, number, stream=None):
    """Nobody moves any more: within a bound the viewer is told the hash of their own profile, by presence, and of no other."""
    own, stream = stream is None, stream or town.streams[viewer]
    if own:
        stream.items.clear()
        appear(town.streams[OWNER], town.model.show())
    deadline = asyncio.get_running_loop().time() + 30
    while not any(hash_in(i) == picture_id(number) for i in stream.items):
        check(asyncio.get_running_loop().time() < deadline, f"{viewer} was never told the hash of profile {number}: "
              + "\n".join(xmpp.show(i) for i in stream.items if i is not xmpp.GONE)[-1500:])
        for i in [i for i in stream.items if i is not xmpp.GONE and xmpp.local(i) == "iq" and i.get("type") == "get"]:
            stream.items.remove(i)
            answer_caps(stream, i)
        await asyncio.sleep(0.05)
    sweep(town.model, viewer, stream, town.fault)


async def hashes_come(town, enter):
    """The door is open: to devices that are there, and to one that comes."""
    for v, number in (("bob", 1), ("carol", 0), ("bob", 3)):
        await give(town.model, town.streams[OWNER], v, town.server.domain, number)
        await hash_comes(town, v, number)
    phone = await enter("bob", "phone")
    await hash_comes(town, "bob", 3, phone)
    phone.link.abort()


async def enter_at(town, name, node, resource="home"):
    s = await xmpp.log_in(node, name, PASSWORD, resource, "tls")
    appear(s)
    return s


async def on_three(town, rounds):
    """The owner is at the first messenger, the viewers at the others, whose memory is older than what the owner has just changed."""
    server = town.server
    await prepare(town)
    town.leave()
    town.streams[OWNER] = await enter_at(town, OWNER, server.nodes[0])
    for i, v in enumerate(VIEWERS):
        town.streams[v] = await enter_at(town, v, server.nodes[1 + i % 2])
    for s in town.streams.values():
        await fence(s)
    for bus in ("the bus between messengers", "no bus between messengers"):
        for i in range(rounds):
            v, number = random.choice(VIEWERS[:2]), random.choice([0, 1, 2, 3])
            before = set(town.model.now[v])
            await give(town.model, town.streams[OWNER], v, server.domain, number)
            if i % 5 == 0:
                await set_basic(town.streams[OWNER])
            appear(town.streams[OWNER], town.model.show())
            for door in random.sample(list(DOORS), 4):      # at once: nothing has had time to come
                await look(town.model, v, town.streams[v], town.owner_bare, door, bus)
            await asyncio.sleep(0.2)                        # what was on its way when it changed
            sweep(town.model, v, town.streams[v], bus, before | {number})
        if server.nats:
            town.fault = bus
            await hashes_come(town, lambda name, resource: enter_at(town, name, server.nodes[2], resource))
            server.end_nats()
            await asyncio.sleep(1)
    town.fault = bus


async def play(server, name, rounds):
    town = Town(server)
    await (on_three if name == "bongsu-three" else on_one_machine)(town, rounds)
    town.leave()
    return town.model


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", default="bongsu", choices=["bongsu", "bongsu-postgresql", "bongsu-three"])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    why = servers.SERVERS[options.server].missing()
    if why:
        print(f"skip  {why}\n0 passed, 0 failed, 1 skipped")
        return 77
    random.seed(options.seed)
    server = servers.make(options.server)
    try:
        server.add_users({n: PASSWORD for n in (OWNER,) + VIEWERS})
        server.start()
        model = asyncio.run(play(server, options.server, options.rounds))
        print("      " + ", ".join(f"{d}: {n}" for d, n in sorted(model.doors.items())))
        print(f"ok    {model.views} views through {len(model.doors)} doors, {model.minimal} of them without any profile's mark, "
              f"{model.hashes} hashes in presence: none of a profile that was another's")
        print("1 passed, 0 failed, 0 skipped")
    except Failure as e:
        print(f"FAIL  {e}\n      --seed {options.seed}\n{server.tail()[-1500:]}")
        print("0 passed, 1 failed, 0 skipped")
        return 1
    finally:
        server.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
