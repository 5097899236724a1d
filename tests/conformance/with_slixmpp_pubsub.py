#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_slixmpp_pubsub.py: Slixmpp's plugins for eventing: moods, tunes, avatars and nicks of a friend come by themselves; bookmarks;
a public service."""
import asyncio
import hashlib
import sys
import uuid

from checks import PASSWORD, main       # noqa: F401
from with_slixmpp import Event, log_in, missing

PLUGINS = ("xep_0004", "xep_0059", "xep_0060", "xep_0115", "xep_0163", "xep_0107", "xep_0118", "xep_0172", "xep_0084", "xep_0153",
           "xep_0222", "xep_0223", "xep_0048")
PICTURE = b"\x89PNG\r\n\x1a\n not really a picture"


async def befriend(alice, bob, server):
    asked, granted = Event(bob, "presence_subscribe"), Event(alice, "presence_subscribed")
    for c in (alice, bob):
        await c.get_roster()
        c.send_presence()
    alice.send_presence_subscription(pto=bob.boundjid.bare, ptype="subscribe")
    await asked.next()
    bob.send_presence_subscription(pto=alice.boundjid.bare, ptype="subscribed")
    await granted.next()


async def personal(alice, bob, checks):
    """Bob publishes, alice is subscribed to his presence."""
    mood, tune, nick, avatar = (Event(alice, n + "_publish") for n in ("user_mood", "user_tune", "user_nick", "avatar_metadata"))
    await bob["xep_0107"].publish_mood("happy", "봉수")
    got = await mood.next()
    checks.check("a mood of a friend comes by itself",
                 got is not None and got["pubsub_event"]["items"]["item"]["mood"]["value"] == "happy")
    await bob["xep_0118"].publish_tune(title="아리랑")
    got = await tune.next()
    checks.check("so does a tune", got is not None and got["pubsub_event"]["items"]["item"]["tune"]["title"] == "아리랑")
    await bob["xep_0172"].publish_nick("봅")
    got = await nick.next()
    checks.check("and a nick", got is not None and got["pubsub_event"]["items"]["item"]["nick"]["nick"] == "봅")

    ident = hashlib.sha1(PICTURE).hexdigest()
    await bob["xep_0084"].publish_avatar(PICTURE)
    await bob["xep_0084"].publish_avatar_metadata([{"id": ident, "type": "image/png", "bytes": len(PICTURE)}])
    got = await avatar.next()
    checks.check("an avatar is announced", got is not None and ident in str(got))
    read = await alice["xep_0084"].retrieve_avatar(bob.boundjid.bare, ident)
    checks.check("and read", read["pubsub"]["items"]["item"]["avatar_data"]["value"] == PICTURE)
    card = await alice["xep_0054"].get_vcard(bob.boundjid.bare, cached=False)
    checks.check("it is the photo of the vCard too", card["vcard_temp"]["PHOTO"]["BINVAL"] == PICTURE)
    await bob["xep_0107"].stop()
    got = await mood.next()
    checks.check("the end of a mood is told", got is not None)


async def comes_later(bob, server, checks):
    late = await log_in(server, "alice", "late", plugins=("xep_0115", "xep_0163", "xep_0118"))
    tune = Event(late, "user_tune_publish")
    late.send_presence()
    got = await tune.next()
    checks.check("a device that comes later gets the last one", got is not None and
                 got["pubsub_event"]["items"]["item"]["tune"]["title"] == "아리랑")
    late.disconnect()


async def bookmarks(bob, checks):
    from slixmpp.plugins.xep_0048 import Bookmarks
    book = Bookmarks()
    book.add_conference("room@rooms.example", "bob", autojoin=True)
    await bob["xep_0048"].set_bookmarks(book, method="xep_0049")
    read = await bob["xep_0060"].get_items(None, "urn:xmpp:bookmarks:1")
    ids = [i["id"] for i in read["pubsub"]["items"]]
    checks.check("a bookmark of private XML is an item of the account", ids == ["room@rooms.example"], str(ids))
    read = await bob["xep_0048"].get_bookmarks(method="xep_0223")
    old = read.xml.find(".//{storage:bookmarks}conference")
    checks.check("and in the old node", old is not None and old.get("jid") == "room@rooms.example")


async def refused(promise):
    from slixmpp.exceptions import IqError
    try:
        await promise
        return None
    except IqError as e:
        return e.condition


async def public_service(alice, bob, server, checks):
    host = "pubsub." + server.domain
    items = await alice["xep_0030"].get_items(jid=server.domain)
    if host not in [i[0] for i in items["disco_items"]["items"]]:
        checks.skip("a public service", "the server has none")
        return
    node = "news-" + uuid.uuid4().hex[:6]
    published = Event(alice, "pubsub_publish")
    await bob["xep_0060"].create_node(host, node)
    form = await bob["xep_0060"].get_node_config(host, node)
    checks.check("a node's configuration is a form", form["pubsub_owner"]["configure"]["form"].get_values().get("pubsub#access_model") == "open")
    await alice["xep_0060"].subscribe(host, node)
    from slixmpp.xmlstream import ET
    await bob["xep_0060"].publish(host, node, id="one", payload=ET.fromstring("<entry xmlns='urn:example:news'>봉수</entry>"))
    got = await published.next()
    checks.check("a subscriber hears of what is published", got is not None and got["pubsub_event"]["items"]["item"]["id"] == "one")
    got = await alice["xep_0060"].get_items(host, node)
    checks.check("and reads it", [i["id"] for i in got["pubsub"]["items"]] == ["one"])
    why = await refused(alice["xep_0060"].publish(host, node, payload=ET.fromstring("<entry xmlns='urn:example:news'/>")))
    checks.check("but may not publish", why == "forbidden", str(why))
    await bob["xep_0060"].modify_affiliations(host, node, [(alice.boundjid.bare, "publisher")])
    why = await refused(alice["xep_0060"].publish(host, node, payload=ET.fromstring("<entry xmlns='urn:example:news'/>")))
    checks.check("until the owner says so", why is None, str(why))
    await bob["xep_0060"].delete_node(host, node)
    why = await refused(alice["xep_0060"].get_items(host, node))
    checks.check("a deleted node is gone", why == "item-not-found", str(why))


async def conversation(server, checks):
    alice = await log_in(server, "alice", "desk", plugins=PLUGINS)
    bob = await log_in(server, "bob", "desk", plugins=PLUGINS)
    for plugin in ("xep_0107", "xep_0118", "xep_0172", "xep_0084"):
        alice[plugin]       # loaded: they say what they want by themselves
    await befriend(alice, bob, server)
    await asyncio.sleep(1)
    await personal(alice, bob, checks)
    await comes_later(bob, server, checks)
    await bookmarks(bob, checks)
    await public_service(alice, bob, server, checks)
    for c in (alice, bob):
        c.disconnect()


def play(server, checks):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(conversation(server, checks))


if __name__ == "__main__":
    sys.exit(main("slixmpp pubsub", missing, play))
