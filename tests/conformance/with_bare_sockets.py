#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_bare_sockets.py: what no polite client does: WebSocket frames in pieces and out of order (RFC 6455,
RFC 7395), upgrades that are none, TLS versions and protocols (RFC 7590, XEP-0368)."""
import asyncio
import ssl
import struct
import sys
import warnings

from checks import main

import xmpp

OPEN = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{}' version='1.0'/>"
UPGRADE = ("GET {path} HTTP/1.1\r\nHost: {domain}\r\nUpgrade: {upgrade}\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: {version}\r\n{protocol}\r\n")


PIECES = "it takes no message in pieces"
KNOWN = {
    "prosody": {
        "an unknown version is refused": "it does not look at the version",
        "an upgrade to something else is refused": "it does not look at what to upgrade to",
        "a ping between the pieces of a message is answered": PIECES,
        "a message in pieces is put together": PIECES,
        "each element is a message of its own": PIECES,
        "a close frame is answered with one": PIECES,
        "ALPN selects xmpp-client among others": "0.12 with LuaSec 1.2 selects none",
    },
    "ejabberd": {
        "xmpp is found among several": "it compares the whole list",
        "another subprotocol is refused": "it does not look at the subprotocol",
        "an unknown version is refused": "it does not look at the version",
        "a ping between the pieces of a message is answered": PIECES,
        "a message in pieces is put together": PIECES,
        "each element is a message of its own": PIECES,
        "a close frame is answered with one": PIECES,
        "ALPN selects xmpp-client among others": "23.01 selects none",
    },
}


def missing():
    return None


class Socket:
    """A WebSocket whose frames are written and read one by one."""

    def __init__(self, server):
        self.server = server

    async def open(self):
        reply, self.reader, self.writer = await upgrade(self.server)
        assert reply.status == 101, reply.status
        self.ws = xmpp.WebSocket()      # for its way of writing frames; nothing reads for it
        self.ws.reader, self.ws.writer, self.ws.gone = self.reader, self.writer, False
        return self

    def frame(self, *args, **kwargs):
        self.ws.frame(*args, **kwargs)

    async def read(self, seconds=10):
        """(opcode, payload), or None at the end of the connection."""
        try:
            first, size = await asyncio.wait_for(self.reader.readexactly(2), seconds)
            if size == 126:
                size, = struct.unpack(">H", await self.reader.readexactly(2))
            elif size == 127:
                size, = struct.unpack(">Q", await self.reader.readexactly(8))
            return first & 15, await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.TimeoutError):
            return None

    async def read_until(self, opcode):
        while True:
            got = await self.read()
            if got is None or got[0] == opcode:
                return got

    def close(self):
        self.writer.close()


def tls_of(server):
    return server.client_tls() if server.websocket_tls else None


async def upgrade(server, path=None, upgrade="websocket", key="dGhlIHNhbXBsZSBub25jZQ==", version=13, protocol="xmpp"):
    text = UPGRADE.format(path=path or server.websocket_path, domain=server.domain, upgrade=upgrade, key=key,
                          version=version, protocol=f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else "")
    return await xmpp.http_request("127.0.0.1", server.websocket_port, text.encode(), tls_of(server), server.domain)


async def refused(server, **kwargs):
    """The status of an upgrade that must fail; 0 when the connection just ended."""
    try:
        reply, _, writer = await upgrade(server, **kwargs)
        writer.close()
        return reply.status
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0


async def upgrades(server, checks):
    reply, _, writer = await upgrade(server)
    checks.check("the key is answered as RFC 6455 §1.3 computes it",
                 reply.headers.get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", reply.headers)
    checks.check("the subprotocol is xmpp", reply.headers.get("sec-websocket-protocol") == "xmpp")
    writer.close()
    reply, _, writer = await upgrade(server, protocol="chat, xmpp")
    checks.check("xmpp is found among several", reply.status == 101 and reply.headers.get("sec-websocket-protocol") == "xmpp")
    writer.close()
    checks.check("another path is not found", await refused(server, path="/elsewhere") in (404, 400, 403))
    checks.check("another subprotocol is refused", await refused(server, protocol="chat") in (0, 400, 426, 501))
    checks.check("an unknown version is refused", await refused(server, version=99) in (400, 426))
    checks.check("an upgrade to something else is refused", await refused(server, upgrade="h2c") in (0, 200, 400, 404, 426, 501))


async def frames(server, checks):
    s = await Socket(server).open()
    first = OPEN.format(server.domain).encode()
    s.frame(1, first[:10], fin=False)
    s.frame(9, b"are you there")
    pong = await s.read()
    checks.check("a ping between the pieces of a message is answered", pong == (10, b"are you there"), pong)
    s.frame(0, first[10:30], fin=False)
    s.frame(0, first[30:])
    answer = await s.read()
    checks.check("a message in pieces is put together", answer is not None and answer[0] == 1 and b"<open" in answer[1], answer)
    features = await s.read()
    checks.check("each element is a message of its own", features is not None and b"features" in features[1], features)
    s.frame(8, struct.pack(">H", 1000))
    closed = await s.read_until(8)
    checks.check("a close frame is answered with one", closed is not None and closed[0] == 8, closed)
    s.close()

    s = await Socket(server).open()
    s.frame(2, first)
    got = await s.read_until(8)
    checks.check("a binary message ends it", got is None or got[0] == 8, got)
    s.close()

    s = await Socket(server).open()
    s.writer.write(bytes([129, len(first)]) + first)
    got = await s.read_until(8)
    checks.check("a frame without a mask ends it (RFC 6455 §5.1)", got is None or got[0] == 8, got)
    s.close()

    s = await Socket(server).open()
    s.frame(1, b"\xc3\x28")
    got = await s.read_until(8)
    checks.check("what is no UTF-8 ends it", got is None or got[0] == 8, got)
    s.close()

    s = await Socket(server).open()
    s.frame(0, b"more of nothing")
    got = await s.read_until(8)
    checks.check("a piece without a beginning ends it", got is None or got[0] == 8, got)
    s.close()

    s = await Socket(server).open()
    s.frame(9, b"x" * 126)
    got = await s.read_until(8)
    checks.check("a control frame above 125 bytes ends it (RFC 6455 §5.5)", got is None or got[0] == 8, got)
    s.close()

    s = await Socket(server).open()
    s.writer.write(bytes([129, 128 | 127]) + struct.pack(">Q", 2**40) + b"\0\0\0\0")
    got = await s.read_until(8)
    checks.check("a frame of a terabyte ends it before it comes", got is None or got[0] == 8, got)
    s.close()


async def handshake(server, low, high, alpn=None):
    """What was agreed, or the error."""
    context = server.client_tls()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # that TLS 1.0 is old is the point
        context.minimum_version, context.maximum_version = low, high
    if alpn:
        context.set_alpn_protocols(alpn)
    try:
        link = await xmpp.link_open("127.0.0.1", server.tls_port, context, server.domain)
    except (ssl.SSLError, ConnectionError) as e:
        return e, None
    tls = link.tls()
    result = tls.version(), tls.selected_alpn_protocol()
    link.abort()
    return result


async def tls(server, checks):
    v = ssl.TLSVersion
    checks.check("TLS 1.3 is spoken", (await handshake(server, v.TLSv1_3, v.TLSv1_3))[0] == "TLSv1.3")
    checks.check("TLS 1.2 is spoken", (await handshake(server, v.TLSv1_2, v.TLSv1_2))[0] == "TLSv1.2")
    for version, name in ((v.TLSv1_1, "1.1"), (v.TLSv1, "1.0")):
        got = await handshake(server, version, version)
        checks.check(f"TLS {name} is refused (RFC 8996)", isinstance(got[0], Exception), got)
    got = await handshake(server, v.TLSv1_2, v.TLSv1_3, ["h2", "xmpp-client"])
    checks.check("ALPN selects xmpp-client among others", got[1] == "xmpp-client", got)
    for mode in ("starttls", "tls"):
        wrong = ssl.create_default_context()
        right = server.client_tls
        server.client_tls = lambda: wrong
        try:
            await xmpp.connect(server, mode)
            checks.check(f"a client that does not know the authority goes away ({mode})", False)
        except ssl.SSLError:
            checks.check(f"a client that does not know the authority goes away ({mode})", True)
        finally:
            server.client_tls = right


async def rubbish(server, checks):
    """Other protocols on our ports: the connection ends, the server does not."""
    for port, what in ((server.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), (server.port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"),
                       (server.tls_port, b"<stream:stream"), (server.tls_port, b"\0" * 100),
                       (server.websocket_port, b"\0" * 100)):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(what)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 15)
            ended = True
        except asyncio.TimeoutError:
            ended = False
        except OSError:
            ended = True
        checks.check(f"{what[:12]!r} ends the connection", ended)
        writer.close()
    stream = await xmpp.log_in(server, "alice", "correct horse")
    answer = await stream.ask("get", "<ping xmlns='urn:xmpp:ping'/>", server.domain)
    checks.check("and the server serves on", answer.get("type") == "result")


async def all_of(server, checks):
    for part in (upgrades, frames, tls, rubbish):
        try:
            await part(server, checks)
        except (xmpp.XMPPError, OSError, AssertionError, asyncio.IncompleteReadError) as e:
            checks.check(f"{part.__name__} came to its end", False, repr(e))


def play(server, checks):
    asyncio.run(all_of(server, checks))


if __name__ == "__main__":
    sys.exit(main("sockets", missing, play, KNOWN))
