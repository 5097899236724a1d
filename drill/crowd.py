# SPDX-License-Identifier: AGPL-3.0-or-later
"""crowd.py: the process of people.py, seen from the drill: starts it, asks it, feeds the checker from its journal."""
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


OBSERVERS = -5      # in the world they have machines of their own; here they share one with all that they observe, and come before it


def child_of_ours(niceness=0):
    """For Popen's preexec_fn."""
    def prepare():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG: not to outlive the drill
        os.nice(niceness)
    return prepare


class Crowd:
    """`events`: those since the last forget(), in the order of time. Calls raise CrowdError when the people are gone."""

    def __init__(self, directory, plan):
        """`plan`: see people.py."""
        path, journal = os.path.join(directory, "people.plan"), os.path.join(directory, "people.journal")
        self.names = [p["name"] for p in plan["people"]]
        rooms = {}
        for p in plan["people"]:
            if "room" in p:
                rooms.setdefault(p["room"], []).append(p["name"])
        self.checker, self.events = Checker(rooms), []
        with open(path, "w") as f:
            json.dump(plan, f)
        open(journal, "w").close()
        self.errors = os.path.join(directory, "people.stderr")
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "people.py"), path, journal], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=errors, preexec_fn=child_of_ours(OBSERVERS))
        self.tail = Tail(journal)

    def ask(self, do, **more):
        """`seconds` is the command's own patience."""
        try:
            self.process.stdin.write((json.dumps({"do": do, **more}) + "\n").encode())
            self.process.stdin.flush()
        except OSError:
            raise CrowdError(self.why_gone()) from None
        ready, _, _ = select.select([self.process.stdout], [], [], more.get("seconds", 0) + PATIENCE_S)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            raise CrowdError(self.why_gone() if ready else f"the people did not answer \"{do}\" in time")
        reply = json.loads(line)
        if "error" in reply:
            raise CrowdError(f"the people could not {do}: {reply['error']}")
        self.listen()
        return reply

    def why_gone(self):
        with open(self.errors, errors="replace") as f:
            return "the people are gone: " + f.read()[-2000:]

    def listen(self):
        for event in self.tail.read():
            self.checker.take(event)
            if event[0] != "h":
                self.events.append(event)

    def forget(self):
        self.events = []

    def start(self, seconds=60):
        """Names of those who could not get in."""
        return self.ask("start", seconds=seconds)["out"]

    def talk(self, on):
        self.ask("talk", on=on)

    def where(self):
        """{name: site, or None while out}."""
        return self.ask("where")["where"]

    def home(self, names, seconds=30):
        """Names of those who did not get there."""
        return self.ask("home", names=names, seconds=seconds)["left"]

    def settle(self, names, seconds):
        """Until everything of `names` is acknowledged and before the eyes of `names`: (names, messages) that are not."""
        deadline = time.monotonic() + seconds
        left = self.ask("settle", names=names, seconds=seconds)["left"]
        while (unseen := self.checker.unseen(set(names) - set(left))) and time.monotonic() < deadline:
            time.sleep(0.2)
            self.ask("where")
        return left, unseen

    def archives(self, wanted, seconds=20):
        """`wanted`: [owner, site, host, port]. What could not be read for so long, with the reason."""
        return self.ask("archives", wanted=wanted, seconds=seconds)["left"]

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
