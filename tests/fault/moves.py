#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""moves.py: a device goes from one messenger to another while a friend at a third one asks it questions: each is answered, by the device
or by an error, whatever the friend's messenger has heard of the move. Only what reaches a device that has said good-bye already stays without.

    tools/with-postgres tests/fault/moves.py --rounds 60
"""
import asyncio
import collections
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import alone, check, times                                      # noqa: E402

QUESTIONS, PATIENCE_S = 8, 20
PING = "<ping xmlns='urn:xmpp:ping'/>"


def answers(bob):
    """As clients do: a question gets a result, as long as they can."""
    bob.too_late = set()

    def hears(item):
        if item is xmpp.GONE or item is xmpp.CLOSE or xmpp.local(item) != "iq" or item.get("type") != "get":
            return False
        if bob.leaving:
            bob.too_late.add(item.get("id"))
        else:
            bob.send(f"<iq type='result' to='{item.get('from')}' id='{item.get('id')}'/>")
        return True
    bob.leaving = False
    return hears


async def come(server):
    bob = await xmpp.log_in(server, "bob", "secret-bob", "home", "tls")
    bob.hears = answers(bob)
    came_along, bob.items = bob.items, collections.deque()
    for item in came_along:
        bob.push(item)
    bob.send("<presence/>")
    return bob


async def ask(alice, bob, ident, counts):
    alice.send(f"<iq type='get' to='{bob.me}' id='{ident}'>{PING}</iq>")
    for _ in range(PATIENCE_S * 10):
        answer = await alice.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "iq" and i.get("id") == ident, 0.1)
        if answer is not None or ident in bob.too_late:
            break
    check(answer is not None or ident in bob.too_late, f"{ident} was not answered")
    counts["late" if answer is None else answer.get("type")] += 1


async def play(server, rounds):
    counts = {"result": 0, "error": 0, "late": 0}
    alice = await xmpp.log_in(server, "alice", "secret-alice", "home", "tls")
    bob = await come(server)
    for number in range(rounds):
        bob.leaving = True
        bob.send_raw("</stream:stream>")
        old, coming = bob, asyncio.ensure_future(come(server))
        for question in range(QUESTIONS):
            await ask(alice, old, f"q{number}-{question}", counts)
        bob = await coming
        old.link.abort()
    for _ in range(50):         # in the end it is known where the device is
        before = counts["result"]
        await ask(alice, bob, f"end{_}", counts)
        if counts["result"] > before:
            break
        await asyncio.sleep(0.2)
    else:
        check(False, "the device was never found again")
    for stream in (alice, bob):
        stream.link.abort()
    return counts


def main():
    rounds = times(__doc__, 60)

    def prove(server):
        counts = asyncio.run(play(server, rounds))
        return f"{rounds} moves: {counts['result']} questions answered by the device, {counts['error']} by an error, {counts['late']} came too late"

    return alone(servers.BongsuThree, ("alice", "bob"), prove)


if __name__ == "__main__":
    sys.exit(main())
