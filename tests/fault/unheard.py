#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""unheard.py: while the database stands still, one single message goes out ahead, and every second event of the bus is lost: it comes
nevertheless, before it is stored, though nothing follows that would show the gap.

    tools/with-postgres tests/fault/unheard.py --rounds 6
"""
import asyncio
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from standstill import Standstill                                           # noqa: E402
from trials import alone, check, times                                      # noqa: E402

PATIENCE_S = 20
FAULTS = {"BONGSU_FAULT": "talk.event=%2:io", "BONGSU_FAULT_ROLE": "talk"}


async def play(server, rounds):
    near, far, _ = server.nodes
    alice, bob = await xmpp.log_in(near, "alice", "secret-alice", "home", "tls"), await xmpp.log_in(far, "bob", "secret-bob", "home", "tls")
    bob.send("<presence/>")
    await bob.ask("get", "<ping xmlns='urn:xmpp:ping'/>", server.domain)
    await asyncio.sleep(server.settle_s)
    for n in range(rounds):
        async with Standstill(server):
            alice.send(f"<message to='bob@{server.domain}' type='chat' id='only-{n}'><body>only {n}</body></message>")
            check(await bob.take_where(lambda i: i is not xmpp.GONE and i.get("id") == f"only-{n}", PATIENCE_S), f"message {n} waited for its storing")
    for stream in (alice, bob):
        stream.link.abort()


def main():
    rounds = times(__doc__, 4)

    def prepare(server):
        for node in server.nodes:
            node.environment = lambda: FAULTS

    def prove(server):
        asyncio.run(play(server, rounds))
        return f"{rounds} single messages, each before it was stored, over a bus that loses every second event"

    return alone(servers.BongsuThree, ("alice", "bob"), prove, prepare)


if __name__ == "__main__":
    sys.exit(main())
