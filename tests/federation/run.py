#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""run.py: Bongsu and other servers, both directions: chats, contacts, presence, questions, groups, files, avatars, and what waits while one is away.

    run.py [--peer bongsu|prosody|ejabberd] [--match TEXT] [-v]
"""
import argparse
import asyncio
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
import silence                                                              # noqa: E402
from across import ACROSS                                                  # noqa: E402
from components import components                                           # noqa: E402
from eventing import EVENTING, no_answer, resumed                           # noqa: E402
from people import (HERE, MAY_WAIT, ROSTER, THERE, Town, close, durable, hear, presence, role_pid, say, text_of)      # noqa: E402
from trials import Failure, check                                           # noqa: E402


# ---- trials ----

async def chats(town):
    """Chats go both ways, to bare and full addresses, in order"""
    alice, bob = await town.alice(), await town.bob()
    say(alice, town.bob_jid, "안녕 bob")
    await hear(bob, "안녕 bob", 30, town.alice_jid)
    say(bob, town.alice_jid + "/home", "hello alice")
    await hear(alice, "hello alice", 30, town.bob_jid)
    for i in range(200):
        say(alice, town.bob_jid, f"a{i}")
        say(bob, town.alice_jid, f"b{i}")
    for stream, letter in ((bob, "a"), (alice, "b")):
        heard = []
        while len(heard) < 200:
            item = await stream.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "message" and (text_of(i) or "")[:1] == letter, 25)
            check(item is not None, f"only {len(heard)} of 200 arrived")
            heard.append(text_of(item))
        check(heard == [f"{letter}{i}" for i in range(200)], f"out of order: {heard[:5]}…")
    await close(alice, bob)


async def questions(town):
    """Questions are answered both ways: disco, version, ping, a card, and a device asks another"""
    alice, bob = await town.alice(), await town.bob()
    card = "<vCard xmlns='vcard-temp'><FN>Alice of here</FN></vCard>"
    await alice.ask("set", card)
    await bob.ask("set", card.replace("Alice of here", "Bob of there"))
    for me, domain, jid, words in ((alice, THERE, town.bob_jid, "Bob of there"), (bob, HERE, town.alice_jid, "Alice of here")):
        for payload, to in (("<query xmlns='http://jabber.org/protocol/disco#info'/>", domain), ("<query xmlns='jabber:iq:version'/>", domain),
                            ("<ping xmlns='urn:xmpp:ping'/>", domain), ("<vCard xmlns='vcard-temp'/>", jid)):
            answer = await me.ask("get", payload, to, 25)
            check(answer is not None and answer.get("type") == "result", f"{payload} to {to}: {answer is not None and xmpp.show(answer)}")
        check(answer.find(".//{vcard-temp}FN").text == words, xmpp.show(answer))

    async def serve(stream):
        q = await stream.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "iq" and i.get("type") == "get", 25)
        check(q is not None, "no question came")
        stream.send(f"<iq type='result' id='{q.get('id')}' to='{q.get('from')}'><query xmlns='jabber:iq:version'><name>mine</name></query></iq>")

    for me, other, jid in ((alice, bob, town.bob_jid), (bob, alice, town.alice_jid)):
        served = asyncio.ensure_future(serve(other))
        answer = await me.ask("get", "<query xmlns='jabber:iq:version'/>", jid + "/home", 25)
        check(answer is not None and answer.find(".//{jabber:iq:version}name").text == "mine", "a device did not answer")
        await served
    await close(alice, bob)


async def nobody(town):
    """Who does not exist is told so, both ways"""
    alice, bob = await town.alice(), await town.bob()
    for me, domain in ((alice, THERE), (bob, HERE)):
        answer = await me.ask("get", "<vCard xmlns='vcard-temp'/>", f"nobody@{domain}", 25)
        if me is bob or town.kind == "bongsu":      # the others show an empty card
            check(answer is not None and answer.get("type") == "error", f"{answer is not None and xmpp.show(answer)}")
        me.send(f"<message to='nobody@{domain}' type='chat' id='n1'><body>anyone?</body></message>")
        if me is bob or town.kind != "prosody":
            e = await me.take_where(lambda i: xmpp.local(i) == "message" and i.get("type") == "error" and i.get("id") == "n1", 25)
            check(e is not None, "no error for the message")
    await close(alice, bob)


async def contacts(town):
    """Contacts: asked, accepted, seen, gone, asked after, taken off; from here and from there"""
    alice, bob = await town.alice(), await town.bob()
    for me, other, mine, theirs in ((alice, bob, town.alice_jid, town.bob_jid), (bob, alice, town.bob_jid, town.alice_jid)):
        me.send(f"<presence to='{theirs}' type='subscribe'/>")
        await presence(other, mine, "subscribe")
        other.send(f"<presence to='{mine}' type='subscribed'/>")
        await presence(me, theirs, "subscribed")
        await presence(me, theirs + "/home")
        other.send("<presence><show>away</show><status>잠시만</status></presence>")
        item = await me.take_where(lambda i: xmpp.local(i) == "presence" and i.find("{jabber:client}show") is not None
                                   and i.get("from", "").startswith(theirs), 25)
        check(item is not None, "the change was not seen")
        other.send("<presence type='unavailable'/>")
        await presence(me, theirs + "/home", "unavailable")
        other.send("<presence/>")
        await presence(me, theirs + "/home")
        me.send("<presence type='unavailable'/>")       # and a probe when it comes back
        await asyncio.sleep(0.3)
        me.items.clear()
        me.send("<presence/>")
        await presence(me, theirs + "/home")
    roster = await alice.ask("get", ROSTER)
    check(f"jid='{town.bob_jid}'" in xmpp.show(roster) and "subscription='both'" in xmpp.show(roster), xmpp.show(roster))
    await close(bob)
    await presence(alice, town.bob_jid + "/home", "unavailable")
    bob = await town.bob()
    await presence(bob, town.alice_jid + "/home")
    await presence(alice, town.bob_jid + "/home")
    bob.send(f"<iq type='set' id='rm'><query xmlns='jabber:iq:roster'><item jid='{town.alice_jid}' subscription='remove'/></query></iq>")
    await presence(alice, town.bob_jid, "unsubscribed")
    roster = await alice.ask("get", ROSTER)
    check("subscription='none'" in xmpp.show(roster), xmpp.show(roster))
    await close(alice, bob)


async def offline(town):
    """Who is away gets it with the next presence, and the archive has it"""
    alice, bob = await town.alice(), await town.bob()
    await close(bob)
    await asyncio.sleep(0.5)
    say(alice, town.bob_jid, "for later")
    await asyncio.sleep(1)
    bob = await town.bob()
    await hear(bob, "for later")
    await close(alice)
    await asyncio.sleep(0.5)
    say(bob, town.alice_jid, "for alice later")
    await asyncio.sleep(1)
    alice = await town.alice()
    item = await hear(alice, "for alice later")
    check(item.find("{urn:xmpp:delay}delay") is not None, "no delay")
    done = await alice.ask("set", "<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
                           f"<value>urn:xmpp:mam:2</value></field><field var='with'><value>{town.bob_jid}</value></field></x><set xmlns='http://jabber.org/protocol/rsm'><max>10</max><before/></set></query>")
    check(done is not None and done.get("type") == "result", "the archive does not answer")
    found = [xmpp.show(i) for i in alice.items if i is not xmpp.GONE and xmpp.local(i) == "message"]
    check(any("for later" in f for f in found) and any("for alice later" in f for f in found), f"not in the archive: {found}")
    await close(alice, bob)


async def blocking(town):
    """The blocked are not heard, wherever they are"""
    alice, bob = await town.alice(), await town.bob()
    await alice.ask("set", f"<block xmlns='urn:xmpp:blocking'><item jid='{town.bob_jid}'/></block>")
    error = None
    for n in range(5):              # another messenger of hers may hear of it a moment later
        say(bob, town.alice_jid, f"are you there? {n}")
        error = await bob.take_where(lambda i: xmpp.local(i) == "message" and i.get("type") == "error", 8)
        if error is not None:
            break
    await alice.ask("set", f"<unblock xmlns='urn:xmpp:blocking'><item jid='{town.bob_jid}'/></unblock>")
    check(error is not None, "the blocked is not told")
    say(bob, town.alice_jid, "and now?")
    await hear(alice, "and now?")
    heard = [text_of(i) for i in alice.items if i is not xmpp.GONE and xmpp.local(i) == "message"]
    check(f"are you there? {n}" not in heard, "it was heard")
    await close(alice, bob)


async def heard_in_order(stream, letter, count, seconds=60):
    """Bodies with that letter until the last; repeated ones are told."""
    heard = []
    while f"{letter}{count - 1}" not in heard:
        item = await stream.take_where(lambda i: i is xmpp.GONE or (xmpp.local(i) == "message" and (text_of(i) or "").startswith(letter)), seconds)
        check(item is not None and item is not xmpp.GONE, f"{len(set(heard))} of {count} arrived: {heard[-3:]}")
        heard.append(text_of(item))
    first = list(dict.fromkeys(heard))
    check(first == [f"{letter}{i}" for i in range(count)], f"lost or out of order: {len(first)} of {count}, {first}")
    return len(heard) - len(first)


async def peer_is_away(town):
    """What is said while the other server is down arrives when it is up, once, in order"""
    alice, bob = await town.alice(), await town.bob()
    say(alice, town.bob_jid, "before")
    await hear(bob, "before")
    town.peer_leaves()
    for i in range(50):
        say(alice, town.bob_jid, f"q{i}")
    await alice.ask("get", "<ping xmlns='urn:xmpp:ping'/>")
    await asyncio.sleep(2)
    bob = await town.peer_returns()
    again = await heard_in_order(bob, "q", 50)
    check(again == 0, f"{again} came twice")
    check(not [i for i in alice.items if xmpp.local(i) == "message" and i.get("type") == "error"], "alice was told an error")
    await close(alice, bob)


async def waiting_in_memory(server):
    port = re.search(r"^courier.metrics_listen = .*:(\d+)$", open(server.config).read(), re.M)[1]
    reply, _, writer = await xmpp.http_request("127.0.0.1", int(port), b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    writer.close()
    return int(re.search(r"^bongsu_courier_waiting (\d+)$", reply.body.decode(), re.M)[1])


SMALL_ONES = 4          # presence and the like, that wait besides


async def large_ones_wait(town):
    """What is large and waits for a server that is away waits in the database: in memory are no more than 16 MiB of it"""
    alice, bob = await town.alice(), await town.bob()
    say(alice, town.bob_jid, "small")
    await hear(bob, "small")
    town.peer_leaves()
    large = "<padding xmlns='urn:example:padding'>" + "." * 200000 + "</padding>"
    for i in range(120):
        alice.send(f"<message to='{town.bob_jid}' type='chat' id='z{i}'><body>z{i}</body>{large}</message>")
    check(await durable(alice), "no answer")
    await asyncio.sleep(2.5)
    count = await waiting_in_memory(town.here)
    bob = await town.peer_returns()
    check(0 < count <= 84 + SMALL_ONES, f"{count} of 120 are in memory")
    check(await heard_in_order(bob, "z", 120) == 0, "came twice")
    await close(alice, bob)


async def we_are_away(town):
    """What the other server has for us while we are down is not lost to its sender: it comes, or they are told"""
    alice, bob = await town.alice(), await town.bob()
    say(bob, town.alice_jid, "before us")
    await hear(alice, "before us")
    town.here.restart()
    alice = await town.alice()
    say(bob, town.alice_jid, "after us")
    await hear(alice, "after us", 60)
    say(alice, town.bob_jid, "and back")
    await hear(bob, "and back", 60)
    await close(alice, bob)


async def killed(town):
    """courier and talk are killed while people talk: nothing acknowledged is lost, and the order stands"""
    alice, bob = await town.alice(), await town.bob()
    sent, acked = 0, 0
    rng = random.Random(4)
    for round_ in range(6):
        for _ in range(25):
            say(alice, town.bob_jid, f"k{sent}")
            sent += 1
        if await durable(alice):
            acked = sent
        await asyncio.sleep(rng.random() * 0.05)
        role = "talk" if round_ % 2 else "courier"
        os.kill(await role_pid(town.here, role), 9)
        if role == "talk":
            await asyncio.sleep(0.5)
            alice = await again(town.alice)
    check(acked == sent, f"{acked} of {sent}")
    repeated = await heard_in_order(bob, "k", sent, 90)
    check(repeated <= 100 if town.kind != "bongsu" else repeated == 0, f"{repeated} came twice")
    for i in range(20):
        say(bob, town.alice_jid, f"l{i}")
        if i == 10:
            os.kill(await role_pid(town.here, "courier"), 9)
    await asyncio.sleep(3)
    say(bob, town.alice_jid, "still there")
    await hear(alice, "still there", 90)
    await close(alice, bob)


async def again(enter, seconds=30):
    for _ in range(seconds * 5):
        try:
            return await enter()
        except (OSError, xmpp.XMPPError, EOFError):
            await asyncio.sleep(0.2)
    raise Failure("could not log in again")


async def site_lost(town):
    """The site that speaks with the other server is killed: another one goes on, with all that was acknowledged, in order"""
    nodes = town.here.nodes
    bob = await town.bob()
    speaker = None
    for round_ in range(2):
        node = nodes[0] if speaker is not nodes[0] else nodes[1]
        alice = await Town.enter(node, "alice", f"home{round_}")
        say(alice, town.bob_jid, f"start{round_}")
        await hear(bob, f"start{round_}", 60)
        speaker = next(n for n in nodes if n.process and "s2s.ready" in open(n.log).read()[n.log_start:] and not getattr(n, "was", False))
        if speaker is node:
            await close(alice)
            node = next(n for n in nodes if n is not speaker and n.process)
            alice = await Town.enter(node, "alice", f"other{round_}")
        letter = "xy"[round_]
        for i in range(60):
            say(alice, town.bob_jid, f"{letter}{i}")
            if i == 30:
                speaker.kill9()
                speaker.was = True
        check(await durable(alice), "no answer")
        repeated = await heard_in_order(bob, letter, 60, 60)
        check(repeated == 0, f"{repeated} came twice")
        say(bob, town.alice_jid, f"back{round_}")
        await hear(alice, f"back{round_}", 60)
        await close(alice)
        speaker.start()
        speaker.was = False
    await close(bob)


async def own_site_lost(town):
    """The sender's site is killed after it has acknowledged: another one hands over what it left"""
    nodes, (bob, carol) = town.here.nodes, (await town.bob(), await Town.enter(town.here.nodes[2], "carol", "home"))
    say(carol, town.bob_jid, "carol is here")
    await hear(bob, "carol is here", 60)
    for round_, node in enumerate(nodes[:2]):
        alice = await Town.enter(node, "alice", f"own{round_}")
        os.kill(await role_pid(node, "courier"), 19)    # it takes nothing: all stays in talk's outbox
        letter = "vw"[round_]
        for i in range(20):
            say(alice, town.bob_jid, f"{letter}{i}")
        check(await durable(alice), "no answer")
        node.kill9()
        check(await heard_in_order(bob, letter, 20, 60) == 0, "came twice")
        node.start()
    await close(bob, carol)


async def more_than_may_wait(town):
    """What has arrived does not count among what waits, whichever site took it and whichever sent it"""
    bob = await town.bob()
    for number, node in enumerate(town.here.nodes):
        alice = await Town.enter(node, "alice", f"many{number}")
        for part in range(0, MAY_WAIT + 50, 50):
            for i in range(part, part + 50):
                say(alice, town.bob_jid, f"{'stu'[number]}{i}")
            await hear(bob, f"{'stu'[number]}{part + 49}", 60)
        check(not [i for i in alice.items if xmpp.local(i) == "message" and i.get("type") == "error"], "alice was told an error")
        await close(alice)
    await close(bob)


async def lease_given_up(town):
    """A domain with which there is nothing to do any more belongs to no site: a minute after the last word"""
    alice = await Town.enter(town.here.nodes[0], "alice", "asks")
    answer = await alice.ask("get", "<ping xmlns='urn:xmpp:ping'/>", "nowhere.example", 25)
    check(answer is not None and "remote-server-not-found" in xmpp.show(answer), f"{answer is not None and xmpp.show(answer)}")
    count = "SELECT count(*) FROM courier.lease WHERE remote = 'nowhere.example'"
    check(town.here.psql(town.here.database, count).strip() == "1", "nobody has it")
    for _ in range(80):
        if town.here.psql(town.here.database, count).strip() == "0":
            break
        await asyncio.sleep(1)
    else:
        raise Failure("it is still somebody's")
    await close(alice)


async def wrong_domain(town):
    """A domain that does not exist is told at once; one that cannot be reached, in its time"""
    alice = await town.alice()
    answer = await alice.ask("get", "<ping xmlns='urn:xmpp:ping'/>", "nowhere.example", 25)
    check(answer is not None and "remote-server-not-found" in xmpp.show(answer), f"{answer is not None and xmpp.show(answer)}")
    alice.send("<message to='x@nowhere.example' type='chat' id='m1'><body>hello?</body></message>")
    error = await alice.take_where(lambda i: xmpp.local(i) == "message" and i.get("type") == "error" and i.get("id") == "m1", 25)
    check(error is not None and "remote-server-not-found" in xmpp.show(error), "no error")
    await close(alice)


def no_error(*streams, but=()):
    for stream in streams:
        errors = [xmpp.show(i) for i in stream.items if i is not xmpp.GONE and xmpp.local(i) == "message" and i.get("type") == "error"
                  and i.get("id") not in but]
        check(not errors, f"{len(errors)} came back: {errors[:1]}")


async def silent_cut(town):
    """The network falls silent under messages that are on their way: when it is back each arrives once, in order, and none came back"""
    alice, bob = await town.alice(), await town.bob()
    cut = silence.Silence(*((s.s2s, s.s2s_tls) for s in (town.here, town.there)))
    say(bob, town.alice_jid, "a word of bob")
    await hear(alice, "a word of bob", 60)
    say(alice, town.bob_jid, "a word of alice")
    await hear(bob, "a word of alice", 60)
    cut.cut()
    try:
        for i in range(20):
            say(bob, town.alice_jid, f"c{i}")
            say(alice, town.bob_jid, f"d{i}")
        check(await durable(alice), "no answer")
        await asyncio.sleep(6)
    finally:
        cut.heal()
    check(await heard_in_order(alice, "c", 20, 90) == 0, "c came twice")
    check(await heard_in_order(bob, "d", 20, 90) == 0, "d came twice")
    no_error(alice, bob)
    await close(alice, bob)


async def one_of(sender, hearer, to, words):
    """That they reach each other: the ids of what was said. One that the other server puts on a connection whose end has just been killed may be
    gone or come back, and the next one is not."""
    said = set()
    for n in range(10):
        said.add(say(sender, to, f"{words} {n}"))
        heard = await hearer.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "message" and (text_of(i) or "").startswith(words), 10)
        if heard is not None:
            return said
    raise Failure(f"“{words}” did not arrive")


async def managed(town):
    """Until all streams that courier has had since it was killed are acknowledged. Prosody puts stanzas on a new stream first and asks for that when
    it finds nothing else to do; what it sent before is not in its queue of what is to be sent again."""
    for _ in range(150):
        log = open(town.here.log, errors="replace").read().rpartition("proc.died role=courier")[2]
        streams = set(re.findall(r"s2s\.(?:proven|ready) stream=(\d+)", log))
        if streams and streams <= set(re.findall(r"s2s\.managed stream=(\d+)", log)):
            return
        await asyncio.sleep(0.2)
    raise Failure("a stream is not acknowledged")


async def silent_cut_and_lost(town):
    """And if our end is gone when the network is back: what the other server sends again is seen once, what it took for sent is not lost"""
    alice, bob = await town.alice(), await town.bob()
    cut = silence.Silence(*((s.s2s, s.s2s_tls) for s in (town.here, town.there)))
    os.kill(await role_pid(town.here, "courier"), 9)        # no stream is left: the next one is made by the other server, who may acknowledge on it
    asked = set()
    for letter, answers_only in (("e", True), ("f", False)):
        asked |= await one_of(bob, alice, town.alice_jid, f"before {letter}")
        if town.kind == "prosody" and town.sends_again:
            await managed(town)
        cut.cut(answers_only)
        try:
            for i in range(20):
                say(bob, town.alice_jid, f"{letter}{i}")
            if answers_only:                    # all of it is stored here, and the other server does not know
                check(await heard_in_order(alice, letter, 20, 30) == 0, f"{letter} came twice")
            else:
                await asyncio.sleep(2)
            os.kill(await role_pid(town.here, "courier"), 9)
            await asyncio.sleep(1)
        finally:
            cut.heal()
        if not answers_only and town.sends_again:
            check(await heard_in_order(alice, letter, 20, 90) == 0, f"{letter} came twice")
        asked |= await one_of(bob, alice, town.alice_jid, f"after {letter}")
        twice = [text_of(i) for i in alice.items if i is not xmpp.GONE and xmpp.local(i) == "message" and (text_of(i) or "").startswith(letter)]
        check(not twice or not town.sends_again and not answers_only, f"came twice: {twice}")
    no_error(bob, but=asked)
    await close(alice, bob)


SITES = (chats, questions, contacts, offline, blocking, components, peer_is_away, more_than_may_wait, lease_given_up, site_lost, own_site_lost, *ACROSS, *EVENTING, no_answer)
TRIALS = (chats, questions, nobody, contacts, offline, blocking, components, wrong_domain, peer_is_away, large_ones_wait, we_are_away, killed, *ACROSS, *EVENTING, resumed, no_answer)
SILENT = (silent_cut, silent_cut_and_lost)      # in a namespace: silence.py


def play(kind, args):
    failed = passed = 0
    trials = SITES if args.here == "bongsu-three" else TRIALS if args.noisy else TRIALS + SILENT
    town = Town(kind, args.here, not args.strangers)
    try:
        town.start()
        for trial in trials:
            if args.match not in trial.__name__:
                continue
            try:
                asyncio.run(asyncio.wait_for(trial(town), 240))
                passed += 1
                print(f"ok    {kind}: {trial.__doc__}", flush=True)
            except Exception as e:              # told, and the next trial goes on
                failed += 1
                print(f"FAIL  {kind}: {trial.__doc__}\n      {type(e).__name__}: {e}", flush=True)
                if args.v:
                    print(town.here.tail(), town.there.tail(), sep="\n----\n")
    finally:
        town.remove()
    return passed, failed


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--peer", choices=("bongsu", "prosody", "ejabberd"))
    p.add_argument("--here", default="bongsu")
    p.add_argument("--strangers", action="store_true", help="certificates that do not prove anything: dialback")
    p.add_argument("--match", default="")
    p.add_argument("-v", action="store_true")
    args = p.parse_args()
    passed = failed = skipped = 0
    args.noisy = "there are three sites" if args.here == "bongsu-three" else silence.enter()
    if args.noisy:
        print(f"skip  silent cuts: {args.noisy}")
        skipped += len(SILENT)
    for kind in [args.peer] if args.peer else ["bongsu", "prosody", "ejabberd"]:
        try:
            ok, bad = play(kind, args)
        except servers.ServerError as e:
            print(f"skip  {kind}: {e}")
            skipped += 1
            continue
        passed, failed = passed + ok, failed + bad
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
