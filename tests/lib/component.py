# SPDX-License-Identifier: AGPL-3.0-or-later
"""component.py: an external component (XEP-0114) that says what it is told and shows what it gets, right or wrong."""
import hashlib

import xmpp
from server import free_ports
from xmpp import NS_STREAMS, escape, link_open, local

NS = "jabber:component:accept"
ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"


def open_doors(server, *names):
    """Before it starts: a door for components at each of its messengers, and the names with "<first label>-secret"."""
    named = ", ".join(f"{n} {n.split('.')[0]}-secret" for n in names)
    for node in getattr(server, "nodes", [server]):
        node.component_port, = free_ports(1)
        with open(node.config, "a") as f:
            f.write(f"talk.listen_component = 127.0.0.1:{node.component_port}\ntalk.components = {named}\n")


class Component:
    """A connection to one messenger. Its stanzas are in the namespace of the stream, and shown as they came."""

    def __init__(self, domain):
        self.domain = domain

    async def open(self, node, ns=NS, to=None):
        self.stream = xmpp.Stream(await link_open("127.0.0.1", node.component_port))
        self.send(f"<?xml version='1.0'?><stream:stream xmlns='{ns}' xmlns:stream='{NS_STREAMS}' to='{escape(to or self.domain)}'>")
        self.header = await self.take(lambda i: i.tag == f"{{{NS_STREAMS}}}stream")
        return self

    def digest(self, secret=None):
        return hashlib.sha1((self.header.get("id") + (secret or self.domain.split(".")[0] + "-secret")).encode()).hexdigest()

    async def log_in(self, node):
        """True: it is in."""
        await self.open(node)
        self.send(f"<handshake>{self.digest()}</handshake>")
        return await self.take(lambda i: i.tag == f"{{{NS}}}handshake") is not None

    def send(self, text):
        self.stream.send_raw(text)

    async def take(self, fits, seconds=20):
        """The first that fits; None when the connection went, or nothing came."""
        return await self.stream.take_where(lambda i: i not in (xmpp.CLOSE, xmpp.GONE) and fits(i), seconds)

    async def stanza(self, name, seconds=20, **attrs):
        """`kind` stands for the attribute type, `sender` for from."""
        wanted = {{"kind": "type", "sender": "from"}.get(k, k): v for k, v in attrs.items()}
        return await self.take(lambda i: i.tag == f"{{{NS}}}{name}" and all(i.get(k) == v for k, v in wanted.items()), seconds)

    async def message(self, words):
        return await self.take(lambda i: i.tag == f"{{{NS}}}message" and i.findtext(f"{{{NS}}}body") == words)

    async def ended_with(self):
        """The condition of the stream error, behind which the stream and the connection must end."""
        error = await self.take(lambda i: i.tag == f"{{{NS_STREAMS}}}error")
        gone = await self.stream.take_where(lambda i: i is xmpp.GONE, 20)
        if error is None or gone is None:
            return None
        return next((local(e) for e in error if e.tag != f"{{{ERRORS}}}text"), None)

    async def beat(self):
        """All that was sent has been read: a question to the server is answered."""
        self.beats = getattr(self, "beats", 0) + 1
        ident = f"beat{self.beats}"
        self.send(f"<iq type='get' id='{ident}' from='{self.domain}' to='{self.domain.partition('.')[2]}'><ping xmlns='urn:xmpp:ping'/></iq>")
        return await self.stanza("iq", id=ident) is not None

    def close(self):
        self.stream.link.abort()
