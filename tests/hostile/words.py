# SPDX-License-Identifier: AGPL-3.0-or-later
"""words.py: XML that RFC 6120 §11 forbids, that is too deep or too wide, and bytes that are no UTF-8.

Each is said before log-in and after it: the stream ends with the error that fits, and nobody else notices."""
import xmpp
from enemy import HEADER, check

LAUGHS = ("<!DOCTYPE lolz [<!ENTITY l0 'lol'>" +
          "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10)) + "]>")
BODY = "<message to='mallory@town.example' type='chat'><body>{}</body></message>"
MESSAGE = "<message to='mallory@town.example' type='chat'>{}</message>"

# Before the stream header: what, and the conditions that are right.
PROLOGUES = {
    "a document type": (b"<?xml version='1.0'?><!DOCTYPE stream>", {"restricted-xml", "not-well-formed"}),
    "billion laughs": (b"<?xml version='1.0'?>" + LAUGHS.encode(), {"restricted-xml", "not-well-formed"}),
    "an external entity": (b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>",
                           {"restricted-xml", "not-well-formed"}),
    "a remote document type": (b"<!DOCTYPE x SYSTEM 'http://127.0.0.1:1/x.dtd'>", {"restricted-xml", "not-well-formed"}),
    "UTF-16": ("<?xml version='1.0' encoding='UTF-16'?><stream:stream>".encode("utf-16"),
               {"not-well-formed", "unsupported-encoding", "bad-format", "restricted-xml"}),
    "another encoding": (b"<?xml version='1.0' encoding='ISO-8859-1'?>",
                         {"unsupported-encoding", "not-well-formed", "bad-format"}),
    "zeros": (b"\0" * 100, {"not-well-formed", "bad-format", "unsupported-encoding"}),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: town.example\r\n\r\n", {"not-well-formed", "bad-format"}),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", {"not-well-formed", "bad-format"}),
}

RESTRICTED = {"restricted-xml", "not-well-formed"}
ENCODING = {"unsupported-encoding", "bad-format"}
WRONG = {"not-well-formed", "bad-format", "bad-namespace-prefix", "invalid-xml"}
LIMITS = {"policy-violation", "not-well-formed", "resource-constraint", "bad-format", "restricted-xml", "undefined-condition"}

# As a stanza after log-in.
STANZAS = {
    "a document type": ("<!DOCTYPE x>", RESTRICTED),
    "billion laughs": (LAUGHS + BODY.format("&l9;"), RESTRICTED),
    "an external entity": ("<!DOCTYPE x [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + BODY.format("&x;"), RESTRICTED),
    "an unknown entity": (BODY.format("&unknown;"), RESTRICTED),
    "a parameter entity": (BODY.format("%x;&#37;") + BODY.format("&y;"), RESTRICTED),
    "a comment": (BODY.format("<!-- x -->"), RESTRICTED),
    "a processing instruction": (BODY.format("<?php x ?>"), RESTRICTED),
    "the character zero": (BODY.format("&#0;"), WRONG),
    "a character beyond Unicode": (BODY.format("&#x110000;"), WRONG),
    "a surrogate as a reference": (BODY.format("&#xD800;"), WRONG),
    "an endless reference": (BODY.format("&#" + "0" * 5000 + "65;"), WRONG | {None}),
    "deep nesting": (MESSAGE.format("<a>" * 5000 + "</a>" * 5000), LIMITS),
    "deep nesting without an end": ("<message>" + "<a>" * 20000, LIMITS),
    "thousands of attributes": (MESSAGE.format("<a " + " ".join(f"a{n}='1'" for n in range(5000)) + "/>"), LIMITS),
    "an attribute twice": (MESSAGE.format("<a b='1' b='2'/>"), WRONG),
    "an attribute twice by namespaces": (MESSAGE.format("<a xmlns:x='u' xmlns:y='u' x:b='1' y:b='2'/>"), WRONG),
    "a huge attribute name": (MESSAGE.format(f"<a {'n' * 300000}='1'/>"), LIMITS),
    "a huge element name": (f"<{'n' * 300000}/>", LIMITS),
    "many namespaces": (MESSAGE.format("<a " + " ".join(f"xmlns:n{n}='u{n}'" for n in range(3000)) + "/>"), LIMITS),
    "namespaces nested": (MESSAGE.format("".join(f"<a xmlns:n{n}='u{n}'>" for n in range(60)) + "</a>" * 60), LIMITS),
    "many elements": (MESSAGE.format("<a/>" * 50000), LIMITS),
    "an undeclared prefix": (MESSAGE.format("<a:b/>"), WRONG),
    "the prefix xml declared": (MESSAGE.format("<a xmlns:xml='u'/>"), WRONG),
    "the prefix xmlns declared": (MESSAGE.format("<a xmlns:xmlns='u'/>"), WRONG),
    "a prefix taken back": (MESSAGE.format("<a xmlns:x=''/>"), WRONG),
    "a wrong end tag": (MESSAGE.format("<a></b>"), WRONG),
    "a less-than in an attribute": (MESSAGE.format("<a b='<'/>"), WRONG),
    "the end of a CDATA section": (BODY.format("]]>"), WRONG),
    "text between stanzas": ("hello", WRONG),
    "no quotes": (MESSAGE.format("<a b=c/>"), WRONG),
    "an overlong slash": (BODY.encode().replace(b"{}", b"\xc0\xaf"), ENCODING),
    "an overlong zero": (BODY.encode().replace(b"{}", b"\xc0\x80"), ENCODING),
    "an overlong of three bytes": (BODY.encode().replace(b"{}", b"\xe0\x80\xaf"), ENCODING),
    "a surrogate in UTF-8": (BODY.encode().replace(b"{}", b"\xed\xa0\x80"), ENCODING),
    "beyond U+10FFFF": (BODY.encode().replace(b"{}", b"\xf4\x90\x80\x80"), ENCODING),
    "five bytes": (BODY.encode().replace(b"{}", b"\xf8\x88\x80\x80\x80"), ENCODING),
    "a truncated character": (BODY.encode().replace(b"{}", b"\xe2\x82"), ENCODING),
    "a lone continuation": (BODY.encode().replace(b"{}", b"\x80"), ENCODING),
    "U+FFFF": (BODY.encode().replace(b"{}", b"\xef\xbf\xbf"), WRONG),
    "bad bytes in an attribute": (b"<message to='\xff\xfe'/>", ENCODING),
    "bad bytes in a name": (b"<mess\xc3\x28age/>", ENCODING),
    "NUL in text": (BODY.encode().replace(b"{}", b"a\0b"), WRONG),
    "NUL in an attribute": (b"<message to='a\0b'/>", WRONG),
    "NUL between stanzas": (b"\0", WRONG),
    "control characters": (BODY.encode().replace(b"{}", b"\x01\x02\x1b[31m"), WRONG),
}


async def bad_prologues(t):
    """document types, entities and other protocols in place of a stream header are refused"""
    for what, (said, right) in PROLOGUES.items():
        r = await t.raw(t.server.tls_port, t.tls())
        r.send(said + HEADER)
        check(await r.end(), f"{what}: it may go on: {r.heard[-200:]}")
        check(any(f"<{c} ".encode() in r.heard for c in right), f"{what}: said {r.heard[-200:]}")


async def bad_before_login(t):
    """bad XML, bad UTF-8 and XML bombs before log-in end the stream with an error"""
    for what, (said, _) in STANZAS.items():
        r = await t.raw_stream()
        r.send(said)
        r.send("</stream:stream>")
        check(await r.end(), f"{what}: it may go on: {r.heard[-200:]}")
        check(b"<stream:error>" in r.heard or what == "an endless reference", f"{what}: said {r.heard[-200:]}")


async def bad_after_login(t):
    """bad XML, bad UTF-8 and XML bombs after log-in end that stream with the right error"""
    wrong = []
    for what, (said, right) in STANZAS.items():
        s = await t.log_in("mallory")
        s.send_raw(said)
        if None in right:
            s.end_stream()
        fate = await t.fate(s)
        if fate not in right and not (fate == "closed" and None in right):
            wrong.append(f"{what}: {fate}, not {' or '.join(str(r) for r in right)}")
        s.link.abort()
    check(not wrong, "; ".join(wrong))


async def bad_addresses(t):
    """addresses that are none are answered with an error, and the stream goes on"""
    s = await t.log_in("mallory")
    for n, to in enumerate(("@", "a@@b", "/", "a@", "\u2028@town.example", "a" * 2000 + "@town.example", "town.example/" + "r" * 2000,
                            "x@" + "d" * 2000, "a@b@c/d", "\u202emoc@town.example", "bob @town.example", "..@..")):
        s.send(f"<iq type='get' id='a{n}' to='{xmpp.escape(to)}'><ping xmlns='urn:xmpp:ping'/></iq>")
        answer = await s.take_where(lambda i: i is xmpp.GONE or i.get("id") == f"a{n}")
        check(answer is not None and answer is not xmpp.GONE and answer.get("type") == "error", f"{to[:20]!r}: no error")
    s.send("<message from='alice@town.example' to='bob@town.example'><body>1</body></message>")
    fate = await t.fate(s)
    check(fate == "invalid-from", f"a false from: {fate}")


TESTS = (bad_prologues, bad_before_login, bad_after_login, bad_addresses)
