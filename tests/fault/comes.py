#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""comes.py: while the database stands still, a device comes in, and messages go out ahead between its log-in and its presence: they come to
it as soon as it is available, and no message comes to its eyes twice.

    tools/with-postgres tests/fault/comes.py --rounds 6
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

PATIENCE_S, EACH = 60, 3
SID = "{urn:xmpp:sid:0}stanza-id"


async def wait_for(stream, ids, seen, whose):
    """Until these have come; `seen`: {id: {stanza-ids}}."""
    while not set(ids) <= set(seen):
        item = await stream.take_where(lambda i: i is xmpp.GONE or xmpp.local(i) == "message", PATIENCE_S)
        check(item is not None and item is not xmpp.GONE, f"{whose}: {sorted(set(ids) - set(seen))} did not come")
        seen.setdefault(item.get("id"), set()).add(item.find(SID).get("id"))


async def play(server, number):
    near, far, third = server.nodes
    if number % 2:
        far, third = third, far
    alice, phone = await xmpp.log_in(near, "alice", "secret-alice", "home", "tls"), await xmpp.log_in(far, "bob", "secret-bob", "phone", "tls")
    phone.send("<presence/>")
    await phone.ask("get", "<ping xmlns='urn:xmpp:ping'/>", server.domain)
    await asyncio.sleep(server.settle_s)

    def write(part):
        ids = [f"{part}-{number}-{n}" for n in range(EACH)]
        for i in ids:
            alice.send(f"<message to='bob@{server.domain}' type='chat' id='{i}'><body>{i}</body></message>")
        return ids

    on_phone, on_tablet = {}, {}
    async with Standstill(server):
        tablet = await xmpp.log_in(third, "bob", "secret-bob", "tablet", "tls")
        between = write("between")
        await wait_for(phone, between, on_phone, "the phone")   # so they were given to the tablet's messenger, too
        tablet.send("<presence/>")
        await wait_for(tablet, between, on_tablet, "the tablet, before they are stored")
        after = write("after")
        for stream, seen in ((phone, on_phone), (tablet, on_tablet)):
            await wait_for(stream, after, seen, "a device")
    last = write("last")
    for stream, seen in ((phone, on_phone), (tablet, on_tablet)):
        await wait_for(stream, last, seen, "a device, when all is stored")
        check(all(len(names) == 1 for names in seen.values()), f"one message under several names: {seen}")
        check([i for i in seen if i in between + after + last] == between + after + last, f"the order: {list(seen)}")
    for stream in (alice, phone, tablet):
        stream.link.abort()


def main():
    rounds = times(__doc__, 4)

    def prove(server):
        for number in range(rounds):
            asyncio.run(play(server, number))
        ahead = int(sum(node.metric("bongsu_talk_messages_ahead_total") for node in server.nodes))
        check(ahead, "nothing went ahead")
        return f"{rounds} devices that came in while the database stood still, {ahead} messages ahead, each on both screens, in order"

    return alone(servers.BongsuThree, ("alice", "bob"), prove)


if __name__ == "__main__":
    sys.exit(main())
