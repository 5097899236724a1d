# SPDX-License-Identifier: AGPL-3.0-or-later
"""checks.py: what the tests with real clients share: counting, and one server each."""
import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import server as servers    # noqa: E402

PASSWORD = "correct horse"


class Checks:
    """Prints one line a promise; the end is `N passed, N failed, N skipped`."""

    def __init__(self, client, known=None):
        self.client = client
        self.known = known or {}        # what this peer of ours is known to do otherwise: {promise: how}
        self.passed = self.failed = self.skipped = 0

    def check(self, what, true, detail=""):
        if true:
            self.passed += 1
            print(f"ok    {self.client}: {what}", flush=True)
        elif what in self.known:
            self.skip(what, self.known[what])
        else:
            self.failed += 1
            print(f"FAIL  {self.client}: {what}" + (f"\n      {detail}" if detail else ""), flush=True)
        return bool(true)

    def skip(self, what, why):
        self.skipped += 1
        print(f"skip  {self.client}: {what}: {why}", flush=True)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed else 0


def until(true, seconds=15):
    """Waits until `true()` says yes; its last answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = true()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(0.05)


def main(client, missing, play, known=None):
    """`missing()` says why the client cannot run, or None; `play(server, checks)` plays. `known` is what a peer
    that proves the test does otherwise: {server: {promise: how}}."""
    p = argparse.ArgumentParser()
    p.add_argument("--server", default="bongsu", choices=sorted(servers.SERVERS))
    options = p.parse_args()
    checks = Checks(client, (known or {}).get(options.server))
    why = missing() or servers.SERVERS[options.server].missing()
    if why:
        checks.skip("all", why)
        checks.end()
        return 77
    server = servers.make(options.server, bosh=True)
    server.add_users({n: PASSWORD for n in ("alice", "bob", "carol", "dave")})
    with server:
        try:
            play(server, checks)
        except Exception as e:
            import traceback
            traceback.print_exc()
            checks.check("the play came to its end", False, f"{type(e).__name__}: {e}\n{server.tail()}")
    return checks.end()
