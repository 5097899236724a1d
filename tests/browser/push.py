#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""push.py: from a message to the notification of our app in Chromium: push.py

Real: the app's settings and what it orders; the server's Web Push sender, encryption and signature (RFC 8030, 8291, 8292), over TLS; the
app's service worker, which gets the payload from Chromium as a push, and the notification that Chromium then holds.
Not real: the push service. Chromium's own is a company's, which a test must not need, so PushManager.subscribe answers a subscription at
the service of tests/push/, which checks and decrypts what it gets as a browser would; the plain payload is then handed to Chromium by
its debugging protocol. A click on a notification cannot be made without a desktop: the worker gets the event of one, and its focus() and
openWindow(), which want a person's hand, are noted in its place."""
import os
import sqlite3
import sys
import time

import app
from app import servers

sys.path.insert(0, os.path.join(servers.TOP, "tests/push"))
from service import Service, b64        # noqa: E402


class Pushes:
    """A subscription at a push service, for the one browser of this test."""

    def __init__(self, service, server):
        self.server, self.service, self.browser, self.taken = server, service, service.browser(), 0

    def subscription(self):
        return {"endpoint": self.browser.endpoint, "keys": {"p256dh": self.browser.p256dh, "auth": b64(self.browser.auth)}}

    def next(self):
        """The payload of the next push, when it has come."""
        self.taken += 1
        payload = self.browser.wait(self.taken)[-1]["payload"]
        if self.service.faults:
            raise AssertionError(f"a push was wrong: {self.service.faults}")
        return payload

    def another(self):
        """The browser has another subscription from now on."""
        self.browser, self.taken = self.service.browser(), 0
        return self.subscription()

    def lose(self):
        """The push service does not know it any more, and says so to the next push."""
        self.browser.answers = [410]

    def lost(self):
        """It has said so, and the server has forgotten it."""
        self.browser.wait(self.taken + 1, asked=True)
        deadline = time.monotonic() + 20
        while "push.removed" not in open(self.server.log, errors="replace").read():
            if time.monotonic() > deadline:
                raise AssertionError("the server goes on with a subscription that is no more")
            time.sleep(0.1)

    def count(self):
        return len(self.browser.asked)

    def muted(self):
        """The chats that are not to wake it, as the server has it."""
        with sqlite3.connect(f"file:{self.server.dir}/data/talk.db?mode=ro", uri=True) as db:
            return [jid for (muted,) in db.execute("SELECT muted FROM push") for jid in muted.split()]


def main():
    why = servers.Bongsu.missing() or app.prepare()
    if why:
        print(f"skip  push: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    with app.town(pushes=True) as (server, url):
        service = Service(server.crt, server.key)
        pushes = Pushes(service, server)
        try:
            return app.play(["node", "app/push.js", url], {**app.of(server), **{name: getattr(pushes, name) for name in ("subscription", "next", "count", "another", "lose", "lost", "muted")}})
        finally:
            service.close()


if __name__ == "__main__":
    sys.exit(main())
