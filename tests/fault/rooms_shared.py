#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""One room on three messengers over one database: who is first is decided once, and whoever is lost leaves.

  tools/with-postgres tests/fault/rooms_shared.py
"""
import asyncio
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import check, play                                              # noqa: E402

NS_MUC = "http://jabber.org/protocol/muc"
USER = f"{{{NS_MUC}#user}}"
NAMES = [f"p{i}" for i in range(9)]


class Person:
    """A client on one messenger, and the room as it shows it."""

    def __init__(self, node, name):
        self.node, self.name, self.inside, self.affiliations = node, name, set(), {}
        self.codes, self.refused, self.stream = {}, None, None

    async def connect(self):
        self.stream = await xmpp.log_in(self.node, self.name, "secret-" + self.name, "desk", "tls")
        self.stream.hears = self.hears

    def hears(self, i):
        if i is xmpp.GONE or i is xmpp.CLOSE or xmpp.local(i) != "presence":
            return False
        nick = i.get("from").rpartition("/")[2]
        if i.get("type") == "error":
            self.refused = nick
        elif i.get("type") == "unavailable":
            self.inside.discard(nick)
            self.codes[nick] = [s.get("code") for s in i.iter(USER + "status")]
        elif i.find(USER + "x/" + USER + "item") is not None:
            self.inside.add(nick)
            self.affiliations[nick] = i.find(USER + "x/" + USER + "item").get("affiliation")
        return True

    def enter(self, room, nick):
        self.stream.send_raw(f"<presence to='{room}/{nick}'><x xmlns='{NS_MUC}'><history maxstanzas='0'/></x></presence>")


async def until(true, seconds=10):
    for _ in range(seconds * 20):
        if true():
            return True
        await asyncio.sleep(0.05)
    return False


async def people(server, count=len(NAMES)):
    """Dealt out over the messengers."""
    all_ = [Person(server.nodes[i % 3], n) for i, n in enumerate(NAMES[:count])]
    for p in all_:
        await p.connect()
    return all_


async def open_room(owner, room):
    owner.enter(room, owner.name)
    await until(lambda: owner.name in owner.inside)
    await owner.stream.ask("set", f"<query xmlns='{NS_MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>", to=room)


def leave_all(all_):
    for p in all_:
        p.stream.link.abort()


async def all_enter(server):
    room = f"crowd@rooms.{server.domain}"
    all_ = await people(server)
    await open_room(all_[0], room)
    for _ in range(5):
        for p in all_[1:]:
            p.enter(room, p.name)
        names = set(NAMES)
        check(await until(lambda: all(p.inside >= names for p in all_)), f"{[(p.name, sorted(names - p.inside)) for p in all_]}")
        for p in all_[1:]:
            p.stream.send_raw(f"<presence to='{room}/{p.name}' type='unavailable'/>")
        check(await until(lambda: all_[0].inside == {all_[0].name}), f"{all_[0].inside}")
        for p in all_[1:]:
            p.inside.clear()
    leave_all(all_)


async def one_nick(server):
    room = f"nick@rooms.{server.domain}"
    all_ = await people(server)
    await open_room(all_[0], room)
    for p in all_[1:]:
        p.enter(room, "highlander")
    check(await until(lambda: sum("highlander" in p.inside and p.refused is None for p in all_[1:]) == 1 and
                      sum(p.refused == "highlander" for p in all_[1:]) == 7), f"{[(p.name, p.refused, p.inside) for p in all_]}")
    leave_all(all_)


async def one_creator(server):
    room = f"genesis@rooms.{server.domain}"
    all_ = await people(server)
    for p in all_:
        p.enter(room, p.name)
    await asyncio.sleep(1)
    owners = [p.name for p in all_ if p.affiliations.get(p.name) == "owner"]
    check(len(owners) == 1 and sum(p.refused is not None for p in all_) == 8, f"owners {owners}, {[p.refused for p in all_]}")
    leave_all(all_)


async def affiliations_meet(server):
    room = f"admins@rooms.{server.domain}"
    all_ = await people(server, 6)
    await open_room(all_[0], room)
    for p in all_[1:]:
        p.enter(room, p.name)
    await until(lambda: all(len(p.inside) == 6 for p in all_))
    for p in all_[1:3]:
        await all_[0].stream.ask("set", f"<query xmlns='{NS_MUC}#admin'><item affiliation='owner' jid='{p.name}@{server.domain}'/></query>", to=room)
    check(await until(lambda: all(p.affiliations.get(q.name) == "owner" for p in all_ for q in all_[1:3])), "not all see the owners")
    answers = await asyncio.gather(*[
        p.stream.ask("set", f"<query xmlns='{NS_MUC}#admin'><item affiliation='{a}' jid='{all_[3 + k].name}@{server.domain}'/></query>", to=room)
        for k, (p, a) in enumerate(zip(all_[:3], ("admin", "member", "admin")))])
    check(all(a.get("type") == "result" for a in answers), f"{[xmpp.show(a) for a in answers]}")
    want = {all_[3].name: "admin", all_[4].name: "member", all_[5].name: "admin"}
    check(await until(lambda: all(p.affiliations.get(n) == a for p in all_ for n, a in want.items())), f"{[p.affiliations for p in all_]}")
    leave_all(all_)


async def messenger_dies(server):
    room = f"mortal@rooms.{server.domain}"
    all_ = await people(server, 6)
    await open_room(all_[0], room)
    for p in all_[1:]:
        p.enter(room, p.name)
    check(await until(lambda: all(len(p.inside) == 6 for p in all_)), "not all came in")
    dead = server.nodes[2]
    dead.kill9()
    lost = {p.name for p in all_ if p.node is dead}
    stay = [p for p in all_ if p.node is not dead]
    check(await until(lambda: all(not p.inside & lost for p in stay), 30), f"{[p.inside for p in stay]}")
    check(all(p.codes[n] == ["333"] for p in stay for n in lost), f"{stay[0].codes}")
    leave_all(all_)


def all_come_in(server):
    """Nine on three messengers come in and leave at once, five times: each sees all."""
    asyncio.run(all_enter(server))


def a_nickname_is_given_once(server):
    """Eight ask for one nickname at once: one gets it, seven hear of a conflict."""
    asyncio.run(one_nick(server))


def a_room_is_made_once(server):
    """Nine make the same room at once: one owns it."""
    asyncio.run(one_creator(server))


def changes_meet(server):
    """Three owners on three messengers change affiliations at once: all of it happens, and all see it."""
    asyncio.run(affiliations_meet(server))


def who_was_lost_leaves(server):
    """A messenger is killed: those it had inside leave, with 333."""
    asyncio.run(messenger_dies(server))


def main():
    why = servers.BongsuThree.missing() or (None if os.environ.get("BONGSU_TEST_POSTGRESQL") else "there is no PostgreSQL (tools/with-postgres)")
    if why:
        print(f"skipped: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    trials = [all_come_in, a_nickname_is_given_once, a_room_is_made_once, changes_meet, who_was_lost_leaves]
    server = servers.make("bongsu-three")
    try:
        server.start()
        server.add_users({n: "secret-" + n for n in NAMES})
        failed = play(trials, server)
    finally:
        server.remove()
    print(f"{len(trials) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
