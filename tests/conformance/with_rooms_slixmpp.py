#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_rooms_slixmpp.py: Slixmpp in a room."""
import asyncio
import sys

from checks import main
from with_slixmpp import Event, log_in, missing

PLUGINS = ("xep_0045", "xep_0249", "xep_0359", "xep_0421", "xep_0425", "xep_0004")


async def set_up(owner, room, **fields):
    """The configuration form, some of it filled in, the rest as it came."""
    form = await owner["xep_0045"].get_room_config(room)
    for name, value in fields.items():
        form.get_fields()["muc#roomconfig_" + name].set_value(value)
    await owner["xep_0045"].set_room_config(room, form)


async def said(events, seconds=10):
    """The next message with a body."""
    while True:
        m = await events.next(seconds)
        if m is None or m["body"]:
            return m


def listen(client, path):
    """The next stanza that holds such an element, whatever the plugins make of it."""
    from slixmpp.xmlstream.handler import Callback
    from slixmpp.xmlstream.matcher import MatchXPath
    queue = asyncio.Queue()
    client.register_handler(Callback("rooms " + path, MatchXPath("{jabber:client}message/" + path), queue.put_nowait))
    return queue


async def soon(queue):
    try:
        return await asyncio.wait_for(queue.get(), 10)
    except asyncio.TimeoutError:
        return None


async def conversation(server, checks):
    room = f"동굴@rooms.{server.domain}"
    alice = await log_in(server, "alice", "desk", plugins=PLUGINS)
    bob = await log_in(server, "bob", "desk", plugins=PLUGINS)
    for c in (alice, bob):
        c.send_presence()
        c.said, c.subjects = Event(c, "groupchat_message"), Event(c, "groupchat_subject")
    services = await alice["xep_0030"].get_items(jid=server.domain)
    checks.check("finds the service", any(i[0] == f"rooms.{server.domain}" for i in services["disco_items"]["items"]))

    await alice["xep_0045"].join_muc_wait(room, "Ann")
    await set_up(alice, room, roomname="The cave", persistentroom=True, membersonly=True, whois="anyone")
    checks.check("makes a room and sets it up", True)
    info = await bob["xep_0030"].get_info(jid=room)
    features = info["disco_info"]["features"]
    checks.check("the room says what it is", {"muc_membersonly", "muc_nonanonymous", "muc_persistent", "muc_hidden"} <= set(features),
                 f"{features}")

    refused = None
    try:
        await bob["xep_0045"].join_muc_wait(room, "Bob", timeout=5)
    except Exception as e:
        refused = e
    checks.check("a members-only room refuses others", refused is not None, f"{refused}")
    invited = listen(bob, "{http://jabber.org/protocol/muc#user}x/{http://jabber.org/protocol/muc#user}invite")
    await alice["xep_0045"].set_affiliation(room, "member", jid=f"bob@{server.domain}")
    checks.check("a new member is invited by the room", await soon(invited) is not None)
    await bob["xep_0045"].join_muc_wait(room, "Bob")
    checks.check("and comes in", set(bob["xep_0045"].get_roster(room)) == {"Ann", "Bob"}, f"{bob['xep_0045'].get_roster(room)}")
    checks.check("sees who is there", bob["xep_0045"].get_jid_property(room, "Ann", "jid").startswith(f"alice@{server.domain}"))

    bob.send_message(mto=room, mbody="듣고 있어?", mtype="groupchat")
    mine, theirs = await said(bob.said), await said(alice.said)
    checks.check("what one says both hear", mine is not None and theirs is not None and mine["body"] == theirs["body"] == "듣고 있어?")
    checks.check("with the same id of the room", mine["stanza_id"]["id"] == theirs["stanza_id"]["id"] != "")
    checks.check("and an occupant-id", theirs["occupant-id"]["id"] != "")

    bob.send_message(mto=f"{room}/Ann", mbody="psst", mtype="chat")
    private = None
    while private is None or private["body"] != "psst":
        private = await alice.messages.next()
        if private is None:
            break
    checks.check("a private message reaches one", private is not None and private["from"].full == f"{room}/Bob")

    bob.subjects.drain()
    alice.send_message(mto=room, mbody=None, msubject="Fire burn", mtype="groupchat")
    subject = await bob.subjects.next()
    checks.check("the subject is told", subject is not None and subject["subject"] == "Fire burn")

    pages = await bob["xep_0313"].retrieve(jid=room, rsm={"max": "20"})
    bodies = [m["mam_result"]["forwarded"]["stanza"]["body"] for m in pages["mam"]["results"]]
    checks.check("the room's archive is read", "듣고 있어?" in bodies, f"{bodies}")

    retracted = listen(bob, "{urn:xmpp:message-retract:1}retract")
    await alice.make_iq_set(ito=room, sub=_moderate(theirs["stanza_id"]["id"])).send()
    checks.check("a moderator takes a message out", await soon(retracted) is not None)

    await alice["xep_0045"].set_role(room, "Bob", "none", reason="enough")
    await asyncio.sleep(0.5)
    checks.check("and removes somebody", "Bob" not in alice["xep_0045"].get_roster(room))
    pinged = None
    try:
        await bob["xep_0199"].ping(f"{room}/Bob")
    except Exception as e:
        pinged = str(e)
    checks.check("who finds it out by a ping", pinged is not None and "not-acceptable" in pinged, f"{pinged}")
    await alice["xep_0045"].destroy(room, reason="done")
    gone = None
    try:
        await bob["xep_0030"].get_info(jid=room)
    except Exception as e:
        gone = str(e)
    checks.check("and the room ends", gone is not None and "item-not-found" in gone, f"{gone}")
    alice.disconnect()
    bob.disconnect()


def _moderate(stanza_id):
    from xml.etree import ElementTree as ET
    m = ET.Element("{urn:xmpp:message-moderate:1}moderate", id=stanza_id)
    ET.SubElement(m, "{urn:xmpp:message-retract:1}retract")
    return m


def play(server, checks):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(conversation(server, checks))


if __name__ == "__main__":
    sys.exit(main("slixmpp in a room", missing, play))
