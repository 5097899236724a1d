#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""rooms_again.py: what was said in a room at one messenger is sent again at another one, where nothing of it has been shown yet: its
author sees it in its place, behind what is before it.

    tools/with-postgres tests/fault/rooms_again.py
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

NS_MUC, HEAR_S, ROUNDS = "http://jabber.org/protocol/muc", 30, 3
FAULTS = {"BONGSU_FAULT": "talk.room_event=%1:io", "BONGSU_FAULT_ROLE": "talk"}     # the bus loses all that it could hear of the room


async def enter(node, room, resource):
    stream = await xmpp.log_in(node, "alice", "secret-alice", resource, "tls")
    stream.send(f"<presence to='{room}/alice'><x xmlns='{NS_MUC}'><history maxstanzas='0'/></x></presence>")
    came = await stream.take_where(lambda i: xmpp.local(i) == "message" and i.find("{jabber:client}subject") is not None, HEAR_S)
    check(came is not None, f"{resource} did not come in")
    return stream


async def heard(stream):
    item = await stream.take_where(lambda i: xmpp.local(i) == "message" and i.find("{jabber:client}body") is not None, HEAR_S)
    check(item is not None, "nothing was heard")
    return item.findtext("{jabber:client}body")


async def play(server):
    room = f"town@rooms.{server.domain}"
    desk = await enter(server.nodes[0], room, "desk")
    await desk.ask("set", f"<query xmlns='{NS_MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>", to=room)
    phone = await enter(server.nodes[1], room, "phone")
    for n in range(ROUNDS):
        first, second = (f"<message to='{room}' type='groupchat' id='{i}{n}'><body>{i} {n}</body><origin-id xmlns='urn:xmpp:sid:0' id='{i}{n}'/>"
                         "</message>" for i in ("first", "second"))
        async with Standstill(server) as still:
            desk.send_raw(first + second)
            await still.waiting(1)
            phone.send_raw(second)
            await still.waiting(2)
        for stream, name in ((phone, "phone"), (desk, "desk")):
            for words in (f"first {n}", f"second {n}"):
                said = await heard(stream)
                check(said == words, f"the {name} heard “{said}” where “{words}” should be")
    return f"{ROUNDS} times what was sent again stood in its place"


def prepare(server):
    server.nodes[1].environment = lambda: FAULTS


if __name__ == "__main__":
    sys.exit(alone(servers.BongsuThree, ("alice",), lambda server: asyncio.run(play(server)), prepare))
