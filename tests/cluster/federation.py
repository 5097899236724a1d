#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""federation.py: three sites as deploy/ makes them, and a Prosody that finds them in DNS: closed at first, opened by following
docs/runbooks/other-servers.md to the letter, then through a site that is lost. Needs root."""
import asyncio
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(TOP, "drill"), os.path.join(TOP, "tests/federation"), os.path.join(TOP, "tests/lib")]
import lab as labs                                                          # noqa: E402
import peers                                                                # noqa: E402
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from names import A, SRV, Names                                             # noqa: E402
from run import BACKUP, cannot, count, play                                 # noqa: E402
from runbooks import desk, follow                                           # noqa: E402
from trials import check                                                    # noqa: E402

FARM, SECRET, HEAR_S, DNS_PORT = "farm.example", "secret", 90, 5353
BONGSU, CONFIG = os.path.join(labs.PROGRAMS, "bongsu"), "/etc/bongsu/bongsu.conf"


class Prosody(servers.Prosody):
    """Where the people live, with a certificate of the sites' authority."""
    domain = FARM

    def __init__(self, lab):
        self.lab, self.authority = lab, os.path.join(lab.made, "authority")
        self.s2s, self.s2s_tls = servers.free_ports(2)
        super().__init__(peers.PROSODY_S2S.format(s2s=self.s2s, s2s_tls=self.s2s_tls, dns=DNS_PORT) + 's2s_interfaces = { "0.0.0.0" }\n')

    def prepare(self):
        super().prepare()
        peers.prosody_speaks(self)


def tell_names(names, lab):
    """What an operator writes into DNS."""
    people = lab.places[labs.PEOPLE].address
    names.records[FARM, A] = [people]
    for site in lab.names:
        names.records[f"{site}.{lab.domain}", A] = [lab.places[site].address]
    names.records[f"_xmpp-server._tcp.{lab.domain}", SRV] = [(0, 1, 5269, f"{site}.{lab.domain}") for site in lab.names]
    names.records[f"_xmpps-server._tcp.{lab.domain}", SRV] = [(0, 1, 5270, f"{site}.{lab.domain}") for site in lab.names]


async def at_site(lab, site, name):
    """Through HAProxy, TLS from the first byte."""
    link = await xmpp.link_open(lab.places[site].address, int(lab.settings[site]["port.xmpps"]), xmpp.client_context(lab.ca), lab.domain)
    stream = xmpp.Stream(link)
    await xmpp.authenticate(stream, await xmpp.open_stream(stream, lab.domain), name, SECRET)
    stream.features = await xmpp.open_stream(stream, lab.domain)
    await xmpp.bind(stream, "home")
    stream.send("<presence/>")
    return stream


def say(stream, to, words):
    stream.send(f"<message to='{to}' type='chat' id='{os.urandom(8).hex()}'><body>{words}</body></message>")


async def hear(stream, words, sender):
    got = await stream.take_where(lambda i: i is not xmpp.GONE and i.findtext("{jabber:client}body") == words, HEAR_S)
    check(got is not None and got.get("from", "").startswith(sender), f"“{words}” did not arrive: {got is not None and xmpp.show(got)}")


def courier(lab, site):
    """What `bongsu status` tells of it; nothing while it is away."""
    try:
        return json.loads(lab.exec(site, [BONGSU, "status", "--json", "--config", CONFIG], check=False))["courier"]
    except (ValueError, KeyError):
        return {}


def until(true, seconds):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.1)
    return true()


def played(lab, conversation):
    """Its sockets are the people's."""
    with lab.inside(labs.PEOPLE):
        asyncio.run(conversation)


def closed_to_others(lab):
    """`federation = no`: nobody listens, and who writes to another server is told."""
    async def conversation():
        alice = await at_site(lab, "s1", "alice")
        for port in (5269, 5270):
            try:
                link = await xmpp.link_open(lab.places["s1"].address, port)
            except OSError:
                continue
            link.abort()
            check(False, f"somebody listens at {port}")
        say(alice, f"bob@{FARM}", "too early")
        back = await alice.take_where(lambda i: i is not xmpp.GONE and i.get("type") == "error", HEAR_S)
        check(back is not None and back.get("from") == f"bob@{FARM}", "the sender is not told")
        alice.end_stream()
    played(lab, conversation())


def the_page_opens_it(lab):
    follow(lab, "other-servers.md")
    for name in lab.names:
        lab.learn(name)
    lab.wait_healthy(90)


def both_write(lab):
    """From each site, and back."""
    async def conversation():
        bob = await xmpp.log_in(lab.farm, "bob", SECRET)
        bob.send("<presence/>")
        for site in lab.names:
            alice = await at_site(lab, site, "alice")
            say(alice, f"bob@{FARM}", f"from {site}")
            await hear(bob, f"from {site}", f"alice@{lab.domain}")
            say(bob, f"alice@{lab.domain}", f"to {site}")
            await hear(alice, f"to {site}", f"bob@{FARM}")
            alice.end_stream()
        bob.end_stream()
    played(lab, conversation())
    check(until(lambda: courier(lab, "s1").get("waiting") == 0, HEAR_S), f"what was delivered still waits: {courier(lab, 's1')}")


def speaker(lab):
    """The site that has the connection."""
    return next((site for site in lab.names if courier(lab, site).get("connections_out")), lab.primary())


def a_site_is_lost(lab):
    """The one that had the connection: the others go on, both ways. It is killed, not cut off: when a server notices that a site has
    fallen silent is that server's own business."""
    lost = speaker(lab)
    left = next(n for n in lab.names if n != lost)
    lab.kill_site(lost)

    async def conversation():
        bob = await xmpp.log_in(lab.farm, "bob", SECRET)
        bob.send("<presence/>")
        alice = await at_site(lab, left, "alice")
        say(alice, f"bob@{FARM}", "we are still here")
        await hear(bob, "we are still here", f"alice@{lab.domain}")
        say(bob, f"alice@{lab.domain}", "good")
        await hear(alice, "good", f"bob@{FARM}")
        for stream in (alice, bob):
            stream.end_stream()
    played(lab, conversation())
    lab.start_site(lost)
    lab.wait_healthy(90)
    return f"{lost} was lost"


TRIALS = [closed_to_others, the_page_opens_it, both_write, a_site_is_lost]


def why_not():
    if servers.Bongsu.missing() or servers.Prosody.missing():
        return servers.Bongsu.missing() or servers.Prosody.missing()
    return None


def main():
    if cannot(TRIALS):
        return 77
    if why_not():
        print(f"skipped: {why_not()}\n0 passed, 0 failed, {len(TRIALS)} skipped")
        return 77
    settings = {"federation": "no", "bongsu.federation.ca": "/etc/bongsu/secrets/ca.pem", "bongsu.federation.retry_time_max": "1s"}
    with labs.Lab(bongsu=servers.BONGSU, backup=True, settings=settings) as lab:
        desk(lab)
        resolver = f"{lab.places[labs.PEOPLE].address}:{DNS_PORT}"
        with open(lab.conf, "a") as f:
            f.write(f"bongsu.federation.resolver = {resolver}\n")
        lab.wait_healthy(90)
        for site in lab.settings["s1"].backup_sites:
            lab.exec(site, [BACKUP, "full"], timeout=180)
        lab.exec("s1", [BONGSU, "user", "add", "alice", "--password-stdin", "--config", CONFIG], input=SECRET + "\n")
        with lab.inside(labs.PEOPLE):
            names = Names("0.0.0.0", DNS_PORT)
            tell_names(names, lab)
            lab.farm = Prosody(lab)
            names.records[f"_xmpp-server._tcp.{FARM}", SRV] = [(0, 1, lab.farm.s2s, FARM)]
            lab.farm.add_users({"bob": SECRET})
            lab.farm.start()
        try:
            passed, failed = play(TRIALS, lab, lambda lab: False)       # each begins where the one before it ended
            if failed:
                print(lab.farm.tail(), lab.tails(30), flush=True)
        finally:
            lab.farm.remove()
            names.close()
    return count(TRIALS, passed, failed)


if __name__ == "__main__":
    sys.exit(main())
