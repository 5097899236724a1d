#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_slixmpp.py: Slixmpp, a client library that many bots are built on."""
import asyncio
import os
import ssl
import sys
import urllib.request

from checks import PASSWORD, main


def missing():
    try:
        import slixmpp      # noqa: F401
        return None
    except ImportError:
        return "the package python3-slixmpp is not installed"


class Event:
    """The last things that happened, and a way to wait for the next."""

    def __init__(self, client, name, keep=lambda e: e):
        self.queue = asyncio.Queue()
        client.add_event_handler(name, lambda e: self.queue.put_nowait(keep(e)))

    async def next(self, seconds=10):
        try:
            return await asyncio.wait_for(self.queue.get(), seconds)
        except asyncio.TimeoutError:
            return None

    def drain(self):
        while not self.queue.empty():
            self.queue.get_nowait()


async def log_in(server, name, resource, tls=False, plugins=()):
    import slixmpp
    c = slixmpp.ClientXMPP(f"{name}@{server.domain}/{resource}", PASSWORD)
    c.ca_certs = server.ca
    c.auto_authorize = c.auto_subscribe = None
    for p in ("xep_0030", "xep_0199", "xep_0280", "xep_0313", "xep_0092", "xep_0202", "xep_0054", "xep_0191",
              "xep_0049", "xep_0184", "xep_0085", "xep_0308", "xep_0333", *plugins):
        c.register_plugin(p)
    c.messages = Event(c, "message")
    c.started = Event(c, "session_start")
    c.failed = Event(c, "failed_auth")
    c.connect(address=("127.0.0.1", server.tls_port if tls else server.port), use_ssl=tls, disable_starttls=tls)
    if await c.started.next() is None:
        raise RuntimeError(f"{name} could not log in")
    return c


async def body_of(client):
    while True:
        m = await client.messages.next()
        if m is None:
            return None
        if m["body"]:
            return m["body"]


async def conversation(server, checks):
    alice = await log_in(server, "alice", "desk")
    checks.check("logs in over STARTTLS, certificate verified, with SCRAM", alice.boundjid.full.startswith("alice@"))
    bob = await log_in(server, "bob", "desk", tls=True)
    checks.check("logs in over direct TLS", bob.boundjid.full.startswith("bob@"))
    await alice.get_roster()
    await bob.get_roster()

    asked, granted = Event(bob, "presence_subscribe"), Event(alice, "presence_subscribed")
    got_online = Event(alice, "got_online")
    alice.send_presence()
    bob.send_presence()
    alice.send_presence_subscription(pto=f"bob@{server.domain}", ptype="subscribe")
    ask = await asked.next()
    checks.check("a subscription request arrives", ask is not None and ask["from"].bare == f"alice@{server.domain}")
    bob.send_presence_subscription(pto=f"alice@{server.domain}", ptype="subscribed")
    checks.check("and its approval", await granted.next() is not None)
    seen = False
    while not seen:
        p = await got_online.next()
        if p is None:
            break
        seen = p["from"].bare == f"bob@{server.domain}"
    checks.check("then the contact is seen online", seen)
    await alice.get_roster()
    checks.check("the roster says so", alice.client_roster[f"bob@{server.domain}"]["subscription"] == "to")
    await alice.update_roster(f"bob@{server.domain}", name="봅", groups=["친구"])
    await alice.get_roster()
    item = alice.client_roster[f"bob@{server.domain}"]
    checks.check("a name and a group are kept", item["name"] == "봅" and list(item["groups"]) == ["친구"])

    alice.send_message(mto=f"bob@{server.domain}", mbody="안녕 bob <&>", mtype="chat")
    checks.check("a message arrives as it was written", await body_of(bob) == "안녕 bob <&>")
    bob.send_message(mto=alice.boundjid.full, mbody="hello alice", mtype="chat")
    checks.check("and the answer", await body_of(alice) == "hello alice")

    phone = await log_in(server, "alice", "phone")
    phone.send_presence()
    sent, received = Event(phone, "carbon_sent"), Event(phone, "carbon_received")
    await phone["xep_0280"].enable()
    bob.send_message(mto=alice.boundjid.full, mbody="to the desk", mtype="chat")
    copy = await received.next()
    checks.check("the other device gets a carbon of what was received",
                 copy is not None and copy["carbon_received"]["body"] == "to the desk")
    alice.send_message(mto=f"bob@{server.domain}", mbody="from the desk", mtype="chat")
    copy = await sent.next()
    checks.check("and of what was sent", copy is not None and copy["carbon_sent"]["body"] == "from the desk")

    phone.disconnect()
    phone = await log_in(server, "alice", "phone2")
    bodies = []
    results = await phone["xep_0313"].retrieve(with_jid=f"bob@{server.domain}", rsm={"max": "20"})
    for m in results["mam"]["results"]:
        bodies.append(m["mam_result"]["forwarded"]["stanza"]["body"])
    checks.check("a new device reads the history", bodies == ["안녕 bob <&>", "hello alice", "to the desk", "from the desk"],
                 f"{bodies}")

    pong = await alice["xep_0199"].ping(server.domain)
    checks.check("a ping is answered", pong is not None)
    version = await alice["xep_0092"].get_version(server.domain)
    checks.check("the server says its version", bool(version["software_version"]["name"]))
    when = await alice["xep_0202"].get_entity_time(server.domain)
    utc = when.xml.find("{urn:xmpp:time}time/{urn:xmpp:time}utc")    # Slixmpp 1.8 stumbles over the Z
    checks.check("and the time", utc is not None and utc.text.endswith("Z"))
    info = await alice["xep_0030"].get_info(jid=server.domain)
    checks.check("disco#info lists its features", "urn:xmpp:ping" in info["disco_info"]["features"])

    card = alice["xep_0054"].make_vcard()
    card["FN"] = "Alice Kim"
    await alice["xep_0054"].publish_vcard(vcard=card)
    read = await bob["xep_0054"].get_vcard(f"alice@{server.domain}", cached=False)
    name = read["vcard_temp"]["FN"]
    checks.check("a vCard is read by a friend", name == "Alice Kim", name)

    await alice["xep_0191"].block(f"carol@{server.domain}")
    carol = await log_in(server, "carol", "desk")
    carol.send_presence()
    refused = Event(carol, "message_error")
    carol.send_message(mto=f"alice@{server.domain}", mbody="hear me", mtype="chat")
    checks.check("a blocked person gets an error", await refused.next() is not None)
    listed = await alice["xep_0191"].get_blocked()
    checks.check("the list names them", f"carol@{server.domain}" in [str(j) for j in listed["blocklist"]["items"]])

    bob.disconnect()
    await asyncio.sleep(0)
    alice.messages.drain()
    gone = Event(alice, "got_offline")
    if alice.client_roster.presence(f"bob@{server.domain}"):
        await gone.next()
    alice.send_message(mto=f"bob@{server.domain}", mbody="while you were out", mtype="chat")
    await alice["xep_0199"].ping(server.domain)
    bob = await log_in(server, "bob", "desk")
    bob.send_presence()
    checks.check("a message waits for one who is away", await body_of(bob) == "while you were out")
    for c in (alice, bob, phone, carol):
        c.disconnect()


def fetch(server, url):
    with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=server.ca), timeout=10) as answer:
        return answer.read()


async def upload(server, checks):
    try:
        import aiohttp      # noqa: F401
    except ImportError:
        checks.skip("uploads a file", "the package python3-aiohttp is not installed")
        return
    os.environ["SSL_CERT_FILE"] = server.ca
    carol = await log_in(server, "carol", "desk", plugins=("xep_0363",))
    data = b"\x89PNG\r\n\x1a\n" + os.urandom(300000)
    path = os.path.join(server.dir, "photo 1.png")
    with open(path, "wb") as f:
        f.write(data)
    # Its own search waits for coroutines in a way that Python 3.11 forbids.
    items = (await carol["xep_0030"].get_items(server.domain))["disco_items"]["items"]
    infos = [await carol["xep_0030"].get_info(item[0]) for item in items]
    carol["xep_0363"].upload_service = next(i["from"] for i in infos if "urn:xmpp:http:upload:0" in i["disco_info"]["features"])
    url = await carol["xep_0363"].upload_file(path)
    got = await asyncio.get_running_loop().run_in_executor(None, fetch, server, url)
    checks.check("finds the upload service, uploads a file, and others get it", got == data and url.endswith("/photo%201.png"), url)
    carol.disconnect()


async def stream_management(server, checks):
    """A connection that breaks is resumed, with what came meanwhile."""
    dave = await log_in(server, "dave", "desk", plugins=("xep_0198",))
    dave.send_presence()
    carol = await log_in(server, "carol", "tv")
    await dave["xep_0199"].ping(server.domain)
    full = dave.boundjid.full
    resumed = Event(dave, "session_resumed")
    if not dave["xep_0198"].enabled_in:
        checks.check("stream management is enabled", False)
        return
    checks.check("stream management is enabled", True)
    dave.abort()
    carol.send_message(mto=full, mbody="in between", mtype="chat")
    dave.connect(address=("127.0.0.1", server.port))
    checks.check("a broken stream is resumed", await resumed.next() is not None)
    checks.check("what came in between is there", await body_of(dave) == "in between")
    dave.disconnect()
    carol.disconnect()


def play(server, checks):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(conversation(server, checks))
    loop.run_until_complete(upload(server, checks))
    loop.run_until_complete(stream_management(server, checks))


if __name__ == "__main__":
    sys.exit(main("slixmpp", missing, play))
