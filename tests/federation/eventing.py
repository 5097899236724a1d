# SPDX-License-Identifier: AGPL-3.0-or-later
"""eventing.py: what is published on an account here is heard by its contacts' devices there that want it, and the other way round (XEP-0163).

Trials of run.py; each has people of its own, of the same name on both sides.
"""
import asyncio
import base64
import hashlib
import os

import xmpp
from people import HERE, ROSTER, THERE, close, hear, presence, role_pid, say
from trials import Failure, check

INFO, PUBSUB, EVENT = "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/pubsub", "http://jabber.org/protocol/pubsub#event"
SM = "urn:xmpp:sm:3"
TUNE, NICK, PROFILES = "http://jabber.org/protocol/tune", "http://jabber.org/protocol/nick", "urn:bongsu:profiles:0"
PATIENCE = 25


# ---- devices ----

class Client:
    """What a client can do, and its answers to who asks."""

    def __init__(self, name, *wants, answers=True):
        self.features = sorted([INFO, f"urn:example:{name}"] + [n + "+notify" for n in wants])
        self.answers, self.asked = answers, []          # by whom
        text = "client/pc//<" + "".join(f + "<" for f in self.features)
        self.ver = base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()

    def presence(self):
        return (f"<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://client.example' ver='{self.ver}'/></presence>")

    def hears(self, stream):
        def question(item):
            if item in (xmpp.GONE, xmpp.CLOSE) or xmpp.local(item) != "iq" or item.get("type") != "get" or item.find(f"{{{INFO}}}query") is None:
                return False
            self.asked.append(item.get("from", ""))
            node = item.find(f"{{{INFO}}}query").get("node")
            features = "".join(f"<feature var='{f}'/>" for f in self.features)
            head = f"id='{item.get('id')}' to='{xmpp.escape(item.get('from', ''))}'"
            stream.send(f"<iq type='result' {head}><query xmlns='{INFO}'" + (f" node='{xmpp.escape(node)}'" if node else "")
                        + f"><identity category='client' type='pc'/>{features}</query></iq>" if self.answers else
                        f"<iq type='error' {head}><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
            return True
        return question


async def device(server, name, resource, client=None, available=True):
    stream = await xmpp.log_in(server, name, "secret", resource, "starttls")
    stream.bare, stream.client = xmpp_bare(stream), client or Client("plain")
    stream.hears = stream.client.hears(stream)
    await stream.ask("get", ROSTER)
    if available:
        await appear(stream)
    return stream


def xmpp_bare(stream):
    return stream.me.split("/")[0]


async def appear(stream):
    stream.send(stream.client.presence())
    await presence(stream, stream.me)


async def befriend(a, b):
    for x, y in ((a, b), (b, a)):
        x.send(f"<presence to='{y.bare}' type='subscribe'/>")
        await presence(y, x.bare, "subscribe")
        y.send(f"<presence to='{x.bare}' type='subscribed'/>")
        await presence(x, y.bare, "subscribed")
        await presence(x, y.me)


async def pubsub(stream, inner, owner=False):
    answer = await stream.ask("set", f"<pubsub xmlns='{PUBSUB}{'#owner' if owner else ''}'>{inner}</pubsub>", None, PATIENCE)
    check(answer.get("type") == "result", xmpp.show(answer))


async def play_tune(stream, title):
    await pubsub(stream, f"<publish node='{TUNE}'><item id='current'><tune xmlns='{TUNE}'><title>{title}</title></tune></item></publish>")


async def set_nick(stream, name):
    await pubsub(stream, f"<publish node='{NICK}'><item id='current'><nick xmlns='{NICK}'>{name}</nick></item></publish>")


def news_in(item, sender):
    """The event of a message of that account."""
    if item in (xmpp.GONE, xmpp.CLOSE) or xmpp.local(item) != "message" or item.get("from", "").split("/")[0] != sender:
        return None
    return item.find(f"{{{EVENT}}}event")


async def told(stream, sender, words):
    """News of that account in which these words are, for this device by its full address."""
    def fits(item):
        return news_in(item, sender) is not None and words in xmpp.show(item)

    item = await stream.take_where(fits, PATIENCE)
    check(item is not None, f"{stream.me} was not told “{words}”: {[xmpp.show(i) for i in stream.items if i is not xmpp.GONE][-5:]}")
    check(item.get("to") == stream.me, f"told to {item.get('to')}")
    return item


async def nothing_told(stream, sender, words=""):
    """Nothing of that is there when what `sender` says behind it has come."""
    mark = f"behind {words} {len(stream.client.asked)} {id(stream)}"
    say(sender, stream.me, mark)
    await hear(stream, mark)
    found = [xmpp.show(i) for i in stream.items if news_in(i, sender.bare) is not None and words in xmpp.show(i)]
    check(not found, f"{stream.me} was told: {found}")


async def heard_nothing_before(stream, sender):
    """The presence of `sender` comes, and no news before it (behind it, the last item may)."""
    def is_presence(item):
        return item not in (xmpp.GONE, xmpp.CLOSE) and xmpp.local(item) == "presence" and item.get("from") == sender.me and not item.get("type")

    before = []

    def look(item):
        if news_in(item, sender.bare) is not None:
            before.append(xmpp.show(item))
        return is_presence(item)

    check(await stream.take_where(look, PATIENCE) is not None, "no presence")
    check(not before, f"{stream.me} was told: {before}")


def asked_by_us(client):
    return [who for who in client.asked if who.split("/")[0].split("@")[-1] == HERE]


# ---- trials ----

async def tunes_from_here(town):
    """What is published here is told to the devices there that want it, and to no other; retracted, purged and deleted too"""
    wants, other = Client("tunes", TUNE), Client("no tunes", NICK)
    me, phone = await device(town.here, "dave", "home"), await device(town.there, "dave", "phone", wants)
    desk = await device(town.there, "dave", "desk", other)
    await befriend(me, phone)
    for n in range(50):                 # it is heard when its server's answer about the client is here
        await play_tune(me, f"first {n}")
        item = await phone.take_where(lambda i: news_in(i, me.bare) is not None, 0.5)
        if item is not None:
            break
    check(item is not None and item.get("to") == phone.me and item.get("type") == "headline", f"{item is not None and xmpp.show(item)}")
    await play_tune(me, "second")
    await told(phone, me.bare, "second")
    await pubsub(me, f"<retract node='{TUNE}' notify='true'><item id='current'/></retract>")
    await told(phone, me.bare, "<retract")
    await play_tune(me, "third")
    await told(phone, me.bare, "third")
    await pubsub(me, f"<purge node='{TUNE}'/>", True)
    await told(phone, me.bare, "<purge")
    await pubsub(me, f"<delete node='{TUNE}'/>", True)
    await told(phone, me.bare, "<delete")
    await nothing_told(desk, me)
    check(len(asked_by_us(wants)) == 1, f"asked {wants.asked}")
    await close(me, phone, desk)


async def last_tune_from_here(town):
    """A device there that comes is told the last item, and a client that is known is not asked again"""
    client = Client("last tunes", TUNE)
    me, phone = await device(town.here, "erin", "home"), await device(town.there, "erin", "phone", client)
    await befriend(me, phone)
    await play_tune(me, "before you came")
    await told(phone, me.bare, "before you came")
    tablet = await device(town.there, "erin", "tablet", client)
    await told(tablet, me.bare, "before you came")
    for n in range(3):
        tablet.send("<presence type='unavailable'/>")
        await presence(me, tablet.me, "unavailable")
        tablet.items.clear()
        await appear(tablet)
        await told(tablet, me.bare, "before you came")
    check(len(asked_by_us(client)) == 1, f"asked {client.asked}")
    await close(me, phone, tablet)


async def not_for_everybody(town):
    """The blocked hear nothing, nor do those who see the account no more, neither news nor last items"""
    client = Client("tunes of a few", TUNE)
    me, phone = await device(town.here, "frank", "home"), await device(town.there, "frank", "phone", client)
    await befriend(me, phone)
    await play_tune(me, "for friends")
    await told(phone, me.bare, "for friends")
    block = f"<{{}} xmlns='urn:xmpp:blocking'><item jid='{phone.bare}'/></{{}}>"
    await me.ask("set", block.format("block", "block"))
    await presence(phone, me.me, "unavailable")
    phone.items.clear()
    await play_tune(me, "not for the blocked")
    phone.send("<presence type='unavailable'/>")
    await appear(phone)
    await me.ask("set", block.format("unblock", "unblock"))
    await heard_nothing_before(phone, me)
    await play_tune(me, "for friends again")
    await told(phone, me.bare, "for friends again")
    me.send(f"<presence to='{phone.bare}' type='unsubscribed'/>")
    await presence(phone, me.bare, "unsubscribed")
    await play_tune(me, "not for strangers")
    await nothing_told(phone, me, "not for strangers")
    tablet = await device(town.there, "frank", "tablet", client)
    await presence(me, tablet.me)
    await nothing_told(tablet, me)
    await close(me, phone, tablet)


async def profiles_from_here(town):
    """A contact there hears of the profile that is meant for it: as news, as the last item, and never of another"""
    client = Client("nicks", NICK)
    me, friend = await device(town.here, "grace", "home"), await device(town.there, "grace", "phone", client)
    boss = await device(town.there, "heidi", "phone", client)
    await befriend(me, friend)
    await befriend(me, boss)
    await set_nick(me, "basic name")
    for viewer in (friend, boss):
        await told(viewer, me.bare, "basic name")
    answer = await me.ask("set", f"<profile xmlns='{PROFILES}' number='1'><name>work name</name><status>at work</status></profile>")
    check(answer.get("type") == "result", xmpp.show(answer))
    answer = await me.ask("set", f"<audience xmlns='{PROFILES}' number='1'><viewer jid='{boss.bare}'/></audience>")
    check(answer.get("type") == "result", xmpp.show(answer))
    await told(boss, me.bare, "work name")
    boss.items.clear()
    await set_nick(me, "newer basic name")
    await told(friend, me.bare, "newer basic name")
    await nothing_told(boss, me, "basic")
    tablet = await device(town.there, "heidi", "tablet", client)
    await told(tablet, me.bare, "work name")
    await nothing_told(tablet, me, "basic")
    await nothing_told(friend, me, "work")
    await close(me, friend, boss, tablet)


async def tunes_from_there(town):
    """What is published there is told to the devices here that want it, and to no other; one that comes is told the last item"""
    wants, other = Client("tunes here", TUNE), Client("no tunes here", NICK)
    me, phone = await device(town.there, "carol", "home"), await device(town.here, "carol", "phone", wants)
    desk = await device(town.here, "carol", "desk", other)
    await befriend(me, phone)
    phone.send("<presence type='unavailable'/>")        # ejabberd takes notice of a device that comes when its person is a contact already
    await presence(me, phone.me, "unavailable")
    await appear(phone)
    for n in range(50):
        await play_tune(me, f"there {n}")
        item = await phone.take_where(lambda i: news_in(i, me.bare) is not None, 0.5)
        if item is not None:
            break
    check(item is not None and item.get("to") == phone.me, "it was not told")
    check(any(who.split("/")[0].split("@")[-1] == THERE for who in wants.asked), f"the other server did not ask: {wants.asked}")
    await play_tune(me, "there at last")
    await told(phone, me.bare, "there at last")
    await nothing_told(desk, me)
    tablet = await device(town.here, "carol", "tablet", wants)
    await told(tablet, me.bare, "there at last")
    await close(me, phone, desk, tablet)


async def no_answer(town):
    """A device there that does not say what it can do hears nothing, and is not asked again and again"""
    client = Client("silent", TUNE, answers=False)
    me, phone = await device(town.here, "bob", "home"), await device(town.there, "bob", "phone", client)
    await befriend(me, phone)
    for n in range(5):
        phone.send("<presence type='unavailable'/>")
        await presence(me, phone.me, "unavailable")
        await appear(phone)
        await presence(me, phone.me)
        await play_tune(me, f"silent {n}")
    await nothing_told(phone, me)
    check(len(asked_by_us(client)) <= 1, f"asked {client.asked}")
    await close(me, phone)


async def resumed(town):
    """talk is killed: whose stream is resumed is still heard there, though they send no presence, nor does anybody there"""
    client = Client("tunes of the resumed", TUNE)
    me, phone = await device(town.here, "alice", "phone"), await device(town.there, "heidi", "desk", client)
    await befriend(me, phone)
    me.send_raw(f"<enable xmlns='{SM}' resume='true'/>")
    enabled = await me.take_where(lambda i: i.tag == f"{{{SM}}}enabled", PATIENCE)
    me.sm, me.sm_in = True, 0
    await play_tune(me, "before it is killed")
    await told(phone, me.bare, "before it is killed")
    os.kill(await role_pid(town.here, "talk"), 9)
    again = await come_back(town.here, "alice")
    again.send_raw(f"<resume xmlns='{SM}' previd='{enabled.get('id')}' h='{me.sm_in}'/>")
    answer = await again.take_where(lambda i: i.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"), PATIENCE)
    check(answer is not None and answer.tag == f"{{{SM}}}resumed", "the stream was not resumed")
    again.me, again.bare = me.me, me.bare
    await presence(again, phone.me)         # its server was asked
    await play_tune(again, "after it was killed")
    await told(phone, me.bare, "after it was killed")
    check(len(asked_by_us(client)) == 1, f"asked {client.asked}")
    await close(again, phone)


async def come_back(server, name):
    """A stream that has logged in and not bound, as soon as there is a talk."""
    for _ in range(150):
        try:
            stream, features = await xmpp.connect(server, "starttls")
            await xmpp.authenticate(stream, features, name, "secret")
            await xmpp.open_stream(stream, server.domain)
            return stream
        except (OSError, xmpp.XMPPError, EOFError):
            await asyncio.sleep(0.2)
    raise Failure("could not log in again")


EVENTING = (tunes_from_here, last_tune_from_here, not_for_everybody, profiles_from_here, tunes_from_there)
