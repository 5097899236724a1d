# SPDX-License-Identifier: AGPL-3.0-or-later
"""doors.py: bad TLS, bad WebSockets, bad HTTP, and random bytes on every port."""
import asyncio
import base64
import copy
import glob
import os
import random
import re
import ssl
import struct
import time
import xml.etree.ElementTree as ET

import xmpp
from enemy import HEADER, STANZA_BYTES_EARLY, auth_plain, check

FUZZ_SECONDS = float(os.environ.get("FUZZ_SECONDS", "10"))
SEED = os.environ.get("SEED", "1")


# ---- TLS ----

async def garbage_to_tls_ports(t):
    """what is no TLS ends on a TLS port, without an answer in clear"""
    rng = random.Random(SEED)
    for port in (t.server.tls_port, *t.https):
        for said in (rng.randbytes(3000), b"GET / HTTP/1.1\r\nHost: town.example\r\n\r\n", HEADER, b"\0" * 500,
                     b"\x80\x2e\x01\x03\x01" * 20, b"\x16\x03\x01\xff\xff" + rng.randbytes(300),
                     b"\x15\x03\x01\x00\x02\x02\x28", b"\x16\x03\x01\x00\x00" * 50):
            r = await t.raw(port)
            r.send(said)
            check(await r.end(20), f"port {port}, {said[:20]}: it may go on")
            check(b"HTTP" not in r.heard and b"<" not in r.heard[:1], f"port {port}: answered in clear")


async def garbage_after_starttls(t):
    """what is no TLS after <proceed/> ends the connection, and a stanza slipped in before TLS is not heard"""
    r = await t.raw_stream(secure=False)
    r.send(f"<starttls xmlns='{xmpp.NS_TLS}'/>" + auth_plain("mallory"))
    await r.until(b"<proceed")
    r.send(b"garbage" * 100)
    check(await r.end(20), "it may go on")
    check(b"<success" not in r.heard and b"<failure" not in r.heard, f"said: {r.heard}")


async def old_tls_is_refused(t):
    """TLS 1.0 and 1.1 and weak ciphers are refused; TLS 1.2 and 1.3 are not"""
    async def offer(port, least, most, ciphers="ALL:COMPLEMENTOFALL:@SECLEVEL=0"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers(ciphers)
        context.minimum_version, context.maximum_version = least, most
        try:
            r = await t.raw(port, context)
        except (OSError, asyncio.TimeoutError):
            return None
        found = r.writer.get_extra_info("cipher")
        r.close()
        return found
    old, v12, v13 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    for port in (t.server.tls_port, *t.https):
        check(await offer(port, old, ssl.TLSVersion.TLSv1_1) is None, f"port {port} speaks TLS 1.1")
        for weak in ("NULL", "aNULL", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384", "AES128-SHA:AES256-GCM-SHA384", "PSK"):
            got = await offer(port, v12, v12, weak + ":@SECLEVEL=0")
            check(got is None, f"port {port} takes {got}")
        check(await offer(port, v12, v12) is not None, f"port {port} does not speak TLS 1.2")
        check(await offer(port, v13, v13) is not None, f"port {port} does not speak TLS 1.3")


async def stalled_handshake_is_ended(t):
    """a TLS handshake that stalls half-way is ended"""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = t.tls().wrap_bio(incoming, outgoing, server_hostname=t.server.domain)
    try:
        hello.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    for port in (t.server.tls_port, *t.https):
        half, whole = await t.raw(port), await t.raw(port)
        half.send(hello[:100])
        whole.send(hello)
        check(await half.end(30), f"port {port}: half a greeting may wait for ever")
        check(await whole.end(30), f"port {port}: a handshake without end may wait for ever")


# ---- WebSocket ----

def upgrade(t, **changes):
    lines = {"Host": t.server.domain, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(), "Sec-WebSocket-Protocol": "xmpp"}
    lines.update({k.replace("_", "-"): v for k, v in changes.items()})
    return (f"GET {t.server.websocket_path} HTTP/1.1\r\n" +
            "".join(f"{k}: {v}\r\n" for k, v in lines.items() if v is not None) + "\r\n").encode()


def frame(opcode, payload, fin=True, mask=True, reserved=0, size=None):
    size = len(payload) if size is None else size
    head = bytes([(128 if fin else 0) | reserved | opcode])
    bit = 128 if mask else 0
    head += (bytes([bit | size]) if size < 126 else bytes([bit | 126]) + struct.pack(">H", size) if size < 65536 else
             bytes([bit | 127]) + struct.pack(">Q", size))
    return head + (b"\0\0\0\0" if mask else b"") + payload


async def websocket(t):
    r = await t.raw(t.server.websocket_port, t.tls("http/1.1"))
    r.send(upgrade(t))
    await r.until(b"\r\n\r\n")
    check(b" 101 " in r.heard, f"no upgrade: {r.heard}")
    r.heard = b""
    return r


def close_code(heard):
    """Of the close frame at the end of what was heard."""
    at = heard.rfind(b"\x88")
    return struct.unpack(">H", heard[at + 2:at + 4])[0] if at >= 0 and len(heard) >= at + 4 else None


async def bad_upgrades(t):
    """upgrades that RFC 6455 §4.2 does not allow are refused with a 4xx"""
    for said in (upgrade(t, Sec_WebSocket_Key=None), upgrade(t, Sec_WebSocket_Key="short"), upgrade(t, Sec_WebSocket_Version="8"),
                 upgrade(t, Sec_WebSocket_Protocol=None), upgrade(t, Sec_WebSocket_Protocol="chat"), upgrade(t, Upgrade="h2c"),
                 upgrade(t, Host=None), upgrade(t).replace(b"GET", b"POST"), upgrade(t).replace(b"HTTP/1.1", b"HTTP/1.0"),
                 upgrade(t).replace(b"/xmpp-websocket", b"/other"), upgrade(t).replace(b"\r\n", b"\n"),
                 b"GET /xmpp-websocket HTTP/1.1\r\nHost: town.example\r\n\r\n", b"A" * 20000, b"\r\n" * 5000):
        r = await t.raw(t.server.websocket_port, t.tls("http/1.1"))
        r.send(said)
        await r.until(b"\r\n\r\n", 20)
        check(b" 101 " not in r.heard, f"accepted: {said[:300]}")
        check(r.heard.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")), f"{said[:200]}: {r.heard[:100]}")
        r.close()


BAD_FRAMES = {
    # what: (frames, close codes that are right)
    "no mask": (frame(1, b"<open/>", mask=False), {1002}),
    "reserved bits": (frame(1, b"<open/>", reserved=64), {1002}),
    "a reserved opcode": (frame(3, b""), {1002}),
    "a reserved control opcode": (frame(11, b""), {1002}),
    "a continuation of nothing": (frame(0, b"x"), {1002}),
    "a message inside another": (frame(1, b"<op", fin=False) + frame(1, b"en/>"), {1002}),
    "a fragmented ping": (frame(9, b"", fin=False), {1002}),
    "a large ping": (frame(9, b"x" * 126), {1002}),
    "a close of one byte": (frame(8, b"x"), {1002}),
    "a close code that is none": (frame(8, struct.pack(">H", 1005)), {1002}),
    "a long size for a short frame": (b"\x81\xfe\0\1\0\0\0\0x", {1002}),
    "a size of 2^63": (b"\x81\xff" + b"\xff" * 8 + b"\0\0\0\0", {1002, 1009, 1000}),
    "no UTF-8": (frame(1, b"\xff\xfe"), {1007, 1000}),
    "binary": (frame(2, b"<open/>"), {1000, 1003}),
    "an oversized frame": (frame(1, b"<" + b"x" * (STANZA_BYTES_EARLY + 100)), {1000, 1009}),
    "a frame that says it is oversized": (frame(1, b"<x", size=1 << 32), {1000, 1009}),
    "fragments without end": (frame(1, b"<open ", fin=False) + frame(0, b"x" * 1000, fin=False) * 40, {1000, 1009}),
    "a comment as a message": (frame(1, b"<!-- x -->"), {1000, 1002}),
    "two elements in a message": (frame(1, b"<a/><b/>"), {1000}),
}


async def bad_frames(t):
    """frames that RFC 6455 §5 does not allow end the WebSocket with the right code"""
    wrong = []
    for what, (said, codes) in BAD_FRAMES.items():
        r = await websocket(t)
        r.send(said)
        ended = await r.end(20)
        if not ended or close_code(r.heard) not in codes:
            wrong.append(f"{what}: {'ended' if ended else 'goes on'}, code {close_code(r.heard)}, {r.heard[:200]}")
    check(not wrong, "; ".join(wrong))


async def frames_that_say_nothing(t):
    """floods of pings, of empty fragments and of empty messages hinder no one"""
    for said in (frame(9, b"x" * 125) * 5000, frame(1, b"<", fin=False) + frame(0, b"", fin=False) * 20000,
                 frame(10, b"") * 20000):
        r = await websocket(t)
        r.send(said)
        await t.friends.round_trip_seen()
        other = await t.log_in("carol")
        other.link.abort()
        r.close()


# ---- HTTP ----

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: town.example\r\n\r\n"


def post(*lines, body=b""):
    return b"POST / HTTP/1.1\r\nHost: town.example\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


AMBIGUOUS = {
    "length and chunked": post(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: 44"),
    "a list of lengths": post(b"Content-Length: 0, 44"),
    "a negative length": post(b"Content-Length: -1"),
    "a length with a plus": post(b"Content-Length: +0"),
    "a length in hex": post(b"Content-Length: 0x10"),
    "an endless length": post(b"Content-Length: " + b"9" * 40),
    "two codings": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "chunked, identity": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "a vertical tab before chunked": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "a space before the colon": post(b"Content-Length : 0"),
    "a folded line": post(b"X: a", b" Content-Length: 0"),
    "a bare LF": b"GET / HTTP/1.1\nHost: town.example\n\n",
    "a bare CR in a value": post(b"X: a\rContent-Length: 0"),
    "NUL in a value": post(b"X: a\0b"),
    "NUL in the path": b"GET /\0 HTTP/1.1\r\nHost: town.example\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: town.example\r\nHost: other.example\r\n\r\n",
    "a chunk size with a sign": post(b"Transfer-Encoding: chunked", body=b"+1\r\nx\r\n0\r\n\r\n"),
    "a chunk size too long": post(b"Transfer-Encoding: chunked", body=b"f" * 17 + b"\r\nx\r\n0\r\n\r\n"),
    "a chunk without its end": post(b"Transfer-Encoding: chunked", body=b"1\r\nxx0\r\n\r\n"),
    "a chunk line with LF": post(b"Transfer-Encoding: chunked", body=b"0\n\n"),
    "too many headers": post(*[b"X%d: 1" % n for n in range(500)]),
    "a huge header": post(b"X: " + b"y" * 100000),
    "a huge target": b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: town.example\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "CONNECT": b"CONNECT other.example:25 HTTP/1.1\r\nHost: town.example\r\n\r\n",
}


async def ambiguous_requests(t):
    """HTTP that can be read in two ways gets one refusal, and nothing after it is answered"""
    wrong = []
    for port in t.https:
        for what, said in AMBIGUOUS.items():
            r = await t.raw(port, t.tls("http/1.1"))
            r.send(said + SMUGGLED)
            ended = await r.end(20)
            answers = r.heard.count(b"HTTP/1.1 ")
            if not ended or answers > 1 or (answers and not r.heard.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))):
                wrong.append(f"{port} {what}: {'ended' if ended else 'goes on'}, {answers} answers: {r.heard[:60]}")
            r.close()
    check(not wrong, "; ".join(wrong))


# ---- XMPP over plain requests ----

def body(attributes="", inner=b"", head="xmlns='http://jabber.org/protocol/httpbind'"):
    return f"<body {head} {attributes}>".encode() + inner + b"</body>"


FIRST = "to='town.example' wait='1' hold='1' ver='1.6' xml:lang='en' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'"


def bosh(said):
    return (b"POST /http-bind HTTP/1.1\r\nHost: town.example\r\nContent-Type: text/xml; charset=utf-8\r\n"
            b"Content-Length: %d\r\n\r\n" % len(said)) + said


BAD_BODIES = {what: bosh(said) for what, said in {
    "nothing": b"",
    "no XML": b"hello",
    "no UTF-8": body(f"rid='1' {FIRST}", b"\xff\xfe"),
    "an element that is no body": f"<bod xmlns='http://jabber.org/protocol/httpbind' rid='1' {FIRST}/>".encode(),
    "a body of another namespace": body(f"rid='1' {FIRST}", head="xmlns='jabber:client'"),
    "two bodies": body(f"rid='1' {FIRST}") * 2,
    "half a body": body(f"rid='1' {FIRST}")[:-3],
    "a document type": b"<!DOCTYPE body [<!ENTITY e 'x'>]>" + body(f"rid='1' {FIRST}", b"&e;"),
    "no rid": body(FIRST),
    "a rid of nothing": body(f"rid='' {FIRST}"),
    "a negative rid": body(f"rid='-1' {FIRST}"),
    "a rid of 2^64": body(f"rid='18446744073709551616' {FIRST}"),
    "a wait of words": body("rid='1' to='town.example' wait='long' hold='1'"),
    "a hold of 2^64": body("rid='1' to='town.example' wait='1' hold='18446744073709551616'"),
    "a session that is guessed": body("rid='2' sid='00000000000000000000000000000000'", b"<presence xmlns='jabber:client'/>"),
    "a session with a long name": body(f"rid='2' sid='{'x' * 5000}'"),
    "another server's": body("rid='1' to='other.example' wait='1' hold='1' ver='1.6'"),
    "more than there may be": body(f"rid='1' {FIRST}", b"<x>" + b"y" * 3000000 + b"</x>"),
}.items()}


async def bad_bodies(t):
    """requests for XMPP over HTTP that XEP-0124 does not allow are refused, each with one answer, and make no session"""
    wrong = []

    async def say(what, said):
        r = await t.raw(t.server.bosh_port, t.tls("http/1.1"))
        r.send(said)
        await r.until(b"</body>", 2)
        refused = r.heard.startswith(b"HTTP/1.1 4") or (b"terminate" in r.heard and b"sid=" not in r.heard)
        if not refused or r.heard.count(b"HTTP/1.1 ") > 1:
            wrong.append(f"{what}: {r.heard[:300]}")
        r.close()
    await asyncio.gather(*(say(*one) for one in BAD_BODIES.items()))
    check(not wrong, "; ".join(wrong))


async def sessions_that_nobody_fetches(t):
    """hundreds of sessions over HTTP, left alone as soon as they are made, hinder no one and are gone in time"""
    names = []

    async def make(address, first):
        for n in range(first, first + 30):
            r = await t.raw(t.server.bosh_port, t.tls("http/1.1"), address)
            r.send(bosh(body(f"rid='{n}' {FIRST}")))
            await r.until(b"</body>")
            names.extend(re.findall(rb"sid='([^']+)'", r.heard))
            r.close()
    await asyncio.gather(*(make(t.address(), n * 1000 + 1) for n in range(10)))
    check(len(names) > 100, f"{len(names)} were made")
    await t.friends.round_trip_seen()
    (await t.log_in("carol")).link.abort()
    deadline = time.monotonic() + 60
    for name in (names[0], names[-1]):
        heard = b""
        while b"item-not-found" not in heard:       # to ask is to be there: so with a rid that is refused, and rarely
            check(time.monotonic() < deadline, f"one is still there: {heard[-300:]}")
            await asyncio.sleep(2)
            r = await t.raw(t.server.bosh_port, t.tls("http/1.1"))
            r.send(bosh(body(f"rid='999999' sid='{name.decode()}'")))
            heard = await r.until(b"</body>")
            r.close()


async def paths_out_of_the_folder(t):
    """no path leads out of the app's folder"""
    for path in ("/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/..%2f..%2fetc/passwd",
                 "/.%00/etc/passwd", "/\\..\\..\\etc\\passwd", "/./../bongsu.conf", "/data/talk.db", "/%ff%fe", "/" + "../" * 1000):
        r = await t.raw(t.server.web_port, t.tls("http/1.1"))
        r.send(f"GET {path} HTTP/1.1\r\nHost: {t.server.domain}\r\nConnection: close\r\n\r\n")
        check(await r.end(), f"{path}: no end")
        check(b"root:" not in r.heard and b"SQLite" not in r.heard and b"domain =" not in r.heard, f"{path}: it was sent")
        check(r.heard.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200")), f"{path}: {r.heard[:100]}")


async def slow_requests_are_ended(t):
    """an HTTP head that comes byte by byte is ended"""
    for port in t.https:
        r = await t.raw(port, t.tls("http/1.1"))
        deadline = time.monotonic() + 40
        for byte in b"GET / HTTP/1.1\r\nHost: town.example\r\n" + b"X: y\r\n" * 1000:
            r.send(bytes([byte]))
            await asyncio.sleep(0.3)
            if r.ended or time.monotonic() > deadline:
                break
        check(r.ended, f"port {port}: it may go on for ever")


# ---- random bytes ----

SEEDS = [HEADER, auth_plain("mallory", "guess").encode(), b"<presence/>", b"<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
         b"<message to='mallory@town.example'><body>1</body></message>", b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
         b"<r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='7'/>", b"<iq type='set' id='2'><query xmlns='urn:xmpp:mam:2'/></iq>",
         b"<iq type='get' id='3'><query xmlns='jabber:iq:roster'/></iq>", b"<enable xmlns='urn:xmpp:carbons:2'/>",
         b"<iq type='set' id='4'><query xmlns='jabber:iq:roster'><item jid='x@town.example'/></query></iq>",
         b"<iq type='set' id='5'><block xmlns='urn:xmpp:blocking'><item jid='y@town.example'/></block></iq>",
         b"<inactive xmlns='urn:xmpp:csi:0'/><active xmlns='urn:xmpp:csi:0'/>",
         b"<iq type='set' id='6'><vCard xmlns='vcard-temp'><FN>M</FN></vCard></iq>"]


def twist(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(4)
        if kind == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 1:
            data[at:at + rng.randrange(20)] = b""
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.randrange(10))
        else:
            data[at:at] = data[:rng.randrange(len(data) + 1)] * rng.randrange(4)
    return bytes(data)


async def fuzz_once(t, rng, port, tls, websocket_first=False, user=None):
    if user:
        s = await t.log_in(user)
        s.send_raw(b"".join(twist(rng, rng.choice(SEEDS[2:])) for _ in range(20)))
        await asyncio.sleep(0.05)
        s.link.abort()
        return
    r = await (websocket(t) if websocket_first else t.raw(port, tls))
    for _ in range(rng.randrange(1, 6)):
        kind = rng.randrange(3)
        said = (rng.randbytes(rng.randrange(1, 3000)) if kind == 0 else twist(rng, rng.choice(SEEDS)) if kind == 1 else
                twist(rng, rng.choice((upgrade(t), *AMBIGUOUS.values(), *BAD_BODIES.values(), SMUGGLED))))
        if websocket_first:
            said = twist(rng, frame(1, said)) if kind else said
        r.send(said)
        await asyncio.sleep(rng.random() * 0.01)
    await asyncio.sleep(0.01)
    r.close()


async def random_bytes(t):
    """random and twisted bytes on every port, from a fixed seed, stop nobody's chat"""
    s = t.server
    http = t.tls("http/1.1")
    targets = [(s.port, None), (s.tls_port, None), (s.tls_port, t.tls()), (s.websocket_port, None), (s.websocket_port, http),
               (s.web_port, None), (s.web_port, http), (s.bosh_port, None), (s.bosh_port, http), (s.websocket_port, None, True),
               (s.tls_port, None, False, "mallory")]
    deadline = time.monotonic() + FUZZ_SECONDS
    rounds = 0

    async def worker(n, target):
        nonlocal rounds
        rng = random.Random(f"{SEED}.{n}")
        while time.monotonic() < deadline:
            try:
                await fuzz_once(t, rng, *target)
            except (OSError, EOFError, xmpp.XMPPError) as e:
                check(not isinstance(e, ConnectionRefusedError), f"port {target[0]} is closed: {e}")
            rounds += 1
    await asyncio.gather(*(worker(n, target) for n, target in enumerate(targets)))
    await t.friends.round_trip_seen()
    check(rounds > 100, f"only {rounds} connections")
    other = await t.log_in("carol")
    other.link.abort()


# ---- nonsense that is well-formed ----

SCENARIOS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenario", "*.xmpp")
VALUES = ["", "get", "set", "result", "error", "chat", "groupchat", "headline", "unavailable", "subscribe", "subscribed",
          "unsubscribed", "probe", "0", "1", "-1", "4294967295", "4294967296", "9223372036854775807", "99999999999999999999",
          "true", "both", "remove", "alice@town.example", "mallory@town.example", "nobody@town.example/x", "town.example",
          "other.example", "@", "mallory@town.example/r", "2026-02-30T25:61:61Z", "0000-01-01T00:00:00Z",
          "\u00e9\ud55c\uad6d\U0001f600", "x" * 1000, "'\"<&>", "urn:xmpp:sid:0", "="]

HEARD = ("message", "presence", "iq", "enable", "r", "a", "active", "inactive")


def phrases():
    """Every element that the scenarios' clients say, but for changed passwords: mallory must be able to come again."""
    found = []
    for path in sorted(glob.glob(SCENARIOS)):
        with open(path, encoding="utf-8") as f:
            for line in re.findall(r"^[a-z][\w/-]*> (<.*>)$", f.read(), re.M):
                try:
                    found.append(ET.fromstring(f"<x xmlns='jabber:client'>{re.sub('{[^}]*}', 'mallory@town.example', line)}</x>"))
                except ET.ParseError:
                    pass        # those are wrong on purpose
    return [element for x in found for element in x if xmpp.namespace(element) not in (xmpp.NS_STREAMS, xmpp.NS_FRAMING) and
            "jabber:iq:register" not in ET.tostring(element, encoding="unicode")]


def nonsense(rng, phrases):
    """One phrase with values, texts and branches of others."""
    root = copy.deepcopy(rng.choice(phrases))
    while xmpp.local(root) not in HEARD and rng.random() < 0.99:    # most others end the stream
        root = copy.deepcopy(rng.choice(phrases))
    if rng.random() < 0.99:
        root.attrib.pop("from", None)                               # so does a false one
    for _ in range(rng.randrange(4)):
        element, other = rng.choice(list(root.iter())), rng.choice(list(rng.choice(phrases).iter()))
        kind = rng.randrange(6)
        if kind == 0 and element.attrib:
            element.set(rng.choice(list(element.attrib)), rng.choice(VALUES))
        elif kind == 1:
            element.set(rng.choice(("type", "to", "id", "node", "jid", "h", "var")), rng.choice(VALUES))
        elif kind == 2:
            element.text = rng.choice(VALUES)
        elif kind == 3:
            element.append(copy.deepcopy(other))
        elif kind == 4 and len(element):
            element.remove(rng.choice(list(element)))
        elif kind == 5:
            element.attrib.update(other.attrib)
    return ET.tostring(root, encoding="unicode")


async def nonsense_stanzas(t):
    """well-formed nonsense made of all that the scenarios say, from a fixed seed, stops nobody's chat"""
    known = phrases()
    check(len(known) > 50, f"only {len(known)} phrases")
    deadline = time.monotonic() + FUZZ_SECONDS
    said = 0

    async def worker(n):
        nonlocal said
        rng = random.Random(f"{SEED}.nonsense.{n}")
        while time.monotonic() < deadline:
            try:
                s = await t.log_in("mallory", rng.choice((None, None, "r")))
                s.send_raw("<presence/>")
                for _ in range(rng.randrange(200)):
                    s.send_raw(nonsense(rng, known))
                    said += 1
                    if rng.random() < 0.1:
                        await asyncio.sleep(0.01)
                    if s.ended:
                        break
                s.items.clear()
                s.link.abort()
            except (OSError, EOFError, xmpp.XMPPError) as e:
                check(not isinstance(e, ConnectionRefusedError), f"talk is gone: {e}")
                await asyncio.sleep(0.01)
    await asyncio.gather(*(worker(n) for n in range(4)))
    await t.friends.round_trip_seen()
    check(said > 100, f"only {said} stanzas")
    (await t.log_in("mallory")).link.abort()    # or the rounds were in vain
    other = await t.log_in("carol")
    other.link.abort()


TESTS_WAITING = (stalled_handshake_is_ended, slow_requests_are_ended)
TESTS = (garbage_to_tls_ports, garbage_after_starttls, old_tls_is_refused, bad_upgrades, bad_frames, frames_that_say_nothing,
         ambiguous_requests, bad_bodies, sessions_that_nobody_fetches, paths_out_of_the_folder, random_bytes, nonsense_stanzas)
