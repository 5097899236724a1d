#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""rooms_crowd.py: in a crowd presence waits for company: it still comes, and in its place before and behind what is said.

    tests/fault/rooms_crowd.py --rounds 20      # the server is build/src/processes/bongsu, or $BONGSU

Somebody comes into a room of more than fifty, says something at once in two rounds of three, and leaves. Everybody must see just that, in
that order.
"""
import asyncio
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import alone, check, times                                      # noqa: E402

NS_MUC = "http://jabber.org/protocol/muc"
OWNERS = ("alice", "bob", "carol")
DEVICES = 18                    # of each: 54 inside
SECONDS = 60


def enter(stream, room, nick):
    stream.send(f"<presence to='{room}/{nick}'><x xmlns='{NS_MUC}'><history maxstanzas='0'/></x></presence>")


async def until(stream, fits, what):
    item = await stream.take_where(lambda i: i is not xmpp.GONE and fits(i), SECONDS)
    check(item is not None, f"{what} did not come")
    return item


def is_self(nick):
    return lambda i: xmpp.local(i) == "presence" and i.get("from", "").endswith("/" + nick) and \
        any(c.get("code") == "110" for c in i.iter(f"{{{NS_MUC}#user}}status"))


async def crowd_of(server, room):
    crowd = []
    for name in OWNERS:
        for n in range(DEVICES):
            stream = await xmpp.log_in(server, name, "secret-" + name, f"device{n}", "tls")
            enter(stream, room, f"{name}{n}")
            await until(stream, is_self(f"{name}{n}"), "the way in")
            if not crowd:
                await stream.ask("set", f"<query xmlns='{NS_MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>", room)
            crowd.append(stream)
    return crowd


def story(rounds):
    """What everybody sees of the guest."""
    for n in range(rounds):
        yield "comes"
        if n % 3:
            yield f"says {n}"
        yield "goes"


def told(item):
    if xmpp.local(item) == "presence":
        return "goes" if item.get("type") == "unavailable" else "comes"
    return "says " + item.findtext(f"{{{xmpp.NS_CLIENT}}}body")


async def visit(guest, room, rounds):
    for n in range(rounds):
        enter(guest, room, "guest")
        if n % 3:
            guest.send(f"<message to='{room}' type='groupchat' id='m{n}'><body>{n}</body></message>")
        await until(guest, is_self("guest"), "the guest's way in")
        guest.send(f"<presence to='{room}/guest' type='unavailable'/>")
        await until(guest, is_self("guest"), "the guest's way out")


async def watch(stream, room, rounds):
    for n, wanted in enumerate(story(rounds)):
        seen = told(await until(stream, lambda i: i.get("from") == room + "/guest", wanted))
        check(seen == wanted, f"step {n}: somebody saw that the guest {seen}, not that it {wanted}")


async def play(server, rounds):
    room = f"square@rooms.{server.domain}"
    crowd = await crowd_of(server, room)
    guest = await xmpp.log_in(server, "guest", "secret-guest", "home", "tls")
    await asyncio.gather(visit(guest, room, rounds), *(watch(s, room, rounds) for s in crowd))
    for stream in crowd + [guest]:
        stream.link.abort()


def main():
    rounds = times(__doc__, 20)

    def prove(server):
        asyncio.run(play(server, rounds))
        return f"{rounds} visits, seen by {len(OWNERS) * DEVICES} in their order"

    return alone(servers.Bongsu, (*OWNERS, "guest"), prove)


if __name__ == "__main__":
    sys.exit(main())
