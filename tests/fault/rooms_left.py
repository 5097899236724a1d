#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""Somebody's connection ends while the disk fails: they do not stay in the room.

  tests/fault/rooms_left.py
"""
import asyncio
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from rooms_shared import Person, check, leave_all, open_room, play, servers, until     # noqa: E402

GUESTS = [f"guest{i}" for i in range(12)]
ROUNDS = 5
FAULTS = ",".join(f"db.commit={n}:io" for n in range(30, 30 + 16 * 9, 9))


async def come_and_go(server):
    room = f"town@rooms.{server.domain}"
    owner = Person(server, "owner")
    await owner.connect()
    await open_room(owner, room)
    for name in GUESTS * ROUNDS:
        guest = Person(server, name)
        await guest.connect()
        guest.enter(room, name)
        await until(lambda: name in guest.inside or guest.refused, 2)
        guest.stream.send_raw("</stream:stream>")
        await asyncio.sleep(0.05)
        guest.stream.link.abort()
    check(await until(lambda: owner.inside == {"owner"}), f"still inside: {sorted(owner.inside)}")
    with open(server.log, errors="replace") as f:
        check("db.unhealthy" in f.read(), "no commit failed")
    leave_all([owner])


def who_has_gone_is_not_inside(server):
    """Twelve come and go, five times, while one commit in nine fails: in the end nobody but the owner is inside."""
    asyncio.run(come_and_go(server))


def main():
    why = servers.Bongsu.missing()
    if why:
        print(f"skipped: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    server = servers.make("bongsu")
    server.environment = lambda: {"BONGSU_FAULT": FAULTS, "BONGSU_FAULT_ROLE": "talk"}
    try:
        server.start()
        server.add_users({n: "secret-" + n for n in ["owner"] + GUESTS})
        failed = play([who_has_gone_is_not_inside], server)
    finally:
        server.stop()
        server.remove()
    print(f"{1 - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
