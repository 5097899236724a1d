# SPDX-License-Identifier: AGPL-3.0-or-later
"""crowd.py: people.py's processes, seen from the drill: starts them, asks them, feeds the checker from their journals.

A group is one process, in one network namespace. Addresses are [site, host, port], the port for direct TLS (XEP-0368).
"""
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time

from checker import Checker, Tail

PATIENCE_S = 30                 # beyond what a command may take
HERE = os.path.dirname(os.path.abspath(__file__))


class CrowdError(Exception):
    pass


def child_of_ours():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG: not to outlive the drill


class Group:
    def __init__(self, name, directory, domain, ca, people, prefix=(), **more):
        """`people`: dicts of name, addresses, friends, interval. `prefix`: words in front of the command (ip netns exec …)."""
        self.name, self.people = name, people
        self.names = [p["name"] for p in people]
        plan, journal = os.path.join(directory, name + ".plan"), os.path.join(directory, name + ".journal")
        with open(plan, "w") as f:
            json.dump({"domain": domain, "ca": ca, "people": people, "seed": name, **more}, f)
        open(journal, "w").close()
        self.errors = os.path.join(directory, name + ".stderr")
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen([*prefix, sys.executable, os.path.join(HERE, "people.py"), plan, journal],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            preexec_fn=child_of_ours)
        self.tail = Tail(journal)

    def send(self, do, **more):
        try:
            self.process.stdin.write((json.dumps({"do": do, **more}) + "\n").encode())
            self.process.stdin.flush()
        except OSError:
            raise CrowdError(self.why_gone()) from None

    def why_gone(self):
        with open(self.errors, errors="replace") as f:
            return f"the people \"{self.name}\" are gone: " + f.read()[-2000:]

    def wait(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            raise CrowdError(self.why_gone() if ready else f"the people \"{self.name}\" did not answer in {seconds} s")
        reply = json.loads(line)
        if "error" in reply:
            raise CrowdError(f"the people \"{self.name}\": {reply['error']}")
        return reply

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Crowd:
    """Several groups and the one checker. `events`: those since the last forget()."""

    def __init__(self, groups):
        self.groups, self.checker, self.events = groups, Checker(), []
        self.group_of = {n: g for g in groups for n in g.names}

    def listen(self):
        """Takes what the journals hold by now, in the order of time."""
        new = [e for g in self.groups for e in g.tail.read()]
        new.sort(key=lambda e: e[1])
        for e in new:
            self.checker.take(e)
        self.events += [e for e in new if e[0] != "h"]

    def forget(self):
        self.events = []

    def each(self, do, names=None, **more):
        """Asks the groups of `names` (all) at the same time; their replies. `seconds` is the command's own patience."""
        asked = [g for g in self.groups if names is None or set(names) & set(g.names)]
        for g in asked:
            g.send(do, **more, **({} if names is None else {"names": [n for n in g.names if n in names]}))
        replies = [g.wait(more.get("seconds", 0) + PATIENCE_S) for g in asked]
        self.listen()
        return replies

    def start(self, seconds=60):
        """Names of those who could not get in."""
        return [n for r in self.each("start", seconds=seconds) for n in r["out"]]

    def talk(self, on):
        self.each("talk", on=on)

    def home(self, names, seconds=30):
        return [n for r in self.each("home", names, seconds=seconds) for n in r["left"]]

    def settle(self, names, seconds):
        """Until everything of `names` is acknowledged and before the eyes of `names`: (names, messages) that are not."""
        deadline = time.monotonic() + seconds
        left = [n for r in self.each("settle", names, seconds=seconds) for n in r["left"]]
        while (unseen := self.checker.unseen(set(names) - set(left))) and time.monotonic() < deadline:
            time.sleep(0.2)
            self.each("where")
        return left, unseen

    def archives(self, wanted, seconds=20):
        """The first group reads them: [owner, site, host, port]. What could not be read, with the reason."""
        self.groups[0].send("archives", wanted=wanted, seconds=seconds)
        left = self.groups[0].wait(seconds + 10 * PATIENCE_S)["left"]
        self.listen()
        return left

    def stop(self):
        for g in self.groups:
            g.stop()
