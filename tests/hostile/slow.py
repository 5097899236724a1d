# SPDX-License-Identifier: AGPL-3.0-or-later
"""slow.py: who is too slow, too silent, too large or too many."""
import asyncio
import socket
import time

import xmpp
from enemy import (DEAD_SECONDS, HEADER, IDLE_SECONDS, LOGIN_SECONDS, PER_ADDRESS, PASSWORD, PING, STANZA_BYTES, STANZA_BYTES_EARLY,
                   check)


async def slow_writer_is_ended(t):
    """who writes byte by byte before log-in is ended after a while"""
    before = await t.counter("bongsu_talk_login_timeouts_total")
    r = await t.raw(t.server.port)
    endless = HEADER + b"<auth " + b"x" * 100000
    deadline = time.monotonic() + 4 * LOGIN_SECONDS + 15
    for n in range(len(endless)):
        r.send(endless[n:n + 1])
        await asyncio.sleep(0.2)
        if r.ended or time.monotonic() > deadline:
            break
    check(r.ended, "it may go on for ever")
    check(b"connection-timeout" in r.heard, f"said: {r.heard[-200:]}")
    check(await t.counter("bongsu_talk_login_timeouts_total") > before, "not counted")


async def silent_before_login_is_ended(t):
    """who connects and says nothing is ended"""
    for port in (t.server.port, t.server.tls_port, t.server.websocket_port, t.server.web_port):
        r = await t.raw(port)
        check(await r.end(75), f"port {port} waits for ever")


async def silent_client_is_asked_then_ended(t):
    """a silent session is asked for a sign of life, and ended when none comes"""
    quiet = await t.log_in("carol", "quiet")
    item = await quiet.take_where(lambda i: i is xmpp.GONE or xmpp.local(i) == "iq", IDLE_SECONDS + 15)
    check(item is not None and item is not xmpp.GONE, "it was not asked")
    check(await t.fate(quiet, DEAD_SECONDS + 15) is not None, "it was not ended")


async def answering_client_stays(t):
    """a session that answers when asked stays"""
    alive = await t.log_in("carol", "alive")
    for _ in range(2):
        item = await alive.take_where(lambda i: i is xmpp.GONE or xmpp.local(i) == "iq", IDLE_SECONDS + 15)
        check(item is not None and item is not xmpp.GONE, "it was not asked")
        alive.send(f"<iq type='result' id='{item.get('id')}' to='{item.get('from')}'/>")
    await alive.ask("get", PING, t.server.domain)
    alive.link.abort()


async def slow_reader_goes_alone(t):
    """who never reads is ended when its queue is full; the others go on"""
    before = await t.counter("bongsu_talk_slow_readers_total")
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.bind((t.address(), 0))
    s.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(s, ("127.0.0.1", t.server.tls_port))
    _, link = await loop.create_connection(xmpp.Link, sock=s, ssl=t.tls(), server_hostname=t.server.domain)
    deaf = xmpp.Stream(link)
    await xmpp.authenticate(deaf, await xmpp.open_stream(deaf, t.server.domain), "mallory", PASSWORD)
    await xmpp.open_stream(deaf, t.server.domain)
    await xmpp.bind(deaf, "deaf")
    deaf.send("<presence/>")
    await deaf.ask("get", PING, t.server.domain)
    link.transport.pause_reading()
    carol = await t.log_in("carol", "loud")
    after = before
    for n in range(400):
        carol.send(f"<message to='{deaf.me}' type='chat' id='l{n}'><body>{'x' * 60000}</body></message>")
        if n % 20 == 19:
            await carol.ask("get", PING, t.server.domain, 30)
            after = await t.counter("bongsu_talk_slow_readers_total")
            if after > before:
                break
    check(after == before + 1, f"{after - before} slow readers were ended")
    await t.friends.round_trip_seen()
    await carol.ask("get", PING, t.server.domain)
    carol.link.abort()
    link.abort()


async def oversized_before_login(t):
    """too large a stanza before log-in ends the stream with policy-violation"""
    r = await t.raw_stream()
    r.send(f"<auth xmlns='{xmpp.NS_SASL}' mechanism='PLAIN'>" + "A" * (STANZA_BYTES_EARLY + 1000))
    check(await r.end(), "it may go on")
    check(b"policy-violation" in r.heard, f"said: {r.heard[-300:]}")


async def oversized_header(t):
    """too large a stream header ends the stream with policy-violation"""
    r = await t.raw(t.server.port)
    r.send(HEADER[:-1] + b" x='" + b"y" * (STANZA_BYTES_EARLY + 1000))
    check(await r.end(), "it may go on")
    check(b"policy-violation" in r.heard, f"said: {r.heard[-300:]}")


async def oversized_after_login(t):
    """too large a stanza after log-in ends that stream with policy-violation"""
    s = await t.log_in("mallory")
    s.send(f"<message to='carol@{t.server.domain}'><body>{'z' * (STANZA_BYTES + 1000)}")
    fate = await t.fate(s)
    check(fate == "policy-violation", f"ended with {fate}")


async def largest_stanza_passes(t):
    """a stanza just below the bound is taken"""
    s = await t.log_in("mallory")
    s.send(f"<message to='{s.me}' type='chat'><body>{'z' * (STANZA_BYTES - 1000)}</body></message>")
    got = await s.take_where(lambda i: i is xmpp.GONE or xmpp.local(i) == "message", 20)
    check(got is not None and got is not xmpp.GONE, "it did not come")
    s.link.abort()


async def stanza_flood_is_slowed(t):
    """a flood of stanzas is slowed down, not dropped, and hinders no one"""
    before = await t.counter("bongsu_talk_rate_limited_total")
    s = await t.log_in("mallory")
    answers = []
    s.hears = lambda i: (answers.append(i) or True) if i not in (xmpp.GONE, xmpp.CLOSE) and xmpp.local(i) == "iq" else False
    count = 1000
    s.send("".join(f"<iq type='get' id='p{n}' to='{t.server.domain}'>{PING}</iq>" for n in range(count)))
    await t.friends.round_trip_seen()
    check(len(answers) < count, "the friends waited until the flood was over")
    deadline = time.monotonic() + 60
    while len(answers) < count and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    check([a.get("id") for a in answers] == [f"p{n}" for n in range(count)], f"{len(answers)} of {count} answered")
    check(await t.counter("bongsu_talk_rate_limited_total") > before, "not counted")
    s.link.abort()


async def connection_flood_is_bounded(t):
    """connections of one address are bounded and counted; other addresses get in"""
    before = await t.counter("bongsu_talk_connections_refused_total")
    address = t.address()
    many = await asyncio.gather(*(t.raw(t.server.port, None, address) for _ in range(PER_ADDRESS * 3)))
    for r in many:
        r.send(HEADER)
    await asyncio.gather(*(r.until(b"</stream:features>", 10) for r in many))
    served = sum(b"</stream:features>" in r.heard for r in many)
    check(served == PER_ADDRESS, f"{served} were served, {PER_ADDRESS} may be")
    check(await t.counter("bongsu_talk_connections_refused_total") >= before + PER_ADDRESS * 2, "not counted")
    other = await t.log_in("carol")
    other.link.abort()
    for r in many:
        r.close()
    await asyncio.sleep(0.5)
    again = await t.raw_stream(address, secure=False)
    again.close()


async def flood_of_refused_connections_on_web_ports(t):
    """hundreds of connections to the web ports hinder no one"""
    many = []
    for port in (t.server.websocket_port, t.server.web_port):
        address = t.address()
        many += await asyncio.gather(*(t.raw(port, None, address) for _ in range(300)))
    await t.friends.round_trip_seen()
    other = await t.log_in("carol")
    other.link.abort()
    for r in many:
        r.close()


async def presence_and_resources_are_bounded(t):
    """sessions of one account are bounded: a flood of log-ins keeps the server well"""
    streams = []
    for n in range(30):
        streams.append(await t.log_in("mallory", f"r{n}"))
    alive = sum(not s.ended for s in streams)
    await asyncio.sleep(0.5)
    alive = sum(not s.ended for s in streams)
    check(alive <= 20, f"{alive} sessions of one account")
    for s in streams:
        s.link.abort()


TESTS_WAITING = (slow_writer_is_ended, silent_before_login_is_ended, silent_client_is_asked_then_ended, answering_client_stays)
TESTS = (slow_reader_goes_alone, oversized_before_login, oversized_header, oversized_after_login, largest_stanza_passes,
         stanza_flood_is_slowed, connection_flood_is_bounded, flood_of_refused_connections_on_web_ports,
         presence_and_resources_are_bounded)
