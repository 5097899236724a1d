# SPDX-License-Identifier: AGPL-3.0-or-later
"""standstill.py: a database in which no message can be stored, as long as one wants."""
import asyncio
import threading

import server as servers
from trials import check

HELD_S, TAKEN_S = 60, 30
HOLDER = "FROM pg_locks WHERE relation = 'talk.log'::regclass AND granted AND mode = 'ExclusiveLock'"
WAITERS = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"     # some behind another that waits


class Standstill:
    """Use as an asynchronous context; inside it nothing is stored."""

    def __init__(self, server):
        self.server = server
        self.thread = threading.Thread(target=self.hold)

    def hold(self):
        try:
            self.ask(f"BEGIN; LOCK TABLE talk.log IN EXCLUSIVE MODE; SELECT pg_sleep({HELD_S}); COMMIT")
        except servers.ServerError:
            pass                    # it was ended

    def ask(self, sql):
        return self.server.psql(self.server.database, sql).strip()

    async def until(self, count, who):
        for _ in range(TAKEN_S * 10):
            if int(self.ask(f"SELECT count(*) {who}")) >= count:
                return
            await asyncio.sleep(0.1)
        check(False, f"{count} did not come to the lock")

    async def __aenter__(self):
        self.thread.start()
        await self.until(1, HOLDER)
        return self

    async def waiting(self, count):
        """So many transactions wait for it to end."""
        await self.until(count, WAITERS)

    async def __aexit__(self, *_):
        self.ask(f"SELECT pg_terminate_backend(pid) {HOLDER}")
        await asyncio.to_thread(self.thread.join)
