#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""arrives.py: somebody comes online at the very moment when a message to them is being stored: it is not left behind.

    tests/fault/arrives.py --rounds 1000     # the server is build/src/processes/bongsu, or $BONGSU

The message is put aside, for nobody was there; the reading of what waits may begin before it is stored, and end after.
Each round tries another distance between the two.
"""
import asyncio
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import Failure, alone, check, times                             # noqa: E402

STEPS = 40              # distances: 0 to 0.5 ms


async def arrive(alice, bob, number):
    bob.send("<presence type='unavailable'/>")
    await bob.ask("get", "<ping xmlns='urn:xmpp:ping'/>")
    for part in ("first", "second"):
        alice.send(f"<message to='bob@{alice.domain}' type='chat' id='{part}-{number}'><body>{number}</body></message>")
        if part == "first":
            await asyncio.sleep(number % STEPS * 0.0005 / STEPS)
            bob.send("<presence/>")
    for part in ("first", "second"):
        try:
            got = await asyncio.wait_for(bob.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "message"), 5)
        except asyncio.TimeoutError:
            raise Failure(f"round {number}: the {part} message did not come")
        check(got.get("id") == f"{part}-{number}", f"round {number}: {got.get('id')} came as the {part} message")


async def play(server, rounds):
    alice = await xmpp.log_in(server, "alice", "secret-alice", "home", "tls")
    bob = await xmpp.log_in(server, "bob", "secret-bob", "home", "tls")
    alice.domain = server.domain
    for number in range(rounds):
        await arrive(alice, bob, number)
    for stream in (alice, bob):
        stream.link.abort()


def main():
    rounds = times(__doc__, 1000)

    def prove(server):
        asyncio.run(play(server, rounds))
        return f"{rounds} arrivals, each with a message on its way"

    return alone(servers.Bongsu, ("alice", "bob"), prove)


if __name__ == "__main__":
    sys.exit(main())
