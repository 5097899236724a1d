# SPDX-License-Identifier: AGPL-3.0-or-later
"""xmpp.py: a small XMPP client for tests, on asyncio.

A Link carries text: TCP with or without TLS, or WebSocket (RFC 7395). A
Stream parses what comes in, hands out items in order, and notes every breach
of RFC 6120 that the server commits. log_in() makes it a bound session.

Items of a stream are ElementTree elements in Clark notation; a stream header
is an element without children, and the end of the stream is CLOSE, the end
of the connection GONE.
"""
import asyncio
import base64
import collections
import hashlib
import hmac
import os
import ssl
import struct
import xml.etree.ElementTree as ET
from xml.parsers import expat

NS_CLIENT = "jabber:client"
NS_STREAMS = "http://etherx.jabber.org/streams"
NS_TLS = "urn:ietf:params:xml:ns:xmpp-tls"
NS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
NS_BIND = "urn:ietf:params:xml:ns:xmpp-bind"
NS_STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
NS_STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
NS_FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
NS_SM = "urn:xmpp:sm:3"
NS_CB = "urn:xmpp:sasl-cb:0"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

CLOSE = ET.Element("close-of-stream")
GONE = ET.Element("end-of-connection")

CONDITIONS = set("""bad-request conflict feature-not-implemented forbidden gone internal-server-error item-not-found
    jid-malformed not-acceptable not-allowed not-authorized policy-violation recipient-unavailable redirect
    registration-required remote-server-not-found remote-server-timeout resource-constraint service-unavailable
    subscription-required undefined-condition unexpected-request""".split())


class XMPPError(Exception):
    """What the server did that ended a conversation we rely on."""


def escape(text):
    return (text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            .replace("'", "&apos;").replace('"', "&quot;"))


def local(element):
    return element.tag.rpartition("}")[2]


def namespace(element):
    return element.tag[1:].partition("}")[0] if element.tag.startswith("{") else ""


def show(element, ns=NS_CLIENT, indent=0):
    """An element as it could have stood on the wire, one child a line."""
    if element is CLOSE:
        return "</stream:stream>"
    if element is GONE:
        return "(the connection ended)"
    name, own, pad = local(element), namespace(element), "  " * indent
    prefix = "stream:" if own == NS_STREAMS else ""
    text = pad + "<" + prefix + name
    if own != ns and not prefix:
        text += f" xmlns='{escape(own)}'"
    for key, value in element.attrib.items():
        key = "xml:lang" if key == XML_LANG else key
        text += f" {key}='{escape(value)}'"
    inner = element.text or ""
    if len(element) == 0:
        return text + (f">{escape(inner)}</{prefix}{name}>" if inner else "/>")
    text += ">" + escape(inner.strip()) + "\n"
    for child in element:
        text += show(child, own if not prefix else ns, indent + 1) + "\n"
    return text + pad + f"</{prefix}{name}>"


# ---- links: bytes in and out ----

class Link(asyncio.Protocol):
    """One TCP connection, which may turn to TLS. Text goes to `on_text`."""

    def __init__(self):
        self.transport, self.on_bytes, self.on_gone = None, None, None
        self.gone = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.on_bytes:
            self.on_bytes(data)

    def connection_lost(self, exc):
        self.gone = True
        if self.on_gone:
            self.on_gone()

    async def start_tls(self, context, name):
        loop = asyncio.get_running_loop()
        self.transport = await loop.start_tls(self.transport, self, context, server_hostname=name)

    def send(self, data):
        if not self.gone and self.transport:
            self.transport.write(data)

    def close(self):
        if self.transport:
            self.transport.close()

    def abort(self):
        if self.transport and not self.gone:
            try:
                self.transport.abort()
            except AttributeError:      # Python 3.11: a TLS transport that is closing has no protocol left
                self.transport.close()

    def tls(self):
        return self.transport.get_extra_info("ssl_object") if self.transport else None


async def link_open(host, port, context=None, name=None):
    loop = asyncio.get_running_loop()
    kwargs = {"ssl": context, "server_hostname": name} if context else {}
    _, link = await loop.create_connection(Link, host, port, **kwargs)
    return link


class HTTPReply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


async def http_request(host, port, request, context=None, name=None, seconds=10):
    """Sends one request text as it is; returns the reply and the open reader and writer."""
    kwargs = {"ssl": context, "server_hostname": name} if context else {}
    reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port, **kwargs), seconds)
    writer.write(request)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), seconds)
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1])
    headers = {}
    for line in lines[1:]:
        if ":" in line:
            key, _, value = line.partition(":")
            headers[key.strip().lower()] = value.strip()
    body = b""
    if status >= 200:
        if "content-length" in headers:
            body = await asyncio.wait_for(reader.readexactly(int(headers["content-length"])), seconds)
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            while True:
                size = int((await asyncio.wait_for(reader.readline(), seconds)).split(b";")[0], 16)
                body += await asyncio.wait_for(reader.readexactly(size), seconds)
                await reader.readline()
                if size == 0:
                    break
        elif headers.get("connection", "").lower() == "close":
            body = await asyncio.wait_for(reader.read(), seconds)
    return HTTPReply(status, headers, body), reader, writer


class WebSocket:
    """The client's side of RFC 6455, with the look of a Link. One text
    message is one call of `on_bytes`."""

    def __init__(self):
        self.on_bytes, self.on_gone, self.gone = None, None, False
        self.reader = self.writer = self.task = None
        self.close_code = None

    @classmethod
    async def open(cls, host, port, path, domain, context=None, protocol="xmpp"):
        self = cls()
        key = base64.b64encode(os.urandom(16)).decode()
        request = (f"GET {path} HTTP/1.1\r\nHost: {domain}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                   f"Origin: https://{domain}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n")
        reply, self.reader, self.writer = await http_request(host, port, request.encode(), context, domain)
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        if reply.status != 101 or reply.headers.get("sec-websocket-accept") != accept.decode():
            self.writer.close()
            raise XMPPError(f"WebSocket upgrade answered {reply.status}")
        if reply.headers.get("sec-websocket-protocol") != protocol:
            raise XMPPError("WebSocket upgrade did not agree on the subprotocol xmpp (RFC 7395 §3.1)")
        self.task = asyncio.ensure_future(self.read())
        return self

    async def read(self):
        message = b""
        try:
            while True:
                first, second = await self.reader.readexactly(2)
                size = second & 127
                if second & 128:
                    raise XMPPError("the server masked a frame (RFC 6455 §5.1)")
                if size == 126:
                    size, = struct.unpack(">H", await self.reader.readexactly(2))
                elif size == 127:
                    size, = struct.unpack(">Q", await self.reader.readexactly(8))
                payload = await self.reader.readexactly(size)
                opcode = first & 15
                if opcode == 9:
                    self.frame(10, payload)
                elif opcode == 8:
                    self.close_code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
                    self.frame(8, payload[:2])
                    break
                elif opcode in (0, 1, 2):
                    message += payload
                    if first & 128:
                        whole, message = message, b""
                        if self.on_bytes:
                            self.on_bytes(whole)
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            self.gone = True
            self.writer.close()
            if self.on_gone:
                self.on_gone()

    def frame(self, opcode, payload, fin=True):
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([(128 if fin else 0) | opcode])
        if size < 126:
            head += bytes([128 | size])
        elif size < 65536:
            head += bytes([128 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([128 | 127]) + struct.pack(">Q", size)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        if not self.gone:
            self.writer.write(head + mask + masked)

    def send(self, data):
        self.frame(1, data)

    def close(self):
        self.frame(8, struct.pack(">H", 1000))

    def abort(self):
        try:
            self.writer.transport.abort()
        except AttributeError:      # never opened, or gone already (asyncio forgets its TLS side)
            pass

    def tls(self):
        return self.writer.get_extra_info("ssl_object")


# ---- streams: items in order ----

class Stream:
    """Parses one link. `items` fills by itself; take() waits for the next."""

    def __init__(self, link, framed=False):
        self.link, self.framed = link, framed
        self.items = collections.deque()
        self.news = asyncio.Event()
        self.breaches = []              # what the server did against the RFCs
        self.me = None                  # full JID once bound
        self.ended = False              # an error or the closing tag came
        self.sm = False                 # counting for XEP-0198
        self.sm_acks = True             # answers <r/> by itself
        self.sm_in = self.sm_out = 0
        self.hears = lambda item: False  # True: dealt with, not an item
        link.on_bytes, link.on_gone = self.feed, self.lost
        self.restart()

    def restart(self):
        """A new XML document begins (after TLS and SASL)."""
        p = expat.ParserCreate(namespace_separator=" ")
        p.StartElementHandler, p.EndElementHandler = self.start, self.end
        p.CharacterDataHandler = self.chars
        p.CommentHandler = lambda _: self.breach("sent a comment (RFC 6120 §11.1)")
        p.ProcessingInstructionHandler = lambda *_: self.breach("sent a processing instruction (RFC 6120 §11.1)")
        p.StartDoctypeDeclHandler = lambda *_: self.breach("sent a document type (RFC 6120 §11.1)")
        self.parser, self.depth, self.builder, self.rest = p, 0, None, b""

    def breach(self, what):
        self.breaches.append(what)

    def feed(self, data):
        if self.framed:
            self.restart()
        else:
            # Whole tags only: expat with its guard of 2024 (CVE-2023-52425) puts
            # off looking at a tag again that it has once seen unfinished.
            data = self.rest + data
            whole = data.rfind(b">") + 1
            data, self.rest = data[:whole], data[whole:]
        try:
            self.parser.Parse(data, self.framed)
        except expat.ExpatError as e:
            self.breach(f"sent what is no XML: {e}: {data[:200]!r}")

    def lost(self):
        self.push(GONE)

    @staticmethod
    def clark(name):
        ns, space, tag = name.rpartition(" ")
        return f"{{{ns}}}{tag}" if space else tag

    def start(self, name, attrs):
        tag = self.clark(name)
        attrs = {self.clark(k): v for k, v in attrs.items()}
        if not self.framed and self.depth == 0:
            self.push(ET.Element(tag, attrs))
        else:
            if self.builder is None:
                self.builder = ET.TreeBuilder()
            self.builder.start(tag, attrs)
        self.depth += 1

    def end(self, name):
        self.depth -= 1
        if not self.framed and self.depth == 0:
            self.push(CLOSE)
            return
        self.builder.end(self.clark(name))
        if self.depth == (0 if self.framed else 1):
            element = self.builder.close()
            self.builder = None
            if self.framed and element.tag == f"{{{NS_FRAMING}}}close":
                self.push(element)
                return
            self.push(element)

    def chars(self, text):
        if self.builder is not None:
            self.builder.data(text)
        elif text.strip():
            self.breach(f"sent text between stanzas: {text!r}")

    def push(self, item):
        stanza = item.tag.startswith("{jabber:client}")
        if self.me and item is not CLOSE and item is not GONE:
            self.breaches += lint(item, self.me)
        if item in (CLOSE, GONE) or item.tag in (f"{{{NS_STREAMS}}}error", f"{{{NS_FRAMING}}}close"):
            self.ended = True
        if self.sm and stanza:
            self.sm_in = (self.sm_in + 1) % 2**32
        if item.tag == f"{{{NS_SM}}}r" and self.sm and self.sm_acks:
            self.send_raw(f"<a xmlns='{NS_SM}' h='{self.sm_in}'/>")
        if self.hears(item):
            return
        self.items.append(item)
        self.news.set()

    async def take(self, seconds=10):
        """The next item, or None when nothing came in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not self.items:
            self.news.clear()
            try:
                await asyncio.wait_for(self.news.wait(), max(0.001, deadline - loop.time()))
            except asyncio.TimeoutError:
                return None
        return self.items.popleft()

    async def take_where(self, fits, seconds=10):
        """The first item that fits; the others stay where they are."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            for n, item in enumerate(self.items):
                if fits(item):
                    del self.items[n]
                    return item
                if item is GONE:
                    return None
            self.news.clear()
            try:
                await asyncio.wait_for(self.news.wait(), max(0.001, deadline - loop.time()))
            except asyncio.TimeoutError:
                return None

    def send_raw(self, text):
        self.link.send(text if isinstance(text, bytes) else text.encode())

    def send(self, text):
        """A stanza or other element of depth 1."""
        if self.sm and text.lstrip().startswith(("<message", "<iq", "<presence")):
            self.sm_out += 1
        self.send_raw(text)

    async def ask(self, kind, payload, to=None, seconds=10):
        """An iq and its answer."""
        ident = "q" + os.urandom(6).hex()
        address = f" to='{escape(to)}'" if to else ""
        self.send(f"<iq xmlns='{NS_CLIENT}' type='{kind}' id='{ident}'{address}>{payload}</iq>")
        answer = await self.take_where(lambda i: local(i) == "iq" and i.get("id") == ident and
                                       i.get("type") in ("result", "error"), seconds)
        if answer is None:
            raise XMPPError(f"no answer to an iq {kind}: {payload[:100]}")
        return answer

    def end_stream(self):
        self.send_raw(f"<close xmlns='{NS_FRAMING}'/>" if self.framed else "</stream:stream>")


def lint(e, me):
    """Breaches of RFC 6120 and 6121 in one element sent to a bound client."""
    name, ns, out = local(e), namespace(e), []
    if ns != NS_CLIENT:
        if not ns:
            out.append(f"sent <{name}/> without a namespace")
        return out
    if name not in ("message", "presence", "iq"):
        return [f"sent <{name} xmlns='jabber:client'/>, which is no stanza (RFC 6120 §8)"]
    to, kind = e.get("to"), e.get("type")
    if to is not None and to.split("/")[0] != me.split("/")[0]:
        out.append(f"sent a stanza for {to} to {me}")
    if name == "iq":
        if not e.get("id"):
            out.append("sent an iq without id (RFC 6120 §8.1.3)")
        if kind not in ("get", "set", "result", "error"):
            out.append(f"sent an iq of type {kind!r} (RFC 6120 §8.2.3)")
        elements = len(e)
        if kind in ("get", "set") and elements != 1:
            out.append(f"sent an iq {kind} with {elements} children (RFC 6120 §8.2.3)")
        if kind == "result" and elements > 1:
            out.append("sent an iq result with several children (RFC 6120 §8.2.3)")
    if name == "message" and kind not in (None, "normal", "chat", "groupchat", "headline", "error"):
        out.append(f"sent a message of type {kind!r} (RFC 6121 §5.2.2)")
    if name == "presence" and kind not in (None, "unavailable", "subscribe", "subscribed", "unsubscribe",
                                           "unsubscribed", "probe", "error"):
        out.append(f"sent a presence of type {kind!r} (RFC 6121 §4.7.1)")
    if name == "presence" and e.get("from") is None:
        out.append("sent a presence without from (RFC 6120 §8.1.2.2)")
    if kind == "error":
        errors = [c for c in e if c.tag == f"{{{NS_CLIENT}}}error"]
        if len(errors) != 1:
            return out + ["sent a stanza of type error without <error/> (RFC 6120 §8.3.1)"]
        if errors[0].get("type") not in ("auth", "cancel", "continue", "modify", "wait"):
            out.append(f"sent an error of type {errors[0].get('type')!r} (RFC 6120 §8.3.2)")
        found = [local(c) for c in errors[0] if namespace(c) == NS_STANZAS and local(c) != "text"]
        if len(found) != 1 or found[0] not in CONDITIONS:
            out.append(f"sent an error with the conditions {found} (RFC 6120 §8.3.2)")
    return out


# ---- SASL (RFC 5802, RFC 7677, XEP-0440) ----

def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


class Scram:
    """The client's half of one SCRAM exchange. `binding` is (name, data) for
    -PLUS, None when the client cannot bind, False when it could but the
    server did not offer it."""

    def __init__(self, mechanism, user, password, binding=None):
        self.hash = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}[
            mechanism.removeprefix("SCRAM-").removesuffix("-PLUS")]
        self.password = password
        flag = f"p={binding[0]}" if binding else "n" if binding is None else "y"
        self.gs2 = f"{flag},,".encode()
        self.bound = binding[1] if binding else b""
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"

    def first(self):
        return self.gs2 + self.bare.encode()

    def final(self, challenge):
        text = challenge.decode()
        parts = dict(p.split("=", 1) for p in text.split(","))
        if not parts["r"].startswith(self.nonce) or parts["r"] == self.nonce:
            raise XMPPError("the server did not add to the nonce (RFC 5802 §5.1)")
        if int(parts["i"]) < 4096:
            raise XMPPError("fewer than 4096 rounds (RFC 5802 §5.1, RFC 7677 §4)")
        salted = hashlib.pbkdf2_hmac(self.hash, self.password.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
        client = hmac.digest(salted, b"Client Key", self.hash)
        bare = "c=" + base64.b64encode(self.gs2 + self.bound).decode() + ",r=" + parts["r"]
        auth = f"{self.bare},{text},{bare}".encode()
        stored = hashlib.new(self.hash, client).digest()
        proof = xor(client, hmac.digest(stored, auth, self.hash))
        self.server = hmac.digest(hmac.digest(salted, b"Server Key", self.hash), auth, self.hash)
        return (bare + ",p=" + base64.b64encode(proof).decode()).encode()

    def check(self, final):
        parts = dict(p.split("=", 1) for p in final.decode().split(","))
        if base64.b64decode(parts.get("v", "")) != self.server:
            raise XMPPError("the server's signature is wrong: it does not know the password (RFC 5802 §5)")


def channel_binding(link):
    """tls-server-end-point (RFC 5929 §4): the one that Python can compute with TLS 1.3."""
    tls = link.tls()
    if not tls:
        return None
    return "tls-server-end-point", hashlib.sha256(tls.getpeercert(binary_form=True)).digest()


def b64(data):
    return base64.b64encode(data).decode() if data else "="


async def expect(stream, *tags, seconds=10):
    item = await stream.take(seconds)
    if item is None:
        raise XMPPError("waited for " + " or ".join(tags) + " and nothing came")
    if item.tag not in tags:
        raise XMPPError("waited for " + " or ".join(tags) + " and got " + show(item))
    return item


async def open_stream(stream, domain):
    """Sends a header; returns the features."""
    stream.restart()
    if stream.framed:
        stream.send_raw(f"<open xmlns='{NS_FRAMING}' to='{domain}' version='1.0'/>")
        await expect(stream, f"{{{NS_FRAMING}}}open")
    else:
        stream.send_raw(f"<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xml:lang='en' "
                        f"xmlns='{NS_CLIENT}' xmlns:stream='{NS_STREAMS}'>")
        await expect(stream, f"{{{NS_STREAMS}}}stream")
    return await expect(stream, f"{{{NS_STREAMS}}}features")


async def connect(server, how="starttls"):
    """A stream to `server` (see server.py) up to its first features: how is
    starttls, tls (XEP-0368), plain or websocket."""
    if how == "websocket":
        ws = await WebSocket.open("127.0.0.1", server.websocket_port, server.websocket_path, server.domain,
                                  server.client_tls() if server.websocket_tls else None)
        stream = Stream(ws, framed=True)
    elif how == "tls":
        context = server.client_tls()
        context.set_alpn_protocols(["xmpp-client"])
        stream = Stream(await link_open("127.0.0.1", server.tls_port, context, server.domain))
    else:
        stream = Stream(await link_open("127.0.0.1", server.port))
    features = await open_stream(stream, server.domain)
    if how == "starttls":
        if features.find(f"{{{NS_TLS}}}starttls") is None:
            raise XMPPError("the server offers no STARTTLS")
        stream.send_raw(f"<starttls xmlns='{NS_TLS}'/>")
        await expect(stream, f"{{{NS_TLS}}}proceed")
        await stream.link.start_tls(server.client_tls(), server.domain)
        features = await open_stream(stream, server.domain)
    return stream, features


def mechanisms(features):
    found = features.find(f"{{{NS_SASL}}}mechanisms")
    return [m.text for m in found] if found is not None else []


async def authenticate(stream, features, user, password, mechanism=None):
    offered = mechanisms(features)
    if not mechanism:
        wanted = ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]
        mechanism = next((m for m in wanted if m in offered), None)
        if not mechanism:
            raise XMPPError(f"no mechanism that we know among {offered}")
    elif mechanism not in offered:
        raise XMPPError(f"{mechanism} is not offered, only {', '.join(offered)}")
    scram = None
    if mechanism == "PLAIN":
        first = f"\0{user}\0{password}".encode()
    else:
        binding = channel_binding(stream.link) if mechanism.endswith("-PLUS") else None
        scram = Scram(mechanism, user, password, binding)
        first = scram.first()
    stream.send_raw(f"<auth xmlns='{NS_SASL}' mechanism='{mechanism}'>{b64(first)}</auth>")
    while True:
        item = await expect(stream, f"{{{NS_SASL}}}challenge", f"{{{NS_SASL}}}success", f"{{{NS_SASL}}}failure")
        data = base64.b64decode(item.text or "") if (item.text or "=") != "=" else b""
        if local(item) == "failure":
            raise XMPPError("log-in failed: " + show(item))
        if local(item) == "success":
            if scram and data:
                scram.check(data)
            return
        if scram and b"v=" in data[:2]:
            scram.check(data)
            stream.send_raw(f"<response xmlns='{NS_SASL}'/>")
        else:
            stream.send_raw(f"<response xmlns='{NS_SASL}'>{b64(scram.final(data))}</response>")


async def bind(stream, resource):
    wish = f"<resource>{escape(resource)}</resource>" if resource else ""
    answer = await stream.ask("set", f"<bind xmlns='{NS_BIND}'>{wish}</bind>")
    jid = answer.find(f"{{{NS_BIND}}}bind/{{{NS_BIND}}}jid")
    if answer.get("type") != "result" or jid is None:
        raise XMPPError("binding failed: " + show(answer))
    stream.me = jid.text


async def log_in(server, user, password, resource="home", how="starttls", mechanism=None):
    """A bound stream; `features` of the last header are kept on it."""
    stream, features = await connect(server, how)
    await authenticate(stream, features, user, password, mechanism)
    stream.features = await open_stream(stream, server.domain)
    await bind(stream, resource)
    return stream


def client_context(ca):
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
