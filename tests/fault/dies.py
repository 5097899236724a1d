#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""dies.py: a messenger is killed with two people on it whose clients know neither resumption nor the archive: what a friend at another
one writes to them from then on waits for them, whether they come back before its rows are buried or after, once and in order.

    tools/with-postgres tests/fault/dies.py --rounds 2
"""
import asyncio
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import alone, check, times                                      # noqa: E402

MESSAGES, PAUSE_S, PATIENCE_S = 10, 0.2, 60


def is_for_people(item):
    return item is not xmpp.GONE and xmpp.local(item) == "message" and item.find("{jabber:client}body") is not None


async def come(node, name):
    stream = await xmpp.log_in(node, name, f"secret-{name}", "home", "tls")
    stream.send("<presence/>")
    await stream.ask("get", "<ping xmlns='urn:xmpp:ping'/>", node.domain)
    return stream


async def get(stream, name, *parts):
    """Each part in order; what came live need not wait for what was put aside."""
    got, wanted, deadline = [], sorted(sum(parts, [])), time.monotonic() + PATIENCE_S
    while len(got) < len(wanted):
        item = await stream.take_where(is_for_people, max(0.1, deadline - time.monotonic()))
        check(item is not None and item is not xmpp.GONE, f"{name} got {got} of {wanted}")
        got.append(item.get("id"))
    check(sorted(got) == wanted, f"{name} got {got}, {wanted} was written")
    for part in parts:
        check([i for i in got if i in part] == part, f"{name} got {got}: not in order")


def buried(node):
    return open(node.log, errors="replace").read()[node.log_start:].count("node.buried")


async def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        check(time.monotonic() < deadline, what)
        await asyncio.sleep(0.1)


async def play(server, number):
    dying, standing, other = server.nodes
    alice = await come(standing, "alice")
    bob, carol = await come(dying, "bob"), await come(dying, "carol")
    before, graves = [f"{number}-before"], [buried(standing), buried(other)]

    def write(ident):
        for name in ("bob", "carol"):
            alice.send(f"<message to='{name}@{server.domain}' type='chat' id='{ident}'><body>{ident}</body></message>")

    write(before[0])
    for name, stream in (("bob", bob), ("carol", carol)):
        await get(stream, name, before)
    await asyncio.sleep(4)          # its beats have told that it had come there: it need not come again
    dying.kill9()
    for stream in (bob, carol):
        stream.link.abort()
    wanted = []
    for n in range(MESSAGES):
        wanted.append(f"{number}-{n}")
        write(wanted[-1])
        if n == MESSAGES // 2:
            bob = await come(other, "bob")
        await asyncio.sleep(PAUSE_S)
    half = MESSAGES // 2    # that one is on its way while bob comes: it may still be put aside, or find him
    await get(bob, "bob", wanted[:half], wanted[half:half + 1], wanted[half + 1:])
    await until(lambda: buried(standing) > graves[0] or buried(other) > graves[1], "nobody buried the messenger")
    carol = await come(other, "carol")
    await get(carol, "carol", wanted)
    for stream in (alice, bob, carol):
        stream.link.abort()
    dying.start()


def main():
    rounds = times(__doc__, 1)

    def prove(server):
        for number in range(rounds):
            asyncio.run(play(server, number))
        return f"{rounds} messengers killed, {2 * MESSAGES * rounds} messages waited or came"

    return alone(servers.BongsuThree, ("alice", "bob", "carol"), prove)


if __name__ == "__main__":
    sys.exit(main())
