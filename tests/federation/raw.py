#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""raw.py: another server of a few lines that breaks the rules: what Bongsu must refuse, and how (RFC 6120 §4.9.3, XEP-0220, XEP-0178).

    raw.py [--match TEXT] [-v]
"""
import argparse
import asyncio
import os
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import peers                                                                # noqa: E402
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from names import Names                                                     # noqa: E402
from trials import Failure, check                                           # noqa: E402

HERE, EVIL = "here.example", "evil.example"
HEAD = ("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
        "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'")


class Wire:
    """Bytes to the server port, and what comes back, as text."""

    def __init__(self, reader, writer):
        self.reader, self.writer, self.heard = reader, writer, ""

    @classmethod
    async def open(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, text):
        self.writer.write(text.encode())

    async def until(self, words, seconds=10):
        """Until they have come; what is heard before is dropped with them."""
        try:
            async with asyncio.timeout(seconds):
                while words not in self.heard:
                    more = await self.reader.read(65536)
                    if not more:
                        break
                    self.heard += more.decode("utf-8", "replace")
        except (TimeoutError, OSError):
            pass
        check(words in self.heard, f"“{words}” did not come, but: {self.heard[-600:]}")
        before, _, self.heard = self.heard.partition(words)
        return before + words

    async def header(self, sender=EVIL, to=HERE):
        self.send(HEAD + (f" from='{sender}'" if sender else "") + (f" to='{to}'" if to else "") + ">")
        return await self.until("<stream:stream ")

    async def tls(self, context=None):
        """STARTTLS, and the features behind it."""
        await self.header()
        await self.until("</stream:features>")
        self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await self.until("<proceed")
        loop = asyncio.get_running_loop()
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        transport = await loop.start_tls(self.writer.transport, self.writer.transport.get_protocol(), context, server_hostname=HERE)
        self.reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(self.reader)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        self.writer = asyncio.StreamWriter(transport, protocol, self.reader, loop)
        self.heard = ""
        await self.header()
        return await self.until("</stream:features>")

    async def ends_with(self, condition):
        await self.until(f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>")
        await self.until("</stream:stream>")


class Place:
    def __init__(self):
        self.names = Names()
        self.server = peers.serves("bongsu", self.names, HERE, extra="federation.blocked = bad.example, *.worse.example, xn--9n3bo6g.example, *.BÜCHER.example\n"
                                   "federation.connections_per_address_max = 200\nfederation.login_time_max = 3s\n")
        self.server.add_users({"alice": "secret"})
        self.stranger = servers.make_certificates(self.folder("stranger"), EVIL)
        self.known = servers.make_certificates(self.folder("known"), EVIL, self.server.dir)

    def folder(self, name):
        path = os.path.join(self.server.dir, name)
        os.makedirs(path)
        return path

    def with_certificate(self, files):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(files[1], files[2])
        return context

    async def wire(self):
        return await Wire.open(self.server.s2s)

    async def trusted(self):
        """A stream whose name the certificate has proven."""
        w = await self.wire()
        features = await w.tls(self.with_certificate(self.known))
        check("EXTERNAL" in features, "EXTERNAL is not offered to a proven certificate")
        w.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>")
        await w.until("<success")
        await w.header()
        await w.until("</stream:features>")
        return w


async def no_stanza_before_tls(place):
    """Without TLS nothing is taken: policy-violation"""
    w = await place.wire()
    await w.header()
    await w.until("<required/>")
    w.send(f"<db:result from='{EVIL}' to='{HERE}'>x</db:result>")
    await w.ends_with("policy-violation")


async def no_stanza_before_a_name(place):
    """Behind TLS, before a name is proven: not-authorized"""
    w = await place.wire()
    await w.tls()
    w.send(f"<message from='x@{EVIL}' to='alice@{HERE}'><body>hi</body></message>")
    await w.ends_with("not-authorized")


async def unknown_host(place):
    """A host that is not ours: host-unknown"""
    w = await place.wire()
    await w.header(to="elsewhere.example")
    await w.ends_with("host-unknown")


async def our_own_name(place):
    """Who says that they are we: invalid-from"""
    for name in (HERE, f"rooms.{HERE}"):
        w = await place.wire()
        await w.header(sender=name)
        await w.ends_with("invalid-from")


async def blocked(place):
    """Whom the operator has closed out: policy-violation; and nothing goes there"""
    for name in ("bad.example", "x.worse.example", "봉수.example", "xn--9n3bo6g.example", "x.bücher.example"):
        w = await place.wire()
        await w.header(sender=name)
        await w.ends_with("policy-violation")
    alice = await xmpp.log_in(place.server, "alice", "secret")
    answer = await alice.ask("get", "<ping xmlns='urn:xmpp:ping'/>", "bad.example")
    check("policy-violation" in xmpp.show(answer), xmpp.show(answer))
    alice.link.close()


async def wrong_namespace(place):
    """A client's stream at the server port: invalid-namespace"""
    w = await place.wire()
    w.send(f"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='{HERE}'>")
    await w.ends_with("invalid-namespace")


async def no_xml(place):
    """What is no XML, and what XMPP forbids: not-well-formed, restricted-xml"""
    w = await place.wire()
    await w.header()
    w.send("<a b></a>")
    await w.ends_with("not-well-formed")
    w = await place.wire()
    await w.header()
    w.send("<!DOCTYPE x [<!ENTITY e 'e'>]>")
    await w.ends_with("restricted-xml")


async def too_large_early(place):
    """Before a name is proven an element has 16 KiB: policy-violation"""
    w = await place.wire()
    await w.header()
    w.send("<message>" + "x" * 20000)
    await w.ends_with("policy-violation")


async def stranger_is_not_offered_external(place):
    """A certificate that proves nothing is offered no EXTERNAL, and is refused when it tries"""
    w = await place.wire()
    features = await w.tls(place.with_certificate(place.stranger))
    check("EXTERNAL" not in features and "dialback" in features, features)
    w.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>")
    await w.until("<not-authorized/>")
    w.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>=</auth>")
    await w.until("<invalid-mechanism/>")


async def another_authzid(place):
    """EXTERNAL for another name than the certificate's: invalid-authzid"""
    w = await place.wire()
    await w.tls(place.with_certificate(place.known))
    w.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>" + xmpp.b64(b"town.example") + "</auth>")
    await w.until("<invalid-authzid/>")


async def proven(place):
    """A proven name brings stanzas; an acknowledgement counts those that talk has; the answers wait for our way to them"""
    alice = await xmpp.log_in(place.server, "alice", "secret")
    alice.send("<presence/>")
    w = await place.trusted()
    w.send("<enable xmlns='urn:xmpp:sm:3'/>")
    await w.until("<enabled")
    for i in range(3):
        w.send(f"<message from='x@{EVIL}/r' to='alice@{HERE}' type='chat' id='p{i}'><body>p{i}</body></message>")
    w.send("<r xmlns='urn:xmpp:sm:3'/>")
    await w.until("<a xmlns='urn:xmpp:sm:3' h='3'/>")
    for i in range(3):
        m = await alice.take_where(lambda i: xmpp.local(i) == "message", 10)
        check(m is not None and m.find("{jabber:client}body").text == f"p{i}", "not in order")
    alice.link.close()


async def sent_again(place):
    """The same stanza with its id, sent again by a server that heard no acknowledgement, is shown once"""
    alice = await xmpp.log_in(place.server, "alice", "secret")
    alice.send("<presence/>")
    for stream in range(2):
        w = await place.trusted()
        w.send("<enable xmlns='urn:xmpp:sm:3'/>")
        w.send(f"<message from='y@{EVIL}/r' to='alice@{HERE}' type='chat' id='same'><body>once</body></message>")
        w.send("<r xmlns='urn:xmpp:sm:3'/>")
        await w.until("h='1'/>")
    await asyncio.sleep(0.3)
    heard = [i for i in alice.items if i is not xmpp.GONE and xmpp.local(i) == "message"]
    check(len(heard) == 1, f"shown {len(heard)} times")
    alice.link.close()


async def other_sender(place):
    """A proven name that writes for another one: invalid-from"""
    w = await place.trusted()
    w.send(f"<message from='x@good.example' to='alice@{HERE}'><body>hi</body></message>")
    await w.ends_with("invalid-from")


async def no_relay(place):
    """A proven name that writes to others than us: host-unknown"""
    w = await place.trusted()
    w.send(f"<message from='x@{EVIL}' to='y@elsewhere.example'><body>hi</body></message>")
    await w.ends_with("host-unknown")


async def no_address(place):
    """A stanza without addresses: improper-addressing"""
    for addresses in ("", f"from='x@{EVIL}'", f"to='alice@{HERE}'", f"from='@' to='alice@{HERE}'"):
        w = await place.trusted()
        w.send(f"<message {addresses}><body>hi</body></message>")
        await w.ends_with("improper-addressing")


async def no_stanza(place):
    """What is no stanza: unsupported-stanza-type"""
    w = await place.trusted()
    w.send(f"<letter from='x@{EVIL}' to='alice@{HERE}'/>")
    await w.ends_with("unsupported-stanza-type")


async def key_not_ours(place):
    """A key that we have not made is told to be invalid"""
    w = await place.wire()
    await w.tls()
    w.send(f"<db:verify from='{EVIL}' to='{HERE}' id='s1'>0000</db:verify>")
    await w.until("type='invalid'")
    w.send(f"<db:verify from='{EVIL}' to='elsewhere.example' id='s1'>0000</db:verify>")
    await w.until("<item-not-found")


async def nobody_vouches(place):
    """Dialback of a name whose server cannot be asked ends in an error, not in trust"""
    w = await place.wire()
    await w.tls()
    w.send(f"<db:result from='{EVIL}' to='{HERE}'>0000</db:result>")
    await w.until("type='error'", 20)
    w.send(f"<message from='x@{EVIL}' to='alice@{HERE}'><body>hi</body></message>")
    await w.ends_with("not-authorized")


async def who_vouches_is_silent(place):
    """A server that takes our question about a name and says nothing holds neither the asker nor our connection"""
    ended = asyncio.Event()

    async def silent(reader, _):
        while await reader.read(65536):
            pass
        ended.set()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    place.names.domain("silent.example", listening.sockets[0].getsockname()[1])
    w = await place.trusted()       # it has a name: only the question runs out
    w.send(f"<db:result from='silent.example' to='{HERE}'>0000</db:result>")
    heard = await w.until("</db:result>", 15)
    check("type='error'" in heard and "<remote-server-timeout" in heard, heard)
    await asyncio.wait_for(ended.wait(), 15)
    w.send("<r xmlns='urn:xmpp:sm:3'/><enable xmlns='urn:xmpp:sm:3'/>")
    await w.until("<enabled")
    listening.close()


async def no_certificate(place):
    """Without a certificate of ours nobody can end us by wanting TLS: neither at our door nor at theirs"""
    bare = peers.serves("bongsu", place.names, "bare.example", extra="federation.tls_required = no\nfederation.login_time_max = 3s\n")
    config = open(bare.config).read()
    for name, path in (("certificate", bare.crt), ("key", bare.key)):
        config = config.replace(f"tls.{name} = {path}\n", f"tls.{name} =\n")
    open(bare.config, "w").write(config)
    hello = asyncio.Event()

    async def wants_tls(reader, writer):
        if await reader.read(1) == b"\x16":
            hello.set()
        writer.close()

    listening = await asyncio.start_server(wants_tls, "127.0.0.1", 0)
    place.names.domain("tls.example", tls_port=listening.sockets[0].getsockname()[1])
    try:
        bare.start()
        w = await Wire.open(bare.s2s)
        await w.header("tls.example", "bare.example")
        await w.until("</stream:features>")
        refused = await Wire.open(bare.s2s_tls)
        check(await refused.reader.read() == b"", "an answer at a door that has no certificate")
        w.send("<db:result from='tls.example' to='bare.example'>0000</db:result>")
        await asyncio.wait_for(hello.wait(), 10)
        await w.until("type='error'", 10)
    finally:
        bare.remove()
        listening.close()


async def unproven_in_time(place):
    """Who proves no name within federation.login_time_max: connection-timeout"""
    w = await place.wire()
    await w.header()
    await w.until("</stream:features>")
    await w.ends_with("connection-timeout")


TRIALS = [f for f in list(globals().values()) if asyncio.iscoroutinefunction(f)]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--match", default="")
    p.add_argument("-v", action="store_true")
    args = p.parse_args()
    place, failed, passed = Place(), 0, 0
    try:
        place.server.start()
        for trial in TRIALS:
            if args.match not in trial.__name__:
                continue
            try:
                asyncio.run(asyncio.wait_for(trial(place), 60))
                passed += 1
                print(f"ok    {trial.__doc__}", flush=True)
            except Exception as e:
                failed += 1
                print(f"FAIL  {trial.__doc__}\n      {type(e).__name__}: {e}", flush=True)
                if args.v and not isinstance(e, Failure):
                    raise
    finally:
        if failed and args.v:
            print(place.server.tail())
        place.server.remove()
        place.names.close()
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
