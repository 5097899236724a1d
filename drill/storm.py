# SPDX-License-Identifier: AGPL-3.0-or-later
"""storm.py: thousands of people of one site, who all come back at once when it is lost; bench/storm.c plays them."""
import json
import os
import select
import subprocess

from crowd import CrowdError, child_of_ours

READY_S, BACK_S = 300, 60
PREFIX = "storm"


def program(bongsu):
    """In the tree or installed, seen from the server's program."""
    here = os.path.dirname(bongsu)
    found = [p for p in (os.path.join(here, "../../bench/bongsu-storm"), os.path.join(here, "../libexec/bongsu/bongsu-storm"))
             if os.access(p, os.X_OK)]
    if not found:
        raise CrowdError("bongsu-storm is not built")
    return os.path.abspath(found[0])


def names(count):
    return [f"{PREFIX}{i}" for i in range(count)]


class Storm:
    """They are logged in when this returns. CrowdError: they could not be."""

    def __init__(self, place, site, count):
        def at(s):
            return "{}:{}".format(*place.address(s))
        self.count, self.result = count, None
        argv = [program(place.lab.bongsu), "--domain", place.domain, "--prefix", PREFIX, "--clients", str(count), "--from", at(site),
                "--to", ",".join(at(s) for s in place.sites if s != site), "--seconds", str(BACK_S)]
        self.process = subprocess.Popen(place.command("people", argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, preexec_fn=child_of_ours())
        if not self.line(READY_S):
            raise CrowdError("the storm did not gather: " + self.why())

    def why(self):
        self.process.kill()
        return self.process.stderr.read().decode(errors="replace").strip()[-500:] or "no word in time"

    def line(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        text = self.process.stdout.readline() if ready else b""
        return json.loads(text) if text else None

    def go(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def over(self):
        """Everybody is back, or their time is up."""
        if not self.result:
            self.result = self.line(0)
        if self.process.poll() is not None and not self.result:
            raise CrowdError("the storm broke: " + self.why())
        return self.result is not None

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
