# SPDX-License-Identifier: AGPL-3.0-or-later
"""across.py: groups, files and avatars: each is made on one side and used by a person of the other one, and then the other way round."""
import asyncio
import base64
import hashlib
import os
import urllib.error
import urllib.parse
import urllib.request

import xmpp
from eventing import NICK, PUBSUB, Client, appear, befriend, device, news_in, pubsub
from people import HERE, THERE, close, presence, rooms_of, say, text_of
from trials import check

MUC, CONFERENCE = "http://jabber.org/protocol/muc", "jabber:x:conference"
UPLOAD, OOB = "urn:xmpp:http:upload:0", "jabber:x:oob"
DATA, METADATA = "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"
CARD, UPDATE = "vcard-temp", "vcard-temp:x:update"
PATIENCE = 25
SPOKEN = 20


def is_a(item, name):
    return item not in (xmpp.GONE, xmpp.CLOSE) and xmpp.local(item) == name


# ---- groups ----

async def groups(town):
    """A room of each side: who is invited from the other one comes in, is seen, all read the same in one order, and leaving is seen"""
    here, there = await device(town.here, "ivan", "home"), await device(town.there, "ivan", "home")
    await meet(here, there, f"harbour@{rooms_of(HERE)}")
    await meet(there, here, f"harbour@{rooms_of(THERE)}")
    await close(here, there)


async def meet(owner, guest, room):
    join(owner, room, "owner")
    await seen(owner, f"{room}/owner", "110")
    answer = await owner.ask("set", f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>", room, PATIENCE)
    check(answer is not None and answer.get("type") == "result", f"{room} was not made: {answer is not None and xmpp.show(answer)}")
    await invite(owner, guest, room)

    join(guest, room, "guest")
    await seen(guest, f"{room}/owner")
    await seen(guest, f"{room}/guest", "110")
    await seen(owner, f"{room}/guest")
    for n in range(SPOKEN):
        say(owner, room, f"owner {n}", "groupchat")
        say(guest, room, f"guest {n}", "groupchat")
    at_owner, at_guest = [await spoken(stream, room) for stream in (owner, guest)]
    check(at_owner == at_guest, f"in two orders: {at_owner} and {at_guest}")
    for nick in ("owner", "guest"):
        own = [words for words in at_owner if words.startswith(nick)]
        check(own == [f"{nick} {n}" for n in range(SPOKEN)], f"of {nick}: {own}")

    guest.send(f"<presence type='unavailable' to='{room}/guest'/>")
    await presence(owner, f"{room}/guest", "unavailable")
    await presence(guest, f"{room}/guest", "unavailable")
    owner.send(f"<presence type='unavailable' to='{room}/owner'/>")
    await presence(owner, f"{room}/owner", "unavailable")


def join(stream, room, nick):
    stream.send(f"<presence to='{room}/{nick}'><x xmlns='{MUC}'/></presence>")


async def seen(stream, occupant, status=None):
    """Somebody in a room; with status 110 it is oneself, and all the others have been told before."""
    def fits(item):
        codes = [s.get("code") for s in item.iter(f"{{{MUC}#user}}status")] if is_a(item, "presence") else []
        return is_a(item, "presence") and item.get("from") == occupant and not item.get("type") and (status is None or status in codes)

    check(await stream.take_where(fits, PATIENCE) is not None, f"{stream.me} does not see {occupant}: {last_items(stream)}")


async def invite(owner, guest, room):
    """By way of the room (XEP-0045 §7.8.2), and straight (XEP-0249)."""
    owner.send(f"<message to='{room}'><x xmlns='{MUC}#user'><invite to='{guest.bare}'><reason>come in</reason></invite></x></message>")
    item = await guest.take_where(lambda i: is_a(i, "message") and i.get("from") == room and i.find(f"{{{MUC}#user}}x/{{{MUC}#user}}invite") is not None, PATIENCE)
    check(item is not None, f"the room's invitation did not arrive: {last_items(guest)}")
    inviter = item.find(f".//{{{MUC}#user}}invite").get("from", "")         # as an occupant or by address: both may be
    check(inviter == f"{room}/owner" or inviter.split("/")[0] == owner.bare, f"of whom: {xmpp.show(item)}")
    check(item.findtext(f".//{{{MUC}#user}}reason") == "come in", xmpp.show(item))
    owner.send(f"<message to='{guest.bare}'><x xmlns='{CONFERENCE}' jid='{room}'/></message>")
    item = await guest.take_where(lambda i: is_a(i, "message") and i.get("from") == owner.me and i.find(f"{{{CONFERENCE}}}x") is not None, PATIENCE)
    check(item is not None, f"the owner's invitation did not arrive: {last_items(guest)}")
    check(item.find(f"{{{CONFERENCE}}}x").get("jid") == room, xmpp.show(item))


async def spoken(stream, room):
    """What both have said, as this one was told it."""
    def fits(item):
        return is_a(item, "message") and item.get("type") == "groupchat" and item.get("from", "").split("/")[0] == room and text_of(item)

    heard = []
    while len(heard) < 2 * SPOKEN:
        item = await stream.take_where(fits, PATIENCE)
        check(item is not None, f"{stream.me} heard {len(heard)} of {2 * SPOKEN} in {room}")
        check(item.get("from") == f"{room}/{text_of(item).split()[0]}", f"in whose name: {xmpp.show(item)}")
        heard.append(text_of(item))
    return heard


# ---- files ----

async def files(town):
    """A file of each side: its link goes in a message, and the other one gets these bytes"""
    here, there = await device(town.here, "ivan", "home"), await device(town.there, "ivan", "home")
    await hand_over(here, there, town.here)
    await hand_over(there, here, town.there)
    await close(here, there)


async def hand_over(sender, hearer, server):
    data = os.urandom(100000)
    put, get = await slot(sender, server.domain, "harbour.bin", len(data))
    status, _ = await http(server, put.get("url"), "PUT", data, {h.get("name"): h.text for h in put.iter(f"{{{UPLOAD}}}header")})
    check(status == 201, f"PUT: {status}")
    link = xmpp.escape(get.get("url"))
    sender.send(f"<message to='{hearer.bare}' type='chat'><body>{link}</body><x xmlns='{OOB}'><url>{link}</url></x></message>")
    item = await hearer.take_where(lambda i: is_a(i, "message") and i.get("from") == sender.me and i.find(f"{{{OOB}}}x") is not None, PATIENCE)
    check(item is not None, f"the link did not arrive: {last_items(hearer)}")
    status, got = await http(server, item.findtext(f"{{{OOB}}}x/{{{OOB}}}url"))
    check(status == 200 and got == data, f"GET: {status}, {len(got)} bytes of {len(data)}")


async def slot(stream, domain, name, size):
    answer = await stream.ask("get", f"<request xmlns='{UPLOAD}' filename='{name}' size='{size}' content-type='application/octet-stream'/>",
                              f"upload.{domain}", PATIENCE)
    check(answer is not None and answer.get("type") == "result", f"no slot: {answer is not None and xmpp.show(answer)}")
    return answer.find(f".//{{{UPLOAD}}}put"), answer.find(f".//{{{UPLOAD}}}get")


async def http(server, url, method="GET", body=None, headers=None):
    """Status and body; the certificate must be good for who trusts the server's authority."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=server.client_tls()))

    def run():
        more = {"Content-Type": "application/octet-stream"} if body else {}
        request = urllib.request.Request(url, body, {**more, **(headers or {})}, method=method)
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()

    check(urllib.parse.urlsplit(url).scheme == "https", f"not secret: {url}")
    return await asyncio.to_thread(run)


# ---- avatars ----

async def avatars(town):
    """An avatar of each side: the contact on the other one is told of it and gets this picture, of both kinds (XEP-0084, XEP-0153)"""
    here = await device(town.here, "judy", "home", Client("avatars", METADATA))
    there = await device(town.there, "judy", "home", Client("avatars", METADATA))
    await befriend(here, there)
    here.send("<presence type='unavailable'/>")         # ejabberd takes notice of a device that comes when its person is a contact already
    await presence(there, here.me, "unavailable")
    await appear(here)
    await show_avatar(here, there)
    await show_avatar(there, here, in_card=town.kind != "ejabberd")     # its conversion (mod_avatar) wants real pictures and a graphics library
    await show_photo(here, there)
    await show_photo(there, here, named=town.kind != "bongsu")          # ours leaves the name out: docs/profiles.md
    await close(here, there)


def picture():
    data = b"\x89PNG\r\n\x1a\n" + os.urandom(20000)
    return data, hashlib.sha1(data).hexdigest(), base64.b64encode(data).decode()


async def show_avatar(me, friend, in_card=True):
    data, ident, text = picture()
    await pubsub(me, f"<publish node='{DATA}'><item id='{ident}'><data xmlns='{DATA}'>{text}</data></item></publish>")
    for _ in range(50):                 # it is heard when its server's answer about the client is here
        await pubsub(me, f"<publish node='{METADATA}'><item id='{ident}'><metadata xmlns='{METADATA}'>"
                         f"<info id='{ident}' type='image/png' bytes='{len(data)}'/></metadata></item></publish>")
        item = await friend.take_where(lambda i: news_in(i, me.bare) is not None and i.find(f".//{{{METADATA}}}info") is not None, 0.5)
        if item is not None:
            break
    check(item is not None, f"{friend.me} was not told: {last_items(friend)}")
    check(item.find(f".//{{{METADATA}}}info").get("id") == ident, xmpp.show(item))
    answer = await friend.ask("get", f"<pubsub xmlns='{PUBSUB}'><items node='{DATA}'><item id='{ident}'/></items></pubsub>", me.bare, PATIENCE)
    check(answer is not None and decoded(answer, f".//{{{DATA}}}data") == data, f"another picture of {me.bare}")
    if in_card:
        await card_shows(friend, me, data)


async def show_photo(me, friend, named=False):
    """As clients without eventing do it: in the card, and its hash in presence, with their name (XEP-0172)."""
    data, ident, text = picture()
    answer = await me.ask("set", f"<vCard xmlns='{CARD}'><FN>Judy</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>{text}</BINVAL></PHOTO></vCard>", None, PATIENCE)
    check(answer is not None and answer.get("type") == "result", f"the card: {answer is not None and xmpp.show(answer)}")
    me.send(f"<presence><x xmlns='{UPDATE}'><photo>{ident}</photo></x><nick xmlns='{NICK}'>Judy</nick></presence>")
    item = await friend.take_where(lambda i: is_a(i, "presence") and i.get("from") == me.me and i.findtext(f"{{{UPDATE}}}x/{{{UPDATE}}}photo") == ident, PATIENCE)
    check(item is not None, f"{friend.me} does not see the hash: {last_items(friend)}")
    check(not named or item.findtext(f"{{{NICK}}}nick") == "Judy", f"without the name: {xmpp.show(item)}")
    await card_shows(friend, me, data)


async def card_shows(friend, me, data):
    answer = await friend.ask("get", f"<vCard xmlns='{CARD}'/>", me.bare, PATIENCE)
    check(answer is not None and decoded(answer, f".//{{{CARD}}}BINVAL") == data, f"another photo in the card of {me.bare}")


def decoded(answer, path):
    return base64.b64decode(answer.findtext(path) or "")


def last_items(stream):
    return [xmpp.show(i)[:300] for i in stream.items][-5:]


ACROSS = (groups, files, avatars)
