# SPDX-License-Identifier: AGPL-3.0-or-later
"""people.py: two servers, the people of both, and what they say and hear."""
import asyncio
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import peers                                                                # noqa: E402
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from component import open_doors                                            # noqa: E402
from names import A, SRV, Names                                             # noqa: E402
from trials import check                                                    # noqa: E402

HERE, THERE = "here.example", "there.example"
IRC = f"irc.{HERE}"             # a component of ours
ROSTER = "<query xmlns='jabber:iq:roster'/>"
MAY_WAIT = 300                  # stanzas for a domain, where the trial about that is played
BOUNDS = {"bongsu": "talk.bytes_per_second_max = 64M\n", "bongsu-three": f"federation.queue_stanzas_max = {MAY_WAIT}\n"}
PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")


def rooms_of(domain):
    return f"rooms.{domain}"


class Town:
    """Two servers and their people: alice here on Bongsu, bob there on the peer."""

    def __init__(self, kind, here="bongsu", shared_authority=True):
        self.names = Names()
        self.here = peers.serves(here, self.names, HERE, extra=BOUNDS[here])
        self.there = peers.serves(kind, self.names, THERE, authority=self.here.dir if shared_authority else None)
        self.kind = kind
        self.sends_again = kind == "bongsu" or kind == "prosody" and shared_authority   # Prosody asks for acknowledgements after SASL, not after dialback
        self.alice_jid, self.bob_jid = f"alice@{HERE}", f"bob@{THERE}"
        open_doors(self.here, IRC)
        self.found_with(HERE, IRC, rooms_of(HERE))
        self.found_with(THERE, rooms_of(THERE))
        for s in (self.here, self.there):
            s.add_users({name: "secret" for name in PEOPLE})

    def found_with(self, domain, *below):
        """Names below a domain, which others find where they find it."""
        for name in below:
            for service in ("_xmpp-server._tcp", "_xmpps-server._tcp"):
                if (f"{service}.{domain}", SRV) in self.names.records:
                    self.names.records[f"{service}.{name}", SRV] = self.names.records[f"{service}.{domain}", SRV]
            self.names.records[name, A] = self.names.records[domain, A]

    def start(self):
        self.here.start()
        self.there.start()

    def remove(self):
        self.here.remove()
        self.there.remove()
        self.names.close()

    def peer_leaves(self):
        """The other server stops, and is not found before bob is in: what comes while he comes in is for his server to put in order."""
        self.there.stop()
        self.records = dict(self.names.records)
        self.names.domain(THERE, 1, 1)

    async def peer_returns(self):
        self.there.start()
        bob = await self.bob()
        self.names.records = self.records
        return bob

    async def alice(self, resource="home"):
        return await self.enter(self.here, "alice", resource)

    async def bob(self, resource="home"):
        return await self.enter(self.there, "bob", resource)

    @staticmethod
    async def enter(server, name, resource):
        stream = await xmpp.log_in(server, name, "secret", resource, "starttls")
        await stream.ask("get", ROSTER)
        stream.send("<presence/>")
        await stream.take_where(lambda i: xmpp.local(i) == "presence" and i.get("from", "").endswith("/" + resource))
        return stream


def text_of(item):
    body = item.find("{jabber:client}body")
    return None if body is None else body.text


async def hear(stream, words, seconds=25, sender=None):
    """A message with that body."""
    item = await stream.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "message" and text_of(i) == words, seconds)
    check(item is not None and item is not xmpp.GONE, f"“{words}” did not arrive")
    if sender:
        check(item.get("from", "").startswith(sender), f"from {item.get('from')}, not {sender}")
    return item


async def presence(stream, sender, kind=None, seconds=25):
    item = await stream.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "presence" and i.get("type") == kind
                                   and i.get("from", "").startswith(sender), seconds)
    check(item is not None and item is not xmpp.GONE, f"no presence {kind or 'available'} of {sender}")
    return item


def say(stream, to, words, kind="chat"):
    """Its id."""
    ident = f"i{random.randrange(1 << 40)}"
    stream.send(f"<message to='{to}' type='{kind}' id='{ident}'><body>{words}</body></message>")
    return ident


async def durable(stream):
    """All that was sent is: this question waits for it."""
    return await stream.ask("get", "<vCard xmlns='vcard-temp'/>") is not None


async def close(*streams):
    for s in streams:
        s.end_stream()
        s.link.close()


async def role_pid(server, role):
    process = await asyncio.create_subprocess_exec(servers.BONGSU, "status", "--json", "--config", server.config,
                                                   stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return json.loads(out)["roles"][role]["pid"]
