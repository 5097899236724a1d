#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_rooms_profanity.py: Profanity in a room."""
import asyncio
import os
import sys

from checks import PASSWORD, main
from with_profanity import Terminal, log_in, missing, step, trust

import xmpp

NS_MUC = "http://jabber.org/protocol/muc"


async def conversation(server, checks):
    home = os.path.join(server.dir, "profanity")
    p = Terminal(home)
    try:
        await in_terminal(server, checks, p, trust(server, home))
    finally:
        p.end()


async def in_terminal(server, checks, p, folder):
    room = f"cave@rooms.{server.domain}"
    if not await step(p.shows, "Type '/help'|Profanity"):
        checks.skip("all", "profanity shows nothing in tmux: " + p.screen())
        return
    if not checks.check("logs in", await log_in(server, p, folder), p.screen()):
        return
    p.type(f"/join {room} nick ann")
    checks.check("makes a room", await step(p.shows, "unlocked|Room locked|requires configuration|-> You have joined|/room accept"), p.screen())
    p.type("/room accept")
    checks.check("and opens it", await step(p.shows, "Room unlocked"), p.screen())

    bob = await xmpp.log_in(server, "bob", PASSWORD)
    bob.send(f"<presence to='{room}/bob'><x xmlns='{NS_MUC}'/></presence>")
    inside = await bob.take_where(lambda i: xmpp.local(i) == "message" and i.find("{jabber:client}subject") is not None, 15)
    checks.check("another comes in", inside is not None)
    checks.check("and is seen", await step(p.shows, "bob has joined|bob"), p.screen())
    p.type("hello from the terminal")
    got = await bob.take_where(lambda i: i.findtext("{jabber:client}body") == "hello from the terminal", 15)
    checks.check("says something", got is not None and got.get("from") == f"{room}/ann")
    bob.send(f"<message to='{room}' type='groupchat' id='1'><body>봉수가 왔습니다</body></message>")
    checks.check("hears the answer", await step(p.shows, "봉수가 왔습니다"), p.screen())
    p.type("/subject set Fire burn")
    got = await bob.take_where(lambda i: i.findtext("{jabber:client}subject") == "Fire burn", 15)
    checks.check("sets the subject", got is not None)
    p.type("/kick bob enough")
    got = await bob.take_where(lambda i: xmpp.local(i) == "presence" and i.get("type") == "unavailable" and
                               i.find(f"{{{NS_MUC}#user}}x/{{{NS_MUC}#user}}status[@code='307']") is not None, 15)
    checks.check("removes somebody", got is not None, p.screen())
    p.type("/disconnect")
    p.type("/quit")


def play(server, checks):
    asyncio.run(conversation(server, checks))


if __name__ == "__main__":
    sys.exit(main("profanity in a room", missing, play))
