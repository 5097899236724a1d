#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""lists.py: one device of a person blocks somebody at one messenger while another device changes the roster at a second one, again and
again: what the first had just made durable is not overwritten by a reading that began before it. The blocked are heard of no more.

    tools/with-postgres tests/fault/lists.py --rounds 60
"""
import asyncio
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from eventing import log_in                                                 # noqa: E402
from profiles import must                                                   # noqa: E402
from trials import alone, check, times                                      # noqa: E402

CHANGES_AT_ONCE = 8


def rename(round_number, i):
    return f"<query xmlns='jabber:iq:roster'><item jid='friend{i}@elsewhere.example' name='{round_number}'/></query>"


def block(verb, bare):
    return f"<{verb} xmlns='urn:xmpp:blocking'><item jid='{bare}'/></{verb}>"


def bodies(stream):
    found = []
    for item in list(stream.items):
        if item is not xmpp.GONE and xmpp.local(item) == "message":
            stream.items.remove(item)
            found.append(item.findtext("{jabber:client}body"))
    return found


async def play(server, rounds):
    alice = await log_in(server, server.nodes[0], "alice")
    desk = await log_in(server, server.nodes[1], "alice", "desk")
    bob = await log_in(server, server.nodes[0], "bob")
    alice.send("<presence/>")
    for i in range(rounds):
        changes = [asyncio.ensure_future(desk.ask("set", rename(i, n), None, 30)) for n in range(CHANGES_AT_ONCE)]
        await asyncio.sleep(0.003 * (i % 5))
        await must(alice, block("block", bob.bare))
        bob.send(f"<message to='{alice.bare}' type='chat'><body>blocked {i}</body></message>")
        await asyncio.gather(*changes)
        for n in range(3):      # readings may still be under way
            await must(desk, rename(i, n))
            bob.send(f"<message to='{alice.bare}' type='chat'><body>blocked {i} {n}</body></message>")
            await bob.ask("get", "<ping xmlns='urn:xmpp:ping'/>", None, 20)
        await must(alice, block("unblock", bob.bare))
        heard = [b for b in bodies(alice) if b and b.startswith("blocked")]
        check(not heard, f"round {i}: the blocked one was heard: {heard}")
        bob.items.clear()
    for s in (alice, desk, bob):
        s.link.abort()


def main():
    rounds = times(__doc__, 60)

    def prove(server):
        asyncio.run(play(server, rounds))
        return f"a block held in each of {rounds} rounds while the lists were read again"

    return alone(servers.BongsuThree, ("alice", "bob"), prove)


if __name__ == "__main__":
    sys.exit(main())
