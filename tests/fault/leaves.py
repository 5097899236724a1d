#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""leaves.py: somebody leaves one messenger while a friend at another one writes to them: it comes yet, or waits for their return.

    tools/with-postgres tests/fault/leaves.py --rounds 150

Three messengers over one database: the friend's may still believe that the device is there, and so may the database.
"""
import asyncio
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import Failure, alone, check, times                             # noqa: E402

STEPS = 10              # distances: 0 to 5 ms


async def come(server):
    bob = await xmpp.log_in(server, "bob", "secret-bob", "home", "tls")
    bob.send("<presence/>")
    return bob


async def message(stream, what):
    try:
        return await asyncio.wait_for(stream.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "message"), 5)
    except asyncio.TimeoutError:
        raise Failure(what)


async def came_yet(bob, ident):
    """On the stream that bob is ending."""
    last = await bob.take_where(lambda i: i is xmpp.GONE or i.get("id") == ident, 5)
    return last is not None and last is not xmpp.GONE


async def play(server, rounds):
    waited, twice, came = 0, 0, set()
    alice = await xmpp.log_in(server, "alice", "secret-alice", "home", "tls")
    bob = await come(server)
    for number in range(rounds):
        await bob.ask("get", "<ping xmlns='urn:xmpp:ping'/>", server.domain)
        bob.send_raw("</stream:stream>")
        await asyncio.sleep(number % STEPS * 0.005 / STEPS)
        alice.send(f"<message to='bob@{server.domain}' type='chat' id='m{number}'><body>{number}</body></message>")
        await alice.ask("get", "<ping xmlns='urn:xmpp:ping'/>", server.domain)
        yet = await came_yet(bob, f"m{number}")
        bob.link.abort()
        bob = await come(server)
        came.add(f"m{number}" if yet else f"m{number - 1}")
        if yet:
            continue
        waited += 1
        got = await message(bob, f"round {number}: the message did not wait")
        while got.get("id") in came:           # it was shown, and put aside before that was known: better twice than never
            twice += 1
            got = await message(bob, f"round {number}: the message did not wait")
        check(got.get("id") == f"m{number}", f"round {number}: {got.get('id')} came")
    check(waited, "no message met a departure")
    for stream in (alice, bob):
        stream.link.abort()
    return waited, twice


def main():
    rounds = times(__doc__, 150)

    def prove(server):
        waited, twice = asyncio.run(play(server, rounds))
        return f"{rounds} departures, each with a message on its way: {waited} waited, the others came yet; {twice} came twice"

    return alone(servers.BongsuThree, ("alice", "bob"), prove)


if __name__ == "__main__":
    sys.exit(main())
