#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""Kills the messenger while people talk in a room, and counts what is missing.

  rooms.py --breaks 60                SIGKILL to talk at random moments
  rooms.py --server bongsu-three      three messengers over one database; each kill meets one of them (tools/with-postgres)

Everybody numbers what they say, resumes after a break (or binds anew, comes in again and reads the room's archive from the last message
they saw), and sends again with the same origin-id what was not counted. At the end everybody's sequence of stanza-ids must be a piece of the
room's archive, whole and in its order. Must be 0: acknowledged messages missing from the archive, messages seen twice, out of order, or never.
"""
import argparse
import asyncio
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crash                                                                # noqa: E402
from crash import CLIENT, NS_MAM, NS_RSM, servers, xmpp           # noqa: E402

NS_SID, NS_MUC = "urn:xmpp:sid:0", "http://jabber.org/protocol/muc"
ROOM = "town"


class Guest(crash.Client):
    """One who is in the room."""

    def __init__(self, server, name, friends, window, rng):
        super().__init__(server, name, [ROOM], window, rng)
        self.everybody = friends + [name]
        self.seen = {f: 0 for f in self.everybody}
        self.heard, self.known = [], set()      # stanza-ids, in order
        self.paged = set()                      # those read from the archive: each may be on its way here, too
        self.again = set()                      # numbers of ours that were sent more than once
        self.caught_up, self.waiting = True, []

    @property
    def room(self):
        return f"{ROOM}@rooms.{self.server.domain}"

    def take_message(self, m):
        if m.get("type") == "error":
            self.take_refusal(m)
        elif m.find(CLIENT + "body") is not None and not self.caught_up:
            self.waiting.append(m)
        elif m.find(CLIENT + "body") is not None:
            sid = m.find(f"{{{NS_SID}}}stanza-id").get("id")
            self.take_said(sid, m.find(CLIENT + "body").text)

    def take_said(self, sid, body, overlap=False):
        sender, number = body.split()
        number = int(number)
        if overlap:
            self.paged.add(sid)
        if sid in self.known:
            if not overlap and sid not in self.paged and not (sender == self.name and number in self.again):
                self.faults.append(f"twice: {self.name} saw {sender} {number} again")
            if not overlap:
                self.paged.discard(sid)
            return
        self.known.add(sid)
        self.heard.append(sid)
        if number != self.seen[sender] + 1:
            self.faults.append(f"order: {self.name} saw {sender} {number} after {self.seen[sender]}")
        self.seen[sender] = number

    def say(self, o):
        if o.number in getattr(self, "said", set()):
            self.again.add(o.number)
        self.said = getattr(self, "said", set()) | {o.number}
        self.stanza(f"<message to='{self.room}' type='groupchat' id='{o.origin}'>"
                    f"<body>{self.name} {o.number}</body><origin-id xmlns='{NS_SID}' id='{o.origin}'/></message>")
        o.count = self.sm_out
        self.write(f"<r xmlns='{crash.NS_SM}'/>")
        if self.rng.random() < 0.3:         # what is not kept comes between
            self.noise()

    def noise(self):
        if self.rng.random() < 0.5:
            self.stanza(f"<presence to='{self.room}/{self.name}'><status>{self.rng.random()}</status></presence>")
        else:
            self.stanza(f"<message to='{self.room}' type='groupchat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>")

    async def connect(self):
        bound = self.rebound
        if not self.caught_up or self.rng.random() < 0.2:       # it had not come in yet; or it has lost its state too
            self.id = None
        await super().connect()
        if self.rebound == bound:
            return
        self.caught_up, self.waiting = False, []
        inside = asyncio.get_running_loop().create_future()
        hears, self.stream.hears = self.stream.hears, lambda i: self.comes_in(i, inside)
        self.stanza(f"<presence to='{self.room}/{self.name}'><x xmlns='{NS_MUC}'><history maxstanzas='0'/></x></presence>")
        await asyncio.wait_for(inside, 15)
        await self.catch_up()
        self.caught_up = True
        self.stream.hears = hears
        for m in self.waiting:
            self.take_said(m.find(f"{{{NS_SID}}}stanza-id").get("id"), m.find(CLIENT + "body").text, overlap=True)

    def comes_in(self, item, inside):
        if item is xmpp.GONE or item is xmpp.CLOSE:
            if not inside.done():
                inside.set_exception(xmpp.XMPPError("gone"))
            return False
        if item.tag == CLIENT + "presence" and item.get("from") == f"{self.room}/{self.name}" and not inside.done():
            if item.get("type") == "error":
                inside.set_exception(xmpp.XMPPError("refused"))
            else:
                inside.set_result(True)
        if item.tag == CLIENT + "message" and item.find(f"{{{NS_MAM}}}result") is not None:
            inner = item.find(f".//{{urn:xmpp:forward:0}}forwarded/{CLIENT}message/{CLIENT}body")
            if inner is not None:
                self.take_said(item.find(f"{{{NS_MAM}}}result").get("id"), inner.text, overlap=True)
            return True
        return self.hears(item)

    async def page(self, stream, after):
        border = f"<after>{after}</after>" if after else ""
        self.sm_out += 1
        answer = await stream.ask("set", f"<query xmlns='{NS_MAM}'><set xmlns='{NS_RSM}'><max>100</max>{border}</set></query>",
                                  to=self.room, seconds=30)
        fin = answer.find(f"{{{NS_MAM}}}fin")
        if fin is None:
            raise xmpp.XMPPError("the archive did not answer")
        last = fin.find(f"{{{NS_RSM}}}set/{{{NS_RSM}}}last")
        return None if fin.get("complete") == "true" or last is None else last.text

    async def catch_up(self):
        after, more = self.heard[-1] if self.heard else None, True
        while more:
            after = await self.page(self.stream, after)
            more = after is not None

    async def archive(self):
        """All of the room's archive, in order: [(stanza-id, body)]."""
        stream = await xmpp.log_in(self.server, self.name, "secret-" + self.name, "reader", "tls")
        found, after, more = [], None, True

        def hears(i):
            if i is xmpp.GONE or i is xmpp.CLOSE or i.tag != CLIENT + "message":
                return False
            body = i.find(f".//{{urn:xmpp:forward:0}}forwarded/{CLIENT}message/{CLIENT}body")
            if body is not None:
                found.append((i.find(f"{{{NS_MAM}}}result").get("id"), body.text))
            return True
        stream.hears = hears
        while more:
            after = await self.page(stream, after)
            more = after is not None
        stream.link.abort()
        return found


async def make_room(server):
    owner = await xmpp.log_in(server, "owner", "secret-owner", "desk", "tls")
    room = f"{ROOM}@rooms.{server.domain}"
    owner.send_raw(f"<presence to='{room}/owner'><x xmlns='{NS_MUC}'/></presence>")
    await owner.ask("set", f"<query xmlns='{NS_MUC}#owner'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{NS_MUC}"
                           "#roomconfig</value></field><field var='muc#roomconfig_persistentroom'><value>1</value></field></x></query>", to=room)
    owner.link.abort()


async def settle(clients, seconds):
    for _ in range(seconds * 10):
        if all(c.idle() for c in clients) and all(c.seen[f.name] == f.sent[ROOM] for c in clients for f in clients):
            return True
        await asyncio.sleep(0.1)
    return False


def compare(client, archive):
    """What it heard is a piece of the archive."""
    ids = [sid for sid, _ in archive]
    if not client.heard:
        return [f"never: {client.name} heard nothing"]
    if client.heard[0] not in ids:
        return [f"never: the archive does not hold what {client.name} heard first"]
    start = ids.index(client.heard[0])
    if ids[start:start + len(client.heard)] != client.heard:
        at = next((i for i, sid in enumerate(client.heard) if ids[start + i:start + i + 1] != [sid]), 0)
        return [f"order: {client.name} heard another sequence than the archive from number {at} of {len(client.heard)} on"]
    return []


async def run(server, args):
    rng = random.Random(args.seed)
    names = [f"c{i}" for i in range(args.clients)]
    await make_room(server)
    clients = [Guest(server, n, [f for f in names if f != n], args.window, random.Random(f"{args.seed}{n}")) for n in names]
    for c in clients:
        c.run_task = asyncio.ensure_future(c.live())
    await asyncio.sleep(1.5)
    breaks = await crash.break_by_kill(server, args, rng)
    for c in clients:
        c.sending = False
    settled = await settle(clients, 60)
    for c in clients:
        c.run_task.cancel()
    await asyncio.sleep(0.2)
    archive = await clients[0].archive()
    bodies = [body for _, body in archive]
    faults = {"twice": [], "order": [], "never": [], "missing": []}
    for c in clients:
        for f in c.faults + compare(c, archive):
            faults[f.split(":")[0]].append(f)
        for f in clients:
            if f.sent[ROOM] != c.seen[f.name]:
                faults["never"].append(f"never: {c.name} saw {f.name} only up to {c.seen[f.name]} of {f.sent[ROOM]}")
        faults["missing"] += [f"missing: {c.name} {n}, {bodies.count(f'{c.name} {n}')} times in the archive"
                              for _, n in sorted(c.acked) if bodies.count(f"{c.name} {n}") != 1]
    return clients, breaks, settled, faults, len(archive)


def report(clients, breaks, settled, faults, archived):
    print(f"{breaks} breaks, {len(clients)} clients in one room, {sum(c.sent[ROOM] for c in clients)} messages, {archived} in the archive, "
          f"{sum(len(c.acked) for c in clients)} acknowledged, {sum(c.refused for c in clients)} refused, "
          f"{sum(c.resumed for c in clients)} resumed, {sum(c.rebound for c in clients)} bound anew")
    words = {"missing": "acknowledged messages missing from the archive, or in it twice", "twice": "messages seen twice",
             "order": "messages out of order", "never": "messages that never arrived"}
    failed = 0
    for kind, what in words.items():
        print(f"{'ok     ' if not faults[kind] else 'not ok '} {what}: {len(faults[kind])}")
        for line in faults[kind][:10]:
            print("        " + line)
        failed += bool(faults[kind])
    if not settled:
        print("        (not everything was acknowledged and delivered when the time was up)")
    print(f"{len(words) - failed} passed, {failed} failed, 0 skipped")
    return failed


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--breaks", type=int, default=60)
    p.add_argument("--clients", type=int, default=5)
    p.add_argument("--window", type=int, default=5, help="messages in flight per client")
    p.add_argument("--pause", type=float, default=0.5, help="seconds between kills, about")
    p.add_argument("--seed", default="bongsu")
    p.add_argument("--server", choices=("bongsu", "bongsu-postgresql", "bongsu-three"), default="bongsu")
    args = p.parse_args()
    why = servers.SERVERS[args.server].missing()
    if why:
        print(f"skipped: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    server = servers.make(args.server)
    try:
        os.environ["BONGSU_BACKOFF_MS_MAX"] = "50"
        server.start()
        server.add_users({n: "secret-" + n for n in ["owner"] + [f"c{i}" for i in range(args.clients)]})
        return 1 if report(*asyncio.run(run(server, args))) else 0
    finally:
        server.stop()
        server.remove()


if __name__ == "__main__":
    sys.exit(main())
