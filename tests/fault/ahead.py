#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""ahead.py: the database stands still again and again while two friends at two messengers write to a third person at a third one,
where every fourth event of the bus is lost: all arrives, once, and each friend's messages in order.

    tools/with-postgres tests/fault/ahead.py --stalls 12

Some are shown before they are stored, others come by events, and the rest is read in the log.
"""
import asyncio
import os
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import alone, check, times                                      # noqa: E402

FRIENDS = ("alice", "carol")
PAUSE_S, STALL_S, CALMS_S = 0.02, 0.4, (0.3, 0.9)      # the next stall comes while the last one is not over, and later
NS_SID = "{urn:xmpp:sid:0}stanza-id"
FAULTS = {"BONGSU_FAULT": "talk.event=%4:io", "BONGSU_FAULT_ROLE": "talk"}


class Screen:
    """What bob sees: by friend, the numbers in the order of their first coming."""

    def __init__(self):
        self.numbers = {name: [] for name in FRIENDS}
        self.ids = {}
        self.repeats = 0

    def take(self, message):
        sender, number = message.findtext("{jabber:client}body").split()
        ident = message.find(NS_SID).get("id")
        key = sender, int(number)
        if key in self.ids:
            check(self.ids[key] == ident, f"{key} came as {self.ids[key]}, and again as {ident}")
            self.repeats += 1
            return
        self.ids[key] = ident
        self.numbers[sender].append(int(number))

    def judge(self, sent):
        for name, numbers in self.numbers.items():
            for before, after in zip(numbers, numbers[1:]):
                check(before < after, f"{name}'s {after} was shown behind {before}")
            check(len(numbers) == sent, f"{len(numbers)} of {name}'s {sent} came")


def is_for_people(item):
    return item is not xmpp.GONE and xmpp.local(item) == "message" and item.find("{jabber:client}body") is not None


async def watch(bob, screen):
    while (item := await bob.take_where(is_for_people, 3600)) is not None:
        screen.take(item)


def stall(server):
    server.psql(server.database, f"BEGIN; LOCK TABLE talk.log IN EXCLUSIVE MODE; SELECT pg_sleep({STALL_S}); COMMIT")


async def play(server, stalls):
    streams = {name: await xmpp.log_in(server, name, f"secret-{name}", "home", "tls") for name in (*FRIENDS, "bob")}
    bob, screen, sent = streams["bob"], Screen(), 0
    bob.send("<presence/>")
    await bob.ask("get", "<ping xmlns='urn:xmpp:ping'/>", server.domain)
    await asyncio.sleep(server.settle_s)
    watching = asyncio.ensure_future(watch(bob, screen))

    def write():
        nonlocal sent
        sent += 1
        for name in FRIENDS:
            streams[name].send(f"<message to='bob@{server.domain}' type='chat' id='{name}{sent}'><body>{name} {sent}</body></message>")

    async def write_for(seconds):
        for _ in range(int(seconds / PAUSE_S)):
            write()
            await asyncio.sleep(PAUSE_S)

    for n in range(stalls):
        holding = threading.Thread(target=stall, args=(server,))
        holding.start()
        await write_for(STALL_S + CALMS_S[n % 2])
        await asyncio.to_thread(holding.join)
    for _ in range(100):        # the event of the last one may be lost, so others follow
        if not watching.done() and len(screen.ids) == 2 * sent:
            break
        write()
        await asyncio.sleep(0.2)
    if watching.done():
        watching.result()
    watching.cancel()
    screen.judge(sent)
    for stream in streams.values():
        stream.link.abort()
    return sent, screen.repeats


def main():
    stalls = times(__doc__, 12, "stalls")

    def prepare(server):
        for node in server.nodes:
            node.environment = lambda: FAULTS

    def prove(server):
        sent, repeats = asyncio.run(play(server, stalls))
        ahead = int(sum(node.metric("bongsu_talk_messages_ahead_total") for node in server.nodes))
        check(ahead, "nothing went ahead")
        return f"{2 * sent} messages through {stalls} stalls, {ahead} of them ahead; {repeats} came again, under the same id"

    return alone(servers.BongsuThree, (*FRIENDS, "bob"), prove, prepare)


if __name__ == "__main__":
    sys.exit(main())
