#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_omemo.py: two Profanities make their keys, publish them on their accounts (XEP-0384 over XEP-0163), and write to each other
so that nobody between them can read it: not a third device, not the archive."""
import asyncio
import os
import sys

from checks import PASSWORD, main
from with_profanity import Terminal, hears, log_in, missing, step, trust

import xmpp

SECRET = "only bob may read this 비밀"
ANSWER = "and only alice this"
OMEMO = "{eu.siacs.conversations.axolotl}"


async def befriend(a, b):
    """Both ways, over plain connections that stay as witnesses."""
    for s in (a, b):
        await s.ask("get", "<query xmlns='jabber:iq:roster'/>")
        s.send("<presence/>")
    for x, y in ((a, b), (b, a)):
        x.send(f"<presence type='subscribe' to='{y.bare}'/>")
        await hears(y, lambda i: xmpp.local(i) == "presence" and i.get("type") == "subscribe")
        y.send(f"<presence type='subscribed' to='{x.bare}'/>")
        await hears(x, lambda i: xmpp.local(i) == "presence" and i.get("type") == "subscribed")


async def make_keys(server, p, user, folder):
    if not await step(p.shows, "Type '/help'|Profanity") or not await log_in(server, p, folder, user):
        return False
    p.type("/omemo trustmode blind")
    p.type("/omemo gen")
    return await step(p.shows, "Your Device ID is", 60)


async def devices_of(stream, bare):
    answer = await stream.ask("get", "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
                              "<items node='eu.siacs.conversations.axolotl.devicelist'/></pubsub>", bare)
    return [d.get("id") for d in answer.iter(OMEMO + "device")]


async def conversation(server, checks):
    homes = {u: os.path.join(server.dir, "omemo-" + u) for u in ("alice", "bob")}
    bares = {u: f"{u}@{server.domain}" for u in homes}
    witness = {u: await xmpp.log_in(server, u, PASSWORD, "witness") for u in homes}
    for u, s in witness.items():
        s.bare = bares[u]
    await befriend(witness["alice"], witness["bob"])
    await witness["bob"].ask("set", "<enable xmlns='urn:xmpp:carbons:2'/>")
    terminals = {u: Terminal(h) for u, h in homes.items()}
    try:
        for u, p in terminals.items():
            checks.check(f"{u} makes keys", await make_keys(server, p, u, trust(server, homes[u])), p.screen())
        for u in homes:
            other = "bob" if u == "alice" else "alice"
            checks.check(f"{u}'s device is on the list that {other} reads", await devices_of(witness[other], bares[u]))
        await talk(checks, terminals, witness, bares)
    finally:
        for p in terminals.values():
            p.end()


async def archive_of(stream):
    """Every message of one's own archive."""
    stream.send("<iq type='set' id='archive'><query xmlns='urn:xmpp:mam:2'/></iq>")
    page = []
    while True:
        item = await stream.take_where(lambda i: i.find("{urn:xmpp:mam:2}result") is not None or i.get("id") == "archive", 15)
        if item is None or item.get("id") == "archive":
            return page
        page.append(item)


async def talk(checks, terminals, witness, bares):
    a, b = terminals["alice"], terminals["bob"]
    a.type("/msg " + bares["bob"])
    a.type("/omemo start")
    checks.check("a session starts", await step(a.shows, "OMEMO session started|\\[OMEMO\\]", 30), a.screen())
    a.type(SECRET)
    copy = await hears(witness["bob"], lambda i: i.find(".//" + OMEMO + "encrypted") is not None)
    checks.check("what another device gets is encrypted", copy is not None and SECRET not in xmpp.show(copy))
    b.type("/msg " + bares["alice"])
    checks.check("bob reads it", await step(b.shows, SECRET, 30), b.screen())
    b.type("/omemo start")
    await step(b.shows, "OMEMO session started|\\[OMEMO\\]", 30)
    b.type(ANSWER)
    checks.check("alice reads the answer", await step(a.shows, ANSWER, 30), a.screen())
    page = await archive_of(witness["bob"])
    checks.check("the archive has them, and cannot read them",
                 sum(m.find(".//" + OMEMO + "encrypted") is not None for m in page) >= 2 and
                 not any(SECRET in xmpp.show(m) or ANSWER in xmpp.show(m) for m in page))


def play(server, checks):
    asyncio.run(conversation(server, checks))


if __name__ == "__main__":
    sys.exit(main("omemo", missing, play))
