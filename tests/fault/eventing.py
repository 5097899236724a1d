#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""eventing.py: three messengers over one database lose the bus between them; what is published meanwhile at one reaches the contact
at another as soon as they hear each other again, for the database keeps it.

    tools/with-postgres tests/fault/eventing.py
"""
import asyncio
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from profiles import NICK, answer_caps, appear, befriend, fence, must, publish      # noqa: E402
from trials import alone, check                                             # noqa: E402


async def log_in(server, node, name, resource="home"):
    s = await xmpp.log_in(node, name, f"secret-{name}", resource, "tls")
    s.bare = f"{name}@{server.domain}"
    return s


def nick(item):
    if item is xmpp.GONE or xmpp.local(item) != "message":
        return None
    found = item.find(f".//{{{NICK}}}nick")
    return None if found is None else found.text


async def hears(stream, text, seconds):
    return await stream.take_where(lambda i: nick(i) == text, seconds)


async def play(server):
    alice, bob = await log_in(server, server.nodes[0], "alice"), await log_in(server, server.nodes[1], "bob")
    await befriend(alice, bob, alice.bare, bob.bare)
    appear(bob)
    ask = await bob.take_where(lambda i: xmpp.local(i) == "iq" and i.get("type") == "get", 10)
    if ask is not None:
        answer_caps(bob, ask)
    await fence(bob)
    await must(alice, publish(NICK, "current", f"<nick xmlns='{NICK}'>first</nick>"))
    check(await hears(bob, "first", 10) is not None, "the contact at another messenger did not hear of it")
    server.end_nats()
    await must(alice, publish(NICK, "current", f"<nick xmlns='{NICK}'>second</nick>"))
    await asyncio.sleep(1)
    with open(os.path.join(server.dir, "nats.log"), "ab") as log:
        server.nats = subprocess.Popen(["nats-server", "-a", "127.0.0.1", "-p", str(server.nats_port)], stdout=log, stderr=log)
    check(await hears(bob, "second", 30) is not None, "what was published without the bus never came")
    for s in (alice, bob):
        s.link.abort()


def main():
    def prove(server):
        asyncio.run(play(server))
        return "what is published while messengers do not hear each other comes when they do again"

    return alone(servers.BongsuThree, ("alice", "bob"), prove)


if __name__ == "__main__":
    sys.exit(main())
