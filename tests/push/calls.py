#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""calls.py: a relay with the configuration that deploy/ makes for a site, and credentials that the messenger gives (XEP-0215).

    tests/push/calls.py             # the server is build/src/processes/bongsu, or $BONGSU; needs Debian's coturn

An allocation must succeed with what a client is told, and with nothing else; through the relay nobody reaches what is private.
"""
import asyncio
import base64
import hmac
import os
import re
import shutil
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(TOP, "tests/lib"), os.path.join(TOP, "deploy")]
import server as servers                                                    # noqa: E402
import siteconf                                                             # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import check, play                                              # noqa: E402

NS = "{urn:xmpp:extdisco:2}"


def own_address():
    """One that is not loopback, as coturn refuses to relay to that; None: there is none."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.connect(("192.0.2.1", 9))
        return s.getsockname()[0]
    except OSError:
        return None
    finally:
        s.close()


class Relay:
    """A site's coturn, from `site init` on."""

    def __init__(self, directory, address):
        self.address = address
        self.port, tls = servers.free_ports(2)
        conf = os.path.join(directory, "site.conf")
        with open(conf, "w") as f:
            f.write(f"site = one\nsites = one {address}\ndomain = town.example\nport.turn = {self.port}\nport.turns = {tls}\n"
                    f"turn.ports = 40000-40999\nrun_dir = {directory}/run\nsecrets_dir = {directory}/sites/one/secrets\n")
        subprocess.run([os.path.join(TOP, "deploy/site"), "init", "--settings", conf, "--out", f"{directory}/sites"], check=True, capture_output=True)
        self.site = siteconf.Settings.read(conf)
        os.makedirs(f"{directory}/run/turn", exist_ok=True)
        self.conf = os.path.join(directory, "turnserver.conf")
        with open(self.conf, "w") as f:
            f.write(siteconf.coturn(self.site))
        self.log = os.path.join(directory, "turn.log")

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["turnserver", "-c", self.conf], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                return socket.create_connection((self.address, self.port), 1).close()
            except OSError:
                time.sleep(0.1)
        raise servers.ServerError("coturn did not start:\n" + open(self.log, errors="replace").read()[-3000:])

    def stop(self):
        self.process.kill()
        self.process.wait()

    def use(self, user, password, *more):
        """turnutils_uclient: (what it said, it went well)."""
        done = subprocess.run(["timeout", "20", "turnutils_uclient", "-v", "-c", "-n", "3", "-p", str(self.port), "-u", user, "-w", password, *more,
                               self.address], text=True, capture_output=True)
        text = done.stdout + done.stderr
        return text, "Received relay addr" in text


class Place:
    def __init__(self, server, relay):
        self.server, self.relay = server, relay
        server.add_users({"alice": "secret", "bob": "secret"})

    def ask(self, payload, name="alice"):
        async def go():
            s = await xmpp.log_in(self.server, name, "secret", "home", "tls")
            answer = await s.ask("get", payload, self.server.domain)
            s.link.close()
            return answer
        return asyncio.new_event_loop().run_until_complete(go())

    def services(self, kind=None, name="alice"):
        answer = self.ask(f"<services xmlns='urn:xmpp:extdisco:2'{f' type={chr(39)}{kind}{chr(39)}' if kind else ''}/>", name)
        return [e.attrib for e in answer.iter(NS + "service")]

    def turn(self, name="alice"):
        return next(v for v in self.services("turn", name) if v["transport"] == "udp")


# ---- what must be true ----

def what_is_told(p):
    """clients are told of STUN and TURN, with credentials that expire"""
    all_ = p.services()
    check([(v["type"], v["transport"]) for v in all_] == [("stun", "udp"), ("turn", "udp"), ("turn", "tcp")], f"{all_}")
    check(all(v["host"] == p.relay.address and v["port"] == str(p.relay.port) for v in all_), f"{all_}")
    check("username" not in all_[0] and all(v["restricted"] == "true" for v in all_[1:]), f"{all_}")
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", all_[1]["expires"]), all_[1]["expires"])
    check(11 * 3600 < int(all_[1]["username"].partition(":")[0]) - time.time() <= 12 * 3600, all_[1]["username"])
    check("alice" not in all_[1]["username"], "the relay's log would name her")
    check(p.turn("alice")["username"].partition(":")[2] != p.turn("bob")["username"].partition(":")[2], "two accounts look the same")
    check([v["type"] for v in p.services("stun")] == ["stun"] and p.services("nothing") == [], "the type is not heeded")


def credentials(p):
    """credentials for one service (XEP-0215 §3.3)"""
    answer = p.ask(f"<credentials xmlns='urn:xmpp:extdisco:2'><service host='{p.relay.address}' type='turn'/></credentials>")
    found = [e.attrib for e in answer.iter(NS + "service")]
    check(len(found) == 2 and all(v["password"] for v in found), xmpp.show(answer))
    answer = p.ask(f"<credentials xmlns='urn:xmpp:extdisco:2'><service host='{p.relay.address}' type='turn' port='{p.relay.port + 1}'/></credentials>")
    check(answer.get("type") == "error", xmpp.show(answer))


def an_allocation(p):
    """with them there is an allocation, by UDP and TCP, and two callers meet at the relay"""
    v = p.turn()
    for way in ([], ["-t"]):
        text, fine = p.relay.use(v["username"], v["password"], "-y", *way)
        check(fine, text[-1500:])
        check(re.search(r"lost packets 0 .*total send dropped 0", text) and "tot_recv_msgs=6" in text, text[-1500:])


def nothing_else(p):
    """with others there is none: wrong, or good until a minute ago"""
    v = p.turn()
    secret = p.relay.site.passwords()["turn"].encode()

    def made(seconds):
        user = f"{int(time.time()) + seconds}:abc"
        return user, base64.b64encode(hmac.new(secret, user.encode(), "sha1").digest()).decode()
    for (user, password), good in (((v["username"], ("B" if v["password"][0] == "A" else "A") + v["password"][1:]), False), (made(-60), False), (made(60), True)):
        text, fine = p.relay.use(user, password, "-y")
        check(fine == good, text[-1500:])


def nothing_private(p):
    """the relay leads nobody to private addresses"""
    v = p.turn()
    for peer in ("127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254"):
        text, _ = p.relay.use(v["username"], v["password"], "-e", peer)
        check("403" in text or "Forbidden" in text, f"{peer}: {text[-1500:]}")


def main():
    address = own_address()
    why = servers.Bongsu.missing() or (None if shutil.which("turnserver") else "the package coturn is not installed") or \
        (None if address else "this machine has no address but loopback")
    if why:
        print(f"skipped: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    server = servers.Bongsu()
    relay = Relay(server.dir, address)
    with open(server.config, "a") as f:
        f.writelines(f"{n} = {v}\n" for n, v in siteconf.turn_for_bongsu(relay.site).items())
    relay.start()
    trials = [what_is_told, credentials, an_allocation, nothing_else, nothing_private]
    try:
        with server:
            failed = play(trials, Place(server, relay))
            if failed:
                print(open(relay.log, errors="replace").read()[-2000:])
    finally:
        relay.stop()
    print(f"{len(trials) - failed} passed, {failed} failed, 0 skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
