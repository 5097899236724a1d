#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""deaf.py: while the database stands still, a messenger is not heard for some seconds, and its people are taken for away; when it is
heard again, what was kept for them comes to their eyes before what is written from then on.

    tools/with-postgres tests/fault/deaf.py --rounds 3
"""
import asyncio
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from standstill import Standstill                                           # noqa: E402
from trials import alone, check, times                                      # noqa: E402

SILENT_S, AFTER_S, PAUSE_S, ASKED_S, KEPT, PATIENCE_S = 2.0, 2.0, 0.02, 0.5, 5, 20


async def play(server, number):
    near, far, third = server.nodes
    alice, bob = await xmpp.log_in(near, "alice", "secret-alice", "home", "tls"), await xmpp.log_in(far, "bob", "secret-bob", "home", "tls")
    bob.send("<presence/>")
    await bob.ask("get", "<ping xmlns='urn:xmpp:ping'/>", server.domain)
    await asyncio.sleep(server.settle_s)
    talk, wanted = far.roles()["talk"]["pid"], []

    def write():
        wanted.append(f"{number}-{len(wanted)}")
        alice.send(f"<message to='bob@{server.domain}' type='chat' id='{wanted[-1]}'><body>{wanted[-1]}</body></message>")

    async with Standstill(server):
        if number % 3 == 1:                     # it goes ahead already; else that begins only when the messenger is heard again
            write()
            check(await bob.take_where(lambda i: i is not xmpp.GONE and i.get("id") == wanted[0], PATIENCE_S), "nothing goes ahead")
        got = list(wanted)

        async def see(until):
            while len(got) < until:
                item = await bob.take_where(lambda i: i is xmpp.GONE or (i.get("id") or "").startswith(f"{number}-"), PATIENCE_S)
                check(item is not None and item is not xmpp.GONE, f"{sorted(set(wanted) - set(got))} did not come")
                if item.get("id") not in got:   # those that came again, under the same id, when they were stored
                    got.append(item.get("id"))
        os.kill(talk, signal.SIGSTOP)
        try:
            await asyncio.sleep(SILENT_S)
            for _ in range(KEPT):
                write()
            await asyncio.sleep(PAUSE_S)
            if number % 3 == 2:                 # her own other device comes in, and asks for what she wrote
                await asyncio.sleep(ASKED_S)
                tablet = await xmpp.log_in(third, "alice", "secret-alice", "tablet", "tls")
                tablet.send("<presence/>")
                await tablet.ask("get", "<ping xmlns='urn:xmpp:ping'/>", server.domain)
                await asyncio.sleep(ASKED_S)
                tablet.link.abort()
        finally:
            os.kill(talk, signal.SIGCONT)
        if number % 3 == 2:
            await see(len(wanted))              # nothing is stored yet
        for _ in range(int(AFTER_S / PAUSE_S)):
            write()
            await asyncio.sleep(PAUSE_S)
    await see(len(wanted))
    check(got == wanted, f"bob saw {got}")
    for stream in (alice, bob):
        stream.link.abort()
    return len(wanted)


def main():
    rounds = times(__doc__, 3)

    def prove(server):
        written = sum(asyncio.run(play(server, number)) for number in range(rounds))
        ahead = int(sum(node.metric("bongsu_talk_messages_ahead_total") for node in server.nodes))
        check(ahead, "nothing went ahead")
        return f"{written} messages around {rounds} silences, {ahead} of them ahead, each once and in order"

    return alone(servers.BongsuThree, ("alice", "bob"), prove)


if __name__ == "__main__":
    sys.exit(main())
