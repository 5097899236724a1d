#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""taken_along.py: everything of an account in its export: groups, files, nodes, profiles, read marks; what may not be in it; an export that
is killed goes on; and what comes back of it on another server. On SQLite, and on PostgreSQL under tools/with-postgres."""
import asyncio
import glob
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "files")]
import own                                                                  # noqa: E402
import place                                                                # noqa: E402
from own import COMMAND, PIE, ask, befriend, fetch, run, servers, sums, xmpp      # noqa: E402
from trials import check, on_each                                           # noqa: E402

OURS, PUBSUB, OWNER = "{urn:bongsu:export:0}", "{http://jabber.org/protocol/pubsub}", "{http://jabber.org/protocol/pubsub#owner}"
PROFILES, READ, CLIENT = "{urn:bongsu:profiles:0}", "{urn:bongsu:read:0}", "{jabber:client}"
PHOTO = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FILES = {"사진 <1>.png": b"\x89PNG\r\n\x1a\n" + os.urandom(5000), "again/..\\name.txt": b"hello", "big.bin": os.urandom(3000000)}


def publish(node, items, access=None):
    options = f"<field var='pubsub#access_model'><value>{access}</value></field>" if access else ""
    options = ("<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>"
               f"http://jabber.org/protocol/pubsub#publish-options</value></field>{options}"
               "<field var='pubsub#max_items'><value>max</value></field></x></publish-options>") if access else ""
    return (f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'>{items}</publish>{options}</pubsub>")


async def enter(stream, room, nick):
    stream.send(f"<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>")
    got = await stream.take_where(lambda i: xmpp.local(i) == "presence" and i.get("from") == f"{room}/{nick}", 20)
    check(got is not None and got.get("type") != "error", f"{nick} did not come into {room}")


async def configure(stream, room, **fields):
    form = "".join(f"<field var='muc#roomconfig_{k}'><value>{v}</value></field>" for k, v in fields.items())
    await ask(stream, "set", "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
              f"<value>http://jabber.org/protocol/muc#roomconfig</value></field>{form}</x></query>", room)


async def affiliate(stream, room, bare, affiliation):
    await ask(stream, "set", f"<query xmlns='http://jabber.org/protocol/muc#admin'><item jid='{bare}' affiliation='{affiliation}'/></query>", room)


async def say(stream, room, text):
    """The id that the room gave it."""
    ident = "r" + os.urandom(6).hex()
    stream.send(f"<message type='groupchat' to='{room}' id='{ident}'><body>{text}</body></message>")
    said = await stream.take_where(lambda i: xmpp.local(i) == "message" and i.get("id") == ident, 20)
    check(said is not None, f"'{text}' was not said")
    return said.find("{urn:xmpp:sid:0}stanza-id").get("id")


async def fill_rooms(s, a, b):
    """alice owns `family`; `open` is bob's, who has put her out; `secret` is bob's, and she was never in it."""
    at = f"@rooms.{s.domain}"
    await enter(a, "family" + at, "al")
    await configure(a, "family" + at, roomname="우리 &amp; 가족", persistentroom="1", membersonly="1")
    await affiliate(a, "family" + at, f"bob@{s.domain}", "member")
    await enter(b, "family" + at, "bo")
    for n in range(5):
        await say(a, "family" + at, f"from alice {n}")
        last = await say(b, "family" + at, f"from bob {n}")
    a.send(f"<message type='groupchat' to='family{at}' id='read'><displayed xmlns='urn:xmpp:chat-markers:0' id='{last}'/></message>")
    check(await a.take_where(lambda i: xmpp.local(i) == "message" and i.get("id") == "read", 20) is not None, "the marker did not come back")
    for room in ("open", "secret"):
        await enter(b, room + at, "bo")
        await configure(b, room + at, persistentroom="1")
        await say(b, room + at, f"bob in {room}")
    await enter(a, "open" + at, "al")
    await say(a, "open" + at, "alice in open")
    await affiliate(b, "open" + at, f"alice@{s.domain}", "outcast")
    await say(b, "open" + at, "bob about alice")


async def fill_nodes(s, a):
    for node, items, access in (
            ("http://jabber.org/protocol/nick", "<item id='current'><nick xmlns='http://jabber.org/protocol/nick'>Al</nick></item>", None),
            ("urn:xmpp:bookmarks:1", f"<item id='family@rooms.{s.domain}'><conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'><nick>al</nick>"
             "</conference></item>", None),
            ("some:diary", "<item id='1'><day xmlns='some:diary'>one &amp; only</day></item>", "whitelist"),
            ("some:diary", "<item id='2'><day xmlns='some:diary'><f:x xmlns:f='far:away' f:y='z'/></day></item>", "whitelist"),
            ("some:news", "<item id='n'><news xmlns='some:news'/></item>", "open")):
        await ask(a, "set", publish(node, items, access))
    await ask(a, "set", "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><affiliations node='some:diary'>"
              f"<affiliation jid='bob@{s.domain}' affiliation='member'/></affiliations></pubsub>")
    await ask(a, "set", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='blog/of-alice'/></pubsub>", f"pubsub.{s.domain}")
    await ask(a, "set", publish("blog/of-alice", "<item id='b'><entry xmlns='http://www.w3.org/2005/Atom'/></item>"), f"pubsub.{s.domain}")


async def fill(s):
    a, b = await xmpp.log_in(s, "alice", "one"), await xmpp.log_in(s, "bob", "two")
    for stream in (a, b):
        stream.send("<presence/>")
    await befriend(s, a, b, "alice", "bob")
    for payload in own.FILL:
        await ask(a, "set", payload)
    await ask(b, "set", "<query xmlns='jabber:iq:roster'><item jid='x@y.example'/></query>")
    c = await xmpp.log_in(s, "carol", "three")
    c.send(f"<presence type='subscribe' to='alice@{s.domain}'><status>It is me &amp; I wait</status></presence>")
    await ask(c, "get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)
    await ask(a, "set", f"<profile xmlns='urn:bongsu:profiles:0' number='1'><name>Work</name><status>busy</status><photo type='image/png'>{PHOTO}</photo></profile>")
    await ask(a, "set", f"<audience xmlns='urn:bongsu:profiles:0' number='1'><viewer jid='bob@{s.domain}'/></audience>")
    a.send(f"<message type='chat' to='bob@{s.domain}' id='m1'><body>have you read it</body><markable xmlns='urn:xmpp:chat-markers:0'/></message>")
    check(await b.take_where(lambda i: xmpp.local(i) == "message" and i.get("id") == "m1", 20) is not None, "m1")
    b.send(f"<message type='chat' to='alice@{s.domain}' id='m2'><displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/></message>")
    check(await a.take_where(lambda i: xmpp.local(i) == "message" and i.get("id") == "m2", 20) is not None, "m2")
    await fill_nodes(s, a)
    await fill_rooms(s, a, b)
    for stream in (a, b, c):
        stream.end_stream()
        while await stream.take(5) is not xmpp.GONE:
            pass


def upload_all(s):
    visitor = place.Person(s, "alice", password="one")
    try:
        for name, data in FILES.items():
            visitor.upload(data, name)
    finally:
        visitor.close()


def starts(s):
    """alice has groups, files, nodes, profiles, read marks"""
    run(s, "user", "add", "--from", "-", input="alice one\nbob two\ncarol three\n")
    s.start()
    asyncio.run(fill(s))
    upload_all(s)


def user_of(folder):
    return ET.parse(f"{folder}/account.xml").getroot().find(f"{PIE}host/{PIE}user")


def export(s, name="export"):
    folder = os.path.join(s.dir, name)
    run(s, "user", "export", "alice", folder)
    sums(folder)
    return folder, user_of(folder), json.load(open(f"{folder}/manifest.json"))


def room_bodies(folder, room):
    found = []
    for part in room.findall(OURS + "part"):
        root = ET.parse(f"{folder}/{part.get('href')}").getroot()
        check(root.tag == OURS + "archive" and root.get("room") == room.get("jid"), root.tag)
        found += [(b.text, [i.get("jid") for i in m.iter("{http://jabber.org/protocol/muc#user}item")])
                  for m in root.iter(CLIENT + "message") for b in m.findall(CLIENT + "body")]
    return found


def groups_are_in_it(s):
    """groups: what alice belongs to, what was said where she may read, her own words where she may not, and nothing of others' rooms"""
    folder, user, manifest = export(s)
    rooms = {r.get("jid").split("@")[0]: r for r in user.findall(f"{OURS}rooms/{OURS}room")}
    check(set(rooms) == {"family", "open"}, f"{set(rooms)}")
    check((rooms["family"].get("affiliation"), rooms["family"].get("name"), rooms["family"].get("archive")) == ("owner", "우리 & 가족", "all"),
          xmpp.show(rooms["family"]))
    check((rooms["open"].get("affiliation"), rooms["open"].get("archive")) == ("outcast", "own"), xmpp.show(rooms["open"]))
    said = room_bodies(folder, rooms["family"])
    check([t for t, _ in said] == [f"from {who} {n}" for n in range(5) for who in ("alice", "bob")], f"{said}")
    check(all(j == [f"{t.split()[1]}@{s.domain}"] for t, j in said), f"an owner sees who is behind a nickname: {said}")
    marks = [m.get("id") for p in rooms["family"].findall(OURS + "part")
             for m in ET.parse(f"{folder}/{p.get('href')}").getroot().iter("{urn:xmpp:chat-markers:0}displayed")]
    check(len(marks) == 1, f"who has read how far: {marks}")
    check([t for t, _ in room_bodies(folder, rooms["open"])] == ["alice in open"], "more or less than her own words")
    check(manifest["counts"]["rooms"] == 2 and manifest["counts"]["room_messages"] >= 11, f"{manifest['counts']}")
    everything = "".join(open(p, errors="replace").read() for p in glob.glob(f"{folder}/*.*"))
    check("bob about alice" not in everything and "bob in" not in everything, "others' words where she may not read")
    html = open(f"{folder}/index.html").read()
    check("우리 &amp; 가족" in html and "room-000001.html" in html, "the groups are not to be read")


def files_are_in_it(s):
    """files: each with its bytes, name, type, link and hash; nobody else's"""
    folder = os.path.join(s.dir, "export")
    rows = user_of(folder).findall(f"{OURS}files/{OURS}file")
    check(len(rows) == len(FILES), f"{len(rows)} files")
    have = {r.get("sha256"): open(f"{folder}/{r.get('href')}", "rb").read() for r in rows}
    check(have == {hashlib.sha256(d).hexdigest(): d for d in FILES.values()}, "other bytes")
    check(all(f":{s.web_port}/files/" in r.get("url") for r in rows), f"{[r.get('url') for r in rows]}")
    check({r.get("name") for r in rows} == {"사진 <1>.png", "name.txt", "big.bin"}, f"{[r.get('name') for r in rows]}")
    html = open(f"{folder}/index.html").read()
    check("사진 &lt;1&gt;.png" in html and 'href="files/' in html, "files are not to be read")
    listed = {f["name"] for f in json.load(open(f"{folder}/manifest.json"))["files"]}
    check({f"files/{n}" for n in os.listdir(f"{folder}/files")} <= listed, "the manifest lacks files")


def nodes_are_in_it(s):
    """PEP: every node with its access model, who belongs to it, and its items in order; nodes made in the public service; profiles and marks"""
    user = user_of(os.path.join(s.dir, "export"))
    rules = {c.get("node"): [f.find("{jabber:x:data}value").text for f in c.iter("{jabber:x:data}field") if f.get("var") == "pubsub#access_model"]
             for c in user.findall(f"{OWNER}pubsub/{OWNER}configure")}
    check(rules["some:diary"] == ["whitelist"] and rules["some:news"] == ["open"] and rules["urn:xmpp:bookmarks:1"] == ["whitelist"], f"{rules}")
    members = user.findall(f"{OWNER}pubsub/{OWNER}affiliations[@node='some:diary']/{OWNER}affiliation")
    check([(m.get("jid"), m.get("affiliation")) for m in members] == [(f"bob@{s.domain}", "member")], "members of the diary")
    diary = user.findall(f"{PUBSUB}pubsub/{PUBSUB}items[@node='some:diary']/{PUBSUB}item")
    check([i.get("id") for i in diary] == ["1", "2"] and diary[0].find("{some:diary}day").text == "one & only", "items of the diary")
    check(user.find(f"{PUBSUB}pubsub/{PUBSUB}items[@node='urn:xmpp:bookmarks:1']/{PUBSUB}item").get("id") == f"family@rooms.{s.domain}", "bookmarks")
    blog = user.find(f"{OURS}service/{PUBSUB}pubsub/{PUBSUB}items[@node='blog/of-alice']/{PUBSUB}item")
    check(blog is not None and blog.get("id") == "b", "the node in the public service")
    profiles = user.find(PROFILES + "profiles")
    check(profiles.find(PROFILES + "profile[@number='1']/" + PROFILES + "photo").text == PHOTO, "the second profile")
    check([(v.get("jid"), v.get("number")) for v in profiles.findall(PROFILES + "viewer")] == [(f"bob@{s.domain}", "1")], "its audience")
    marks = user.findall(f"{READ}read[@with='bob@{s.domain}']/{READ}reader")
    check([m.get("jid") for m in marks] == [f"bob@{s.domain}"] and marks[0].get("at"), "read marks")
    check("It is me & I wait" in "".join(user.find(f"{CLIENT}presence").itertext()), "what carol said with her request")


def asked_twice_is_the_same(s):
    """an export is asked for twice: the second run writes nothing again, and every sum holds"""
    folder = os.path.join(s.dir, "export")
    before = {p: os.stat(p).st_mtime_ns for p in glob.glob(f"{folder}/**", recursive=True) if os.path.isfile(p)}
    export(s)
    after = {p: os.stat(p).st_mtime_ns for p in glob.glob(f"{folder}/**", recursive=True) if os.path.isfile(p)}
    check(before == after, f"{set(before) ^ set(after)} {[p for p in before if before[p] != after.get(p)]}")


def without(folder, keep):
    """The export as it stood when so much of it was written."""
    manifest = json.load(open(f"{folder}/manifest.json"))
    manifest.update(complete=False, files=[f for f in manifest["files"] if keep(f["name"])])
    return manifest


def killed_exports_go_on(s):
    """an export that is killed over and over goes on until it is whole, with the same content"""
    folder = os.path.join(s.dir, "killed")
    kills = 0
    for wait in [n * 0.004 for n in range(1, 60)]:
        p = subprocess.Popen([servers.BONGSU, "user", "export", "alice", folder, "--config", s.config], cwd=s.dir, start_new_session=True,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if p.wait(wait) == 0:
                break
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, 9)
            p.wait()
            kills += 1
    check(kills > 0, "nothing was killed")
    run(s, "user", "export", "alice", folder)
    sums(folder)
    one, other = (json.load(open(f"{os.path.join(s.dir, d)}/manifest.json")) for d in ("export", "killed"))
    check(one["counts"] == other["counts"], f"{one['counts']} {other['counts']}")
    for name in ("account.xml", "index.html", "files/index.json"):
        check(open(f"{s.dir}/export/{name}", "rb").read() == open(f"{folder}/{name}", "rb").read(), f"{name} differs after kills")


def who_is_put_out_meanwhile_reads_no_more(s):
    """who is put out of a room between two runs of an export gets no more of it than their own words"""
    folder = os.path.join(s.dir, "meanwhile")
    shutil.copytree(os.path.join(s.dir, "export"), folder)
    manifest = without(folder, lambda name: not name.startswith(("room-", "account", "index")))
    for room in manifest["rooms"]:
        room.update(after=0, messages=0, parts=[])
    manifest.pop("room_parts")
    for count in ("rooms", "room_messages"):
        manifest["counts"].pop(count)
    json.dump(manifest, open(f"{folder}/manifest.json", "w"))
    for name in glob.glob(f"{folder}/room-*"):
        os.unlink(name)

    async def put_out(affiliation):
        a, b = await xmpp.log_in(s, "alice", "one"), await xmpp.log_in(s, "bob", "two")
        if affiliation == "outcast":
            await affiliate(a, f"family@rooms.{s.domain}", f"bob@{s.domain}", "owner")
        await affiliate(b, f"family@rooms.{s.domain}", f"alice@{s.domain}", affiliation)
        a.end_stream(), b.end_stream()
    asyncio.run(put_out("outcast"))
    run(s, "user", "export", "alice", folder)
    sums(folder)
    family = [r for r in user_of(folder).findall(f"{OURS}rooms/{OURS}room") if r.get("jid").startswith("family@")][0]
    said = room_bodies(folder, family)
    check(family.get("archive") == "own" and [t for t, _ in said] == [f"from alice {n}" for n in range(5)], f"{said}")
    asyncio.run(put_out("owner"))


async def want(s):
    """The message with the link, for an owner who asks with the command."""
    a = await xmpp.log_in(s, "alice", "one")
    a.send("<presence/>")
    node = COMMAND.format("urn:bongsu:own:0#export")
    first = await ask(a, "set", f"{node}/>")
    await ask(a, "set", f"{node} sessionid='{first[0].get('sessionid')}'><x xmlns='jabber:x:data' type='submit'/></command>")
    message = await a.take_where(lambda i: xmpp.local(i) == "message" and i.find("{jabber:x:oob}x") is not None, 60)
    check(message is not None, "no link came")
    a.end_stream()
    return message.find("{jabber:x:oob}x/{jabber:x:oob}url").text, message.find(CLIENT + "body").text


def unpack(s, url, folder):
    status, _, packed = fetch(s, url[url.index("/exports/"):])
    check(status == 200, f"{status}")
    packed = zipfile.ZipFile(io.BytesIO(packed))
    check(packed.testzip() is None, "the archive is broken")
    packed.extractall(folder)
    sums(folder)
    check(not glob.glob(f"{s.dir}/data/exports/*.d"), "a folder is left")
    return json.load(open(f"{folder}/manifest.json"))["counts"]


def owner_gets_all_of_it(s):
    """the owner's own zip has the files and groups too, under the same names and sums"""
    url, body = asyncio.run(want(s))
    folder = os.path.join(s.dir, "unpacked")
    counts = unpack(s, url, folder)
    check(counts.get("files") == len(FILES) and counts.get("rooms") == 2 and "올린 파일은" not in body, f"{counts} {body}")
    have = {hashlib.sha256(open(p, "rb").read()).hexdigest() for p in glob.glob(f"{folder}/files/*") if not p.endswith("index.json")}
    check(have == {hashlib.sha256(d).hexdigest() for d in FILES.values()}, "other bytes")


def without_web_the_rest_comes(s):
    """while web is dead, the owner's zip has everything but the files, and the message says so; with web they are in it again"""
    web = json.loads(run(s, "status", "--json"))["roles"]["web"]["pid"]
    os.kill(s.process.pid, signal.SIGSTOP)          # nobody starts it anew
    try:
        os.kill(web, signal.SIGKILL)
        url, body = asyncio.run(want(s))
    finally:
        os.kill(s.process.pid, signal.SIGCONT)
    check("올린 파일은" in body and "not in it" in body, body)
    deadline = time.monotonic() + 60
    while fetch_quietly(s, "/exports/x") != 404:
        check(time.monotonic() < deadline, "web did not come back")
        time.sleep(0.1)
    counts = unpack(s, url, os.path.join(s.dir, "unpacked-without"))
    check("files" not in counts and counts.get("rooms") == 2, f"{counts}")
    check("올린 파일은" not in asyncio.run(want(s))[1], "with web")


def fetch_quietly(s, path):
    try:
        return fetch(s, path)[0]
    except OSError:
        return None


def parts_of(user, kinds):
    """Canonical text of those elements, without what has to differ (ids of the archive)."""
    out = {}
    for kind in kinds:
        found = sorted(ET.canonicalize(ET.tostring(e, encoding="unicode"), strip_text=True) for e in user.findall(kind))
        out[kind] = found
    return out


SAID_BY_0227 = ("{jabber:iq:roster}query", "{vcard-temp}vCard", "{jabber:iq:private}query", "{urn:xmpp:blocking}blocklist", "{urn:xmpp:mam:2}prefs",
                CLIENT + "presence", OWNER + "pubsub", PUBSUB + "pubsub", PROFILES + "profiles")


def messages_of(folder, user):
    out = []
    for part in user.findall("{http://www.w3.org/2001/XInclude}include"):
        for r in ET.parse(f"{folder}/{part.get('href')}").getroot():
            check(r.tag == "{urn:xmpp:mam:2}result", r.tag)
            delay = r.find(".//{urn:xmpp:delay}delay").get("stamp")
            out.append((delay, ET.canonicalize(ET.tostring(r.find(f".//{CLIENT}message"), encoding="unicode"))))
    return out


def it_comes_back(s):
    """imported on an empty server and exported again, nothing that XEP-0227 can say is lost, nor a profile or a mark; twice changes nothing"""
    folder, user, _ = export(s)
    other = type(s)()
    try:
        run(other, "user", "add", "--from", "-", input="alice one\nbob two\ncarol three\n")
        said = run(other, "import", f"{folder}/account.xml")
        check("0 accounts made, 1 there already" in said, said)
        check("a room says itself who belongs to it" in said, said)
        again = own.lines(run(other, "import", f"{folder}/account.xml"))
        check(all(v[0] == 0 for k, v in again.items() if k not in ("users", "archive preferences", "block lists")), f"taken twice: {again}")
        back, user_back, _ = export(other, "back")
        one, two = parts_of(user, SAID_BY_0227), parts_of(user_back, SAID_BY_0227)
        for kind in SAID_BY_0227:
            check(one[kind] and one[kind] == two[kind], f"{kind}:\n{one[kind]}\n{two[kind]}")
        check(messages_of(folder, user) == messages_of(back, user_back), "messages differ")
        mark = f"{READ}read/{READ}reader"
        check([(m.get("jid"), m.get("at")) for m in user.findall(mark)] == [(m.get("jid"), m.get("at")) for m in user_back.findall(mark)], "marks")
        other.start()
        asyncio.run(lives_there(other))
    finally:
        other.stop()
        other.remove()


async def lives_there(s):
    a, b = await xmpp.log_in(s, "alice", "one"), await xmpp.log_in(s, "bob", "two")
    items = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{}'/></pubsub>"
    diary = await ask(a, "get", items.format("some:diary"))
    check("one & only" in "".join(diary.itertext()), xmpp.show(diary))
    diary = await ask(b, "get", items.format("some:diary"), f"alice@{s.domain}")
    check("one & only" in "".join(diary.itertext()), "a member of the diary reads it no more")
    refused = await b.ask("get", items.format("urn:xmpp:bookmarks:1"), to=f"alice@{s.domain}")
    check(refused.get("type") == "error", "bookmarks are for all to read")
    seen = await ask(b, "get", "<profile xmlns='urn:bongsu:profiles:0'/>", f"alice@{s.domain}")
    check("Work" in "".join(seen.itertext()), xmpp.show(seen))
    await ask(a, "set", publish("some:diary", "<item id='3'><day xmlns='some:diary'/></item>"))


TESTS = (starts, groups_are_in_it, files_are_in_it, nodes_are_in_it, asked_twice_is_the_same, killed_exports_go_on,
         who_is_put_out_meanwhile_reads_no_more, owner_gets_all_of_it, without_web_the_rest_comes, it_comes_back)


def main():
    only = sys.argv[1:]
    return on_each((servers.Bongsu, servers.BongsuPostgreSQL), [t for t in TESTS if not only or t.__name__ in only or t is starts])


if __name__ == "__main__":
    sys.exit(main())
