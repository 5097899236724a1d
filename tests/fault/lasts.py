#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""lasts.py: a device goes and comes while its contact publishes and purges: what it is told last agrees with what the node holds.

    tools/with-postgres tests/fault/lasts.py

A device that comes is told the last item, which is read; what is published or purged meanwhile is told at once, and may overtake it. So an
item could be told behind the news that it is gone. Played on one messenger, and on three with the device and the contact at different ones.
"""
import asyncio
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from eventing import log_in                                                 # noqa: E402
from profiles import NICK, PUBSUB, answer_caps, appear, befriend, fence, items, must, publish      # noqa: E402
from trials import check, on_each                                           # noqa: E402

ROUNDS, PATIENCE = 60, 15
EVENT = f"{PUBSUB}#event"
GONE_AWAY = "it is purged"


def is_own_presence(stream, item):
    return xmpp.local(item) == "presence" and item.get("from") == stream.me and not item.get("type")


def told_last(stream):
    """What the device was told last since it came; None: nothing."""
    told = None
    for item in stream.items:
        if item is xmpp.GONE:
            continue
        if is_own_presence(stream, item):
            told = None
        elif item.find(f"{{{EVENT}}}event/{{{EVENT}}}purge") is not None:
            told = GONE_AWAY
        elif item.find(f".//{{{NICK}}}nick") is not None and xmpp.local(item) == "message":
            told = item.find(f".//{{{NICK}}}nick").text
    return told


async def holds(stream, owner):
    answer = await stream.ask("get", items(NICK), owner, PATIENCE)
    found = answer.find(f".//{{{NICK}}}nick")
    return None if found is None else found.text


def agrees(told, held):
    return told == held if held else told in (None, GONE_AWAY)


async def come_and_go(stream, rng):
    for _ in range(rng.randrange(1, 4)):
        stream.send("<presence type='unavailable'/>")
        appear(stream)
        await asyncio.sleep(rng.random() * 0.004)


async def publish_and_purge(stream, rng, words):
    await asyncio.sleep(rng.random() * 0.004)
    if rng.random() < 0.3:
        await must(stream, publish(NICK, "current", f"<nick xmlns='{NICK}'>{words}, once more</nick>"))
    await must(stream, f"<pubsub xmlns='{PUBSUB}#owner'><purge node='{NICK}'/></pubsub>")
    if rng.random() < 0.1:
        await must(stream, publish(NICK, "current", f"<nick xmlns='{NICK}'>{words}, again</nick>"))


async def settle(stream, owner):
    """Asked until what the device was told agrees, and once more: nothing comes behind that."""
    for _ in range(PATIENCE * 20):
        held = await holds(stream, owner)
        if agrees(told_last(stream), held):
            break
        await asyncio.sleep(0.05)
    held = await holds(stream, owner)
    return told_last(stream), held


def hears(stream):
    def question(item):
        if item in (xmpp.GONE, xmpp.CLOSE) or xmpp.local(item) != "iq" or item.get("type") != "get":
            return False
        answer_caps(stream, item)
        return True
    return question


async def enter(server, place, name):
    stream = await log_in(server, server.nodes[place] if hasattr(server, "nodes") else server, name)
    stream.hears = hears(stream)
    return stream


async def play(server):
    alice, bob = await enter(server, 0, "alice"), await enter(server, 1, "bob")
    rng = random.Random(163)
    await befriend(alice, bob, alice.bare, bob.bare)
    appear(bob)
    for n in range(ROUNDS):
        bob.items.clear()
        await must(alice, publish(NICK, "current", f"<nick xmlns='{NICK}'>round {n}</nick>"))
        await asyncio.gather(come_and_go(bob, rng), publish_and_purge(alice, rng, f"round {n}"))
        await fence(alice)
        await fence(bob)
        told, held = await settle(bob, alice.bare)
        check(agrees(told, held), f"round {n}: the node holds {held!r}, the device was told last: {told!r}")
    for stream in (alice, bob):
        stream.link.abort()


def last_items_are_the_last(server):
    """What a device that goes and comes is told last is what the node holds"""
    server.add_users({name: f"secret-{name}" for name in ("alice", "bob")})
    server.start()
    asyncio.run(play(server))


if __name__ == "__main__":
    sys.exit(on_each((servers.Bongsu, servers.BongsuThree), [last_items_are_the_last]))
