#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""alive.py: the database stands still, and whoever asks with <r/> is answered all the same: with what was durable before, so that they
know that the server lives; and with the rest when it is durable.

    tools/with-postgres tests/fault/alive.py
"""
import asyncio
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from standstill import Standstill                                           # noqa: E402
from trials import alone, check                                             # noqa: E402

NS_SM, HEAR_S, ROUNDS, ANSWERS = "urn:xmpp:sm:3", 30, 3, 3


async def counted(alice):
    answer = await alice.take_where(lambda i: i is xmpp.GONE or i.tag == f"{{{NS_SM}}}a", HEAR_S)
    check(answer is not None and answer is not xmpp.GONE, "an <r/> was not answered")
    return int(answer.get("h"))


async def play(server):
    alice = await xmpp.log_in(server, "alice", "secret-alice", "home", "tls")
    alice.send(f"<enable xmlns='{NS_SM}' resume='true'/>")
    enabled = await alice.take_where(lambda i: i.tag == f"{{{NS_SM}}}enabled", HEAR_S)
    check(enabled is not None, "no stream management")
    for sent in range(1, ROUNDS + 1):
        async with Standstill(server):
            alice.send(f"<message to='bob@{server.domain}' type='chat' id='m{sent}'><body>{sent}</body></message><r xmlns='{NS_SM}'/>")
            for _ in range(ANSWERS):
                h = await counted(alice)
                check(h == sent - 1, f"{h} was counted while {sent - 1} are durable")
        while (h := await counted(alice)) == sent - 1:      # the last ones of before
            pass
        check(h == sent, f"{h} was counted of {sent} that are durable")
    alice.link.abort()
    return f"{ROUNDS} standstills, each answered {ANSWERS} times with what was durable"


if __name__ == "__main__":
    sys.exit(alone(servers.BongsuThree, ("alice", "bob"), lambda server: asyncio.run(play(server))))
