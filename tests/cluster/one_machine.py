#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""one_machine.py: the drill's own course, played where each "site" is the same single machine: its rounds, counts and
table are tried in a minute, without root. A fault here is SIGKILL to talk, so nothing may be lost, twice or out of order."""
import os
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(TOP, "tests/lib"), os.path.join(TOP, "drill")]
import drill                                                                # noqa: E402
import rows                                                                 # noqa: E402
import server as servers                                                    # noqa: E402


class OneMachine:
    """What the drill asks of a place (place.py), with one server under three names."""
    sites = ["a", "b", "c"]

    def __init__(self, server):
        self.server, self.lab, self.directory = server, self, server.dir
        self.domain, self.ca = server.domain, server.ca

    def address(self, site):
        return "127.0.0.1", self.server.tls_port

    def net(self, place):
        return None

    def add_users(self, names):
        self.server.add_users({n: "secret-" + n for n in names})

    def primary(self):
        return "a"

    def wait_healthy(self, seconds):
        return True

    def kill_talk(self):
        out = subprocess.run(["pgrep", "-P", str(self.server.process.pid), "-f", "talk"], capture_output=True, text=True).stdout
        os.kill(int(out.split()[0]), signal.SIGKILL)


KILL = rows.Row("kill-talk", "talk is killed", 2, "any", False, lambda lab, s, o: lab.kill_talk(), lambda lab, s, o: lab.kill_talk(),
                hold_s=3)


def main():
    why = servers.Bongsu.missing()
    if why:
        print(f"skipped: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    os.environ["BONGSU_BACKOFF_MS_MAX"] = "50"
    server = servers.Bongsu()
    with tempfile.NamedTemporaryFile("w+", suffix=".md") as document:
        document.write("# Result\n\n<!-- result -->\n<!-- end of result -->\n")
        document.flush()
        args = drill.arguments(["--people", "12", "--seed", "one", "--write", document.name, "--delay", "0"])
        try:
            server.start()
            lines = drill.run(OneMachine(server), [(KILL, KILL.times)], args)
        finally:
            server.remove()
        written = "| kill-talk | 2 |" in open(document.name).read()
    good = len(lines) == 1 and not lines[0].misses()
    print(f"{good + written} passed, {2 - good - written} failed, 0 skipped")
    return 0 if good and written else 1


if __name__ == "__main__":
    sys.exit(main())
