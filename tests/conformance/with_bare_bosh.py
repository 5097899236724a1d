#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_bare_bosh.py: BOSH request by request (XEP-0124, XEP-0206): their order, lost answers, and what no polite client does."""
import asyncio
import json
import re
import sys
import xml.etree.ElementTree as ET

from checks import PASSWORD, main

import xmpp
from server import DOMAIN

HTTPBIND = "http://jabber.org/protocol/httpbind"
XBOSH = "urn:xmpp:xbosh"
XRD = "http://docs.oasis-open.org/ns/xri/xrd-1.0"
CLIENT, STREAMS = "{jabber:client}", "{http://etherx.jabber.org/streams}"
BODY = f"{{{HTTPBIND}}}body"
PATIENCE_S = 30
BOB = f"bob@{DOMAIN}"


def missing():
    return None


class Answer:
    def __init__(self, reply):
        self.reply, self.text = reply, reply.body.decode()
        self.body = ET.fromstring(self.text) if self.text.startswith("<") else None

    def get(self, name):
        return self.body.get(name) if self.body is not None else None

    def condition(self):
        """How the session ended; None: it did not."""
        return (self.get("condition") or "in order") if self.get("type") == "terminate" else None

    def names(self):
        return [e.tag.rpartition("}")[2] for e in self.body]

    def texts(self):
        return [e.findtext(f"{CLIENT}body") for e in self.body if e.tag == f"{CLIENT}message"]

    def __repr__(self):
        return f"{self.reply.status} {self.text}"


class Client:
    """Each request on a connection of its own."""
    rid = 4711

    def __init__(self, server):
        self.server, self.sid, self.jid, self.seen = server, None, None, []

    async def http(self, method, text="", path="/http-bind", headers=""):
        data = text.encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.server.domain}\r\nContent-Length: {len(data)}\r\n{headers}\r\n"
        tls = self.server.client_tls() if self.server.websocket_tls else None
        reply, _, writer = await xmpp.http_request("127.0.0.1", self.server.bosh_port, head.encode() + data, tls, self.server.domain,
                                                   PATIENCE_S + 60)
        writer.close()
        return Answer(reply)

    def text(self, attrs, payload="", rid=None):
        if rid is None:
            self.rid += 1
            rid = self.rid
        sid = f" sid='{self.sid}'" if self.sid else ""
        return f"<body xmlns='{HTTPBIND}' xmlns:xmpp='{XBOSH}' rid='{rid}'{sid} {attrs}>{payload}</body>"

    async def ask(self, payload="", attrs="", rid=None):
        return await self.http("POST", self.text(attrs, payload, rid))

    def begin(self, payload="", attrs="", rid=None):
        """A request that is under way while others are made."""
        return asyncio.create_task(self.http("POST", self.text(attrs, payload, rid)))

    async def open(self, attrs="ver='1.11' hold='1' wait='60'"):
        self.first = await self.ask(attrs=f"to='{self.server.domain}' content='text/xml; charset=utf-8' xml:lang='en' "
                                          f"xmpp:version='1.0' {attrs}")
        self.sid = self.first.get("sid")
        return self

    async def until(self, tag, answer=None):
        """The first such element of this answer or of the next ones."""
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while asyncio.get_running_loop().time() < end:
            if answer is not None:
                if answer.condition():
                    return None
                for e in answer.body:
                    if e.tag == tag:
                        return e
            answer = await self.ask()
        return None

    async def log_in(self, name, resource="bosh", sm=False):
        plain = xmpp.b64(f"\0{name}\0{PASSWORD}".encode())
        await self.until("{urn:ietf:params:xml:ns:xmpp-sasl}success", await self.ask(
            f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"))
        await self.until(f"{STREAMS}features", await self.ask(attrs=f"xmpp:restart='true' to='{self.server.domain}'"))
        bound = await self.until(f"{CLIENT}iq", await self.ask(
            f"<iq type='set' id='bind' xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource>"
            "</bind></iq>"))
        self.jid = bound[0][0].text
        return self


def message(to, body, ns=" xmlns='jabber:client'"):
    return f"<message to='{to}' type='chat'{ns}><body>{body}</body></message>"


def ping(id_):
    return f"<iq xmlns='jabber:client' type='get' id='{id_}'><ping xmlns='urn:xmpp:ping'/></iq>"


async def friend(server, name="bob"):
    stream = await xmpp.log_in(server, name, PASSWORD)
    stream.send_raw("<presence/>")
    return stream


async def body_at(stream):
    while True:
        m = await xmpp.expect(stream, f"{CLIENT}message", f"{CLIENT}presence", f"{CLIENT}iq", seconds=PATIENCE_S)
        if m.tag == f"{CLIENT}message":
            return m.findtext(f"{CLIENT}body")


# ---- what is checked ----

async def discovery(server, check):
    for path, read in (("host-meta", lambda t: {e.get("rel"): e.get("href") for e in ET.fromstring(t).iter(f"{{{XRD}}}Link")}),
                       ("host-meta.json", lambda t: {e["rel"]: e["href"] for e in json.loads(t)["links"]})):
        text = f"GET /.well-known/{path} HTTP/1.1\r\nHost: {server.domain}\r\n\r\n"
        tls = server.client_tls() if server.web_tls else None
        reply, _, writer = await xmpp.http_request("127.0.0.1", server.web_port, text.encode(), tls, server.domain)
        writer.close()
        links = read(reply.body.decode())
        check(f"{path} names the door", links.get("urn:xmpp:alt-connections:xbosh") == f"https://{server.domain}:{server.bosh_port}/http-bind", links)
        check(f"{path} names the WebSocket too", "urn:xmpp:alt-connections:websocket" in links, links)


async def http(server, check):
    c = Client(server)
    r = await c.http("OPTIONS", headers="Origin: https://elsewhere.example\r\nAccess-Control-Request-Method: POST\r\n"
                                        "Access-Control-Request-Headers: content-type\r\n")
    h = r.reply.headers
    check("scripts of any site may ask", r.reply.status in (200, 204) and h.get("access-control-allow-origin") == "*", h)
    check("with POST and a type", "POST" in h.get("access-control-allow-methods", "") and
          "content-type" in h.get("access-control-allow-headers", "").lower(), h)
    check("GET is no way in", (await c.http("GET")).reply.status == 405)
    check("there is nothing at other paths", (await c.http("POST", path="/other")).reply.status == 404)
    r = await c.http("POST", "<body")
    check("what is no XML is a bad request", r.condition() == "bad-request", r)
    check("and that may be read from any site", r.reply.headers.get("access-control-allow-origin") == "*")
    for what, text in (("another namespace", f"<body xmlns='urn:x' rid='1' to='{server.domain}'/>"),
                       ("another element", f"<other xmlns='{HTTPBIND}' rid='1' to='{server.domain}'/>"),
                       ("no rid", f"<body xmlns='{HTTPBIND}' to='{server.domain}'/>"),
                       ("a rid that is no number", f"<body xmlns='{HTTPBIND}' rid='-1' to='{server.domain}'/>"),
                       ("a rid beyond 2^53", f"<body xmlns='{HTTPBIND}' rid='9007199254740992' to='{server.domain}'/>"),
                       ("text", f"<body xmlns='{HTTPBIND}' rid='1' to='{server.domain}'>text</body>"),
                       ("a comment", f"<body xmlns='{HTTPBIND}' rid='1' to='{server.domain}'><!-- --></body>"),
                       ("a line break in the type", f"<body xmlns='{HTTPBIND}' rid='1' content='a/b&#13;&#10;X: y' to='{server.domain}'/>")):
        r = await c.http("POST", text)
        check(f"{what} is a bad request", r.condition() == "bad-request", r)
    r = await c.http("POST", f"<body xmlns='{HTTPBIND}' rid='1' ver='1.6'/>")
    check("a session needs an address", r.condition() == "improper-addressing", r)
    r = await c.http("POST", f"<body xmlns='{HTTPBIND}' rid='1' ver='1.6' to='elsewhere.example'/>")
    check("which must be ours", r.condition() == "host-unknown", r)
    r = await c.http("POST", f"<body xmlns='{HTTPBIND}' rid='1' sid='nobody'/>")
    check("a session that is not there is not found", r.condition() == "item-not-found", r)
    r = await c.http("POST", "<body " + "x" * 400000)
    check("a body has a bound", r.reply.status == 413, r.reply.status)


async def beginning(server, check):
    c = await Client(server).open("ver='1.6' hold='3' wait='9999'")
    f = c.first
    check("a session has an id that nobody guesses", re.fullmatch(r"[A-Za-z0-9_-]{22}", f.get("sid") or ""), f)
    check("hold and wait are bounded", f.get("hold") == "1" and int(f.get("wait")) <= 60, f)
    check("the answer says how to go on", f.get("requests") == "2" and int(f.get("inactivity")) and int(f.get("polling")) and
          int(f.get("maxpause")), f)
    check("the version is the lower one", f.get("ver") == "1.6" and f.get(f"{{{XBOSH}}}version") == "1.0", f)
    check("who answers, and its stream", f.get("from") == server.domain and f.get("authid"), f)
    check("streams are restarted", f.get(f"{{{XBOSH}}}restartlogic") == "true", f)
    check("with features", f.names() == ["features"] and f.body[0].tag == f"{STREAMS}features", f)
    mechanisms = [m.text for m in f.body.iter("{urn:ietf:params:xml:ns:xmpp-sasl}mechanism")]
    check("log-in without channel binding", "SCRAM-SHA-256" in mechanisms and not any(m.endswith("-PLUS") for m in mechanisms), mechanisms)
    check("STARTTLS is not offered", f.body.find(".//{urn:ietf:params:xml:ns:xmpp-tls}starttls") is None)
    other = await Client(server).open("ver='1.6' hold='1' wait='5' content='text/plain'")
    check("no two have the same", other.sid != c.sid)
    c = Client(server)
    c.first = await c.ask(attrs=f"to='{server.domain}' ver='1.11' hold='1' wait='60' content='text/html'")
    check("the type is the one that was asked for", c.first.reply.headers["content-type"] == "text/html", c.first.reply.headers)
    check("and a page of it could do nothing", "sandbox" in c.first.reply.headers.get("content-security-policy", ""))
    legacy = await Client(server).open("hold='1' wait='60'")
    check("without a version there is none", legacy.first.get("ver") is None, legacy.first)
    r = await legacy.ask(rid=legacy.rid + 50)
    check("and errors are those of HTTP", r.reply.status == 404, r)
    r = await (await Client(server).open("ver='1.11' hold='1' wait='60'")).ask("<message xmlns='jabber:client'/>")
    check("stanzas before log-in end it", r.condition() == "remote-stream-error", r)
    error = r.body.find(f"{STREAMS}error")
    check("with the stream's error", error is not None and error[0].tag.endswith("}not-authorized"), r)


async def conversation(server, check):
    bob = await friend(server)
    c = await (await Client(server).open()).log_in("alice")
    check("log-in and binding", c.jid == f"alice@{server.domain}/bosh", c.jid)
    held = c.begin("<presence xmlns='jabber:client'/>")
    r = await c.until(f"{CLIENT}presence", await held)
    check("presence comes back", r is not None)
    held = c.begin()
    bob.send_raw(message(c.jid, "안녕", ""))
    r = await held
    check("a held request brings a message", r.texts() == ["안녕"], r)
    held = c.begin()
    second = c.begin(message(BOB, "one") + message(BOB, "two", ""))
    r = await held
    check("it is answered when another one comes", r.body is not None and r.condition() is None and not r.texts(), r)
    got = [await body_at(bob), await body_at(bob)]
    check("several payloads stay in order, with a namespace or without", got == ["one", "two"], got)
    bob.send_raw(message(c.jid, "and back", ""))
    r = await second
    check("the other one is held then", r.texts() == ["and back"], r)
    again = await c.ask(rid=c.rid)
    check("the same rid has the same answer", again.text == r.text, again)
    again = await c.ask(rid=c.rid - 1)
    check("the one before it too", again.condition() is None and not again.texts(), again)
    held = c.begin(ping("p"), "")
    check("ping", await c.until(f"{CLIENT}iq", await held) is not None)
    held = c.begin()
    await asyncio.sleep(0)
    repeated = c.begin(rid=c.rid)
    bob.send_raw(message(c.jid, "once", ""))
    answers = await asyncio.gather(held, repeated, return_exceptions=True)
    texts = [a.texts() for a in answers if isinstance(a, Answer) and a.body is not None]
    check("a request that is repeated while it is held is answered", ["once"] in texts, answers)
    r = await c.ask("<presence type='unavailable' xmlns='jabber:client'/>" + message(BOB, "bye"), "type='terminate'")
    check("the end is answered", r.condition() == "in order", r)
    check("what came with it was heard", await body_at(bob) == "bye")
    r = await c.ask()
    check("nothing is found after it", r.condition() == "item-not-found", r)
    bob.link.close()


async def order(server, check):
    bob = await friend(server)
    c = await (await Client(server).open()).log_in("alice")
    c.rid += 2
    late = c.begin(message(BOB, "second"), rid=c.rid)
    answer = await c.ask(message(BOB, "first"), rid=c.rid - 1)
    got = [await body_at(bob), await body_at(bob)]
    check("requests are taken in the order of their rids", got == ["first", "second"], got)
    check("the first is answered when the second is taken", answer.condition() is None and not answer.texts(), answer)
    bob.send_raw(message(c.jid, "on", ""))
    check("and the session goes on", (await late).texts() == ["on"])
    held = c.begin(message(BOB, "here"))
    await body_at(bob)
    r = await c.ask(rid=c.rid + 3)
    check("a rid beyond the window ends it", r.condition() == "item-not-found", r)
    r = await held
    check("and whoever waits is told", r.condition() == "other-request", r)
    c = await (await Client(server).open()).log_in("alice", "old")
    r = await c.ask(rid=c.rid - 3)
    check("an answer that is no longer kept ends it", r.condition() == "item-not-found", r)
    r = await c.ask()
    check("for good", r.condition() == "item-not-found", r)
    c = await Client(server).open()
    r = await c.http("POST", f"<body xmlns='{HTTPBIND}' rid='x' sid='{c.sid}'/>")
    check("bad requests end the session they name", r.condition() == "bad-request" and (await c.ask()).condition() == "item-not-found", r)
    c = await (await Client(server).open()).log_in("alice", "framing")
    r = await c.ask("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")
    check("elements of another transport are refused", r.condition() == "bad-request", r)
    bob.link.close()


async def time(server, check):
    c = await (await Client(server).open("ver='1.11' hold='1' wait='1'")).log_in("alice", "brief")
    r = await c.ask()
    check("after its time a request is answered with nothing", r.condition() is None and not r.names(), r)
    bob = await friend(server)
    held = c.begin(message(BOB, "before the pause"))
    await body_at(bob)
    r = await c.ask(attrs="pause='120'")
    check("a pause is answered at once", r.condition() is None and not r.names(), r)
    check("with everything that is held", (await held).condition() is None)
    bob.send_raw(message(c.jid, "in the pause", ""))
    check("what comes in the pause comes after it", (await c.until(f"{CLIENT}message")).findtext(f"{CLIENT}body") == "in the pause")
    p = await Client(server).open("ver='1.11' hold='0' wait='0'")
    check("a session may poll", p.first.get("hold") == "0" and int(p.first.get("inactivity")) > 30, p.first)
    r = await p.ask()
    check("and is not made to wait", r.condition() is None and not r.names(), r)
    for _ in range(20):         # one of them follows within the time
        r = await p.ask()
        if r.condition():
            break
    check("who polls too often is sent away", r.condition() == "policy-violation", r)
    for _ in range(20):
        answers = await asyncio.gather(c.begin(), c.begin())
        if any(a.condition() for a in answers):
            break
    check("so is who asks twice at a time with nothing to say", "policy-violation" in [a.condition() for a in answers], answers)
    bob.link.close()


async def loss(server, check):
    """Whoever stays away has lost the connection; the stream is resumed by XEP-0198, over any transport."""
    bob = await friend(server)
    c = await (await Client(server).open()).log_in("alice", "fickle")
    on = await c.until("{urn:xmpp:sm:3}enabled", await c.ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>"))
    await c.until(f"{CLIENT}iq", await c.ask(ping("counted")))
    r = await c.ask(attrs="pause='1'")
    check("a pause may be short", r.condition() is None, r)
    bob.send_raw(message(c.jid, "while away", ""))
    end = asyncio.get_running_loop().time() + PATIENCE_S
    while "session.detached" not in open(server.log, errors="replace").read() and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.1)
    r = await c.ask()
    check("who stays away longer has no session", r.condition() == "item-not-found", r)
    d = await Client(server).open()
    plain = xmpp.b64(f"\0alice\0{PASSWORD}".encode())
    await d.until("{urn:ietf:params:xml:ns:xmpp-sasl}success", await d.ask(
        f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"))
    await d.until(f"{STREAMS}features", await d.ask(attrs=f"xmpp:restart='true' to='{server.domain}'"))
    r = await d.ask(f"<resume xmlns='urn:xmpp:sm:3' h='1' previd='{on.get('id')}'/>")
    check("but a stream that can be resumed", "resumed" in r.names(), r)
    m = await d.until(f"{CLIENT}message", r)
    check("with what has come since", m is not None and m.findtext(f"{CLIENT}body") == "while away", r)
    r = await d.ask(attrs="type='terminate' condition='undefined-condition'")
    check("a client that ends with an error is answered", r.condition() == "in order", r)
    bob.link.close()


async def sasl2(server, check):
    c = await Client(server).open()
    plain = xmpp.b64(f"\0alice\0{PASSWORD}".encode())
    r = await c.ask("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>"
                    f"<initial-response>{plain}</initial-response><bind xmlns='urn:xmpp:bind:0'><tag>bosh</tag></bind></authenticate>")
    done = await c.until("{urn:xmpp:sasl:2}success", r)
    check("log-in and binding in one (SASL2)", done is not None and done.find("{urn:xmpp:bind:0}bound") is not None, r)
    held = c.begin(ping("alive"))
    check("and no restart is needed", await c.until(f"{CLIENT}iq", await held) is not None)
    large = "x" * 265000
    r = await c.ask(message(f"alice@{server.domain}", large))
    check("a stanza that is too large ends the stream", r.condition() == "remote-stream-error" and "policy-violation" in r.text, r.text[:200])


async def limits(server, check):
    before = server.metric("bongsu_talk_connections_total")
    c = await (await Client(server).open()).log_in("alice", "counted")
    after = server.metric("bongsu_talk_connections_total")
    check("a session counts as one connection, however many its requests", after == before + 1, (before, after))
    c = await Client(server).open()
    r = await c.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + "A" * 100000 + "</auth>")
    check("before log-in bodies are small", r.condition() == "policy-violation", r)
    many = "".join(f"<a:x{i}/>" for i in range(12))
    c = await (await Client(server).open()).log_in("alice", "wide")
    r = await c.http("POST", f"<body xmlns='{HTTPBIND}' xmlns:a='urn:{'y' * 200000}' rid='{c.rid + 1}' sid='{c.sid}'>{many}</body>")
    check("a small body that would become a large one is refused", r.condition() == "policy-violation", r.text[:200])
    bob = await friend(server)
    c, under_way = await (await Client(server).open()).log_in("alice", "loud"), []
    for i in range(16):
        if len(under_way) == 2:
            await under_way.pop(0)
        under_way.append(c.begin(message(BOB, f"{i} " + "x" * 150000)))
    got = [(await body_at(bob)).split()[0] for _ in range(16)]
    check("a flood is slowed down, and arrives whole and in order", got == [str(i) for i in range(16)], got)
    bob.link.close()


async def leaving(server, check):
    bob = await friend(server)
    c = await (await Client(server).open()).log_in("alice", "last")
    held = c.begin(message(BOB, "still here"))
    await body_at(bob)
    await asyncio.get_running_loop().run_in_executor(None, server.stop)
    r = await held
    check("a server that ends says so", r.condition() == "remote-stream-error" and "<system-shutdown" in r.text, r)


async def all_of(server, checks):
    for part in (discovery, http, beginning, conversation, order, time, loss, sasl2, limits, leaving):
        try:
            await part(server, checks.check)
        except Exception as e:
            import traceback
            checks.check(f"{part.__name__} came to its end", False, repr(e) + traceback.format_exc())


def play(server, checks):
    if server.bosh_port is None:
        checks.skip("all", f"nobody has taught {server.name} to open a door for BOSH")
        return
    asyncio.run(all_of(server, checks))


if __name__ == "__main__":
    sys.exit(main("bosh", missing, play))
