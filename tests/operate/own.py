#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""own.py: people's own data: export, deletion and its proof, administrators. On SQLite, and on PostgreSQL under tools/with-postgres."""
import asyncio
import base64
import glob
import hashlib
import hmac
import http.client
import io
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import Failure, check, on_each                                  # noqa: E402

PIE, MAM = "{urn:xmpp:pie:0}", "{urn:xmpp:pie:0#mam}"


def run(s, *words, input="", fails=False):
    done = subprocess.run([servers.BONGSU, *words, "--config", s.config], input=input, text=True, capture_output=True, cwd=s.dir, timeout=120)
    if (done.returncode != 0) != fails:
        raise Failure(f"bongsu {' '.join(words)} → {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


async def ask(stream, kind, payload, to=None):
    answer = await stream.ask(kind, payload, to=to)
    check(answer.get("type") == "result", xmpp.show(answer))
    return answer


async def befriend(s, a, b, one, other):
    for stream, name in ((a, other), (b, one)):
        stream.send(f"<presence type='subscribe' to='{name}@{s.domain}'/>")
        await ask(stream, "get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)
    for stream, name in ((a, other), (b, one)):
        stream.send(f"<presence type='subscribed' to='{name}@{s.domain}'/>")
        await ask(stream, "get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)


FILL = (
    "<vCard xmlns='vcard-temp'><FN>Alice &amp; co</FN><TEL><NUMBER>+82 2 000</NUMBER></TEL></vCard>",
    "<query xmlns='jabber:iq:private'><notes xmlns='some:notes'>milk</notes></query>",
    "<block xmlns='urn:xmpp:blocking'><item jid='spam@elsewhere.example'/></block>",
    "<prefs xmlns='urn:xmpp:mam:2' default='always'><always/><never><jid>quiet@elsewhere.example</jid></never></prefs>",
)


async def fill(s, messages):
    """alice has something in every table."""
    a = await xmpp.log_in(s, "alice", "one")
    b = await xmpp.log_in(s, "bob", "two")
    for stream in (a, b):
        stream.send("<presence/>")
    await befriend(s, a, b, "alice", "bob")
    for payload in FILL:
        await ask(a, "set", payload)
    a.send(f"<presence type='subscribe' to='carol@{s.domain}'/>")
    c = await xmpp.log_in(s, "carol", "three")
    c.send(f"<presence type='subscribe' to='alice@{s.domain}'/>")
    for n in range(messages):
        b.send(f"<message type='chat' to='alice@{s.domain}' id='b{n}'><body>안녕 {n} &lt;b&gt;</body>"
               f"<origin-id xmlns='urn:xmpp:sid:0' id='b{n}'/></message>")
        a.send(f"<message type='chat' to='bob@{s.domain}' id='a{n}'><body>hello {n}</body><origin-id xmlns='urn:xmpp:sid:0' id='a{n}'/></message>")
        if n % 50 == 49:
            for stream in (a, b):
                await ask(stream, "get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)
    a.send(f"<message type='chat' to='alice@{s.domain}'><body>to myself</body></message>")
    await ask(c, "get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)
    for stream, last in ((a, f"b{messages - 1}"), (b, f"a{messages - 1}")):         # a message that finds nobody would wait
        check(await stream.take_where(lambda i: i is not xmpp.GONE and i.get("id") == last, 60) is not None, f"{last} did not come")
    await ask(a, "get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)
    for stream in (a, b, c):
        stream.end_stream()
        while await stream.take(5) is not xmpp.GONE:
            pass
    d = await xmpp.log_in(s, "bob", "two")
    d.send(f"<message type='chat' to='alice@{s.domain}'><body>while you were away</body></message>")
    await ask(d, "get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)
    d.end_stream()
    while await d.take(5) is not xmpp.GONE:
        pass


MESSAGES = 2600     # of each: with alice's note to herself, and the one that waits, more than one part


def sums(folder):
    done = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=folder, text=True, capture_output=True)
    check(done.returncode == 0, done.stdout + done.stderr)


def starts(s):
    """alice has something in every table"""
    run(s, "user", "add", "--from", "-", input="alice one\nbob two\ncarol three\nroot four\n")
    s.start()
    run(s, "user", "admin", "alice", "on")
    asyncio.run(fill(s, MESSAGES))


def export_is_whole(s):
    """an export holds every message, contact and card, once, as XEP-0227 and as HTML, and proves itself"""
    folder = os.path.join(s.dir, "export")
    said = run(s, "user", "export", "alice", folder)
    manifest = json.load(open(f"{folder}/manifest.json"))
    check(manifest["complete"] and manifest["account"] == f"alice@{s.domain}", manifest)
    counts = manifest["counts"]
    want = {"messages": 2 * MESSAGES + 2, "contacts": 2, "requests": 1, "cards": 1, "private": 1, "blocked": 1, "preferences": 1, "offline": 1}
    check(counts == want, f"{counts}")
    check(f"messages: {want['messages']}" in said, said)
    sums(folder)
    tree = ET.parse(f"{folder}/account.xml").getroot()
    user = tree.find(f"{PIE}host/{PIE}user")
    check(tree.tag == PIE + "server-data" and user.get("name") == "alice", ET.tostring(tree)[:300])
    check(user.find("{jabber:iq:roster}query/{jabber:iq:roster}item").get("jid") == f"bob@{s.domain}", "roster")
    check(user.find("{vcard-temp}vCard/{vcard-temp}FN").text == "Alice & co", "card")
    check(user.find("{jabber:iq:private}query/{some:notes}notes").text == "milk", "private")
    check(user.find(f"{PIE}offline-messages/{{jabber:client}}message/{{jabber:client}}body").text == "while you were away", "offline")
    parts = [i.get("href") for i in user.findall("{http://www.w3.org/2001/XInclude}include")]
    check(len(parts) == 2, f"{parts}")
    bodies = [b.text for p in parts for b in ET.parse(f"{folder}/{p}").getroot().iter("{jabber:client}body")]
    check(len(bodies) == want["messages"], f"{len(bodies)} bodies")
    check([b for b in bodies if b.startswith("안녕")] == [f"안녕 {n} <b>" for n in range(MESSAGES)], "order or text")
    html = "".join(open(p).read() for p in glob.glob(f"{folder}/*.html"))
    check("안녕 7 &lt;b&gt;" in html and "to myself" in html and "Alice &amp; co" in html, "html")
    check("<script" not in html and "http://" not in re.sub(r"xmlns\S+", "", html) and "src=" not in html, "the HTML reaches out")


COMMAND = "<command xmlns='http://jabber.org/protocol/commands' node='{}'"


def fetch(s, path):
    context = ssl.create_default_context(cafile=s.ca)
    connection = http.client.HTTPSConnection("127.0.0.1", s.web_port, context=context, timeout=30)
    connection.request("GET", path, headers={"Host": s.domain})
    answer = connection.getresponse()
    return answer.status, answer.getheader("Content-Disposition"), answer.read()


def exports_of(s):
    return glob.glob(f"{s.dir}/data/exports/*")


def owner_gets_a_file(s):
    """the owner asks with a command, is sent a link, and downloads one file that proves itself; what is guessed, and the file before it, is nothing"""
    async def want():
        a = await xmpp.log_in(s, "alice", "one")
        a.send("<presence/>")
        node = COMMAND.format("urn:bongsu:own:0#export")
        first = await ask(a, "set", f"{node}/>")
        sid = first[0].get("sessionid")
        await ask(a, "set", f"{node} sessionid='{sid}'><x xmlns='jabber:x:data' type='submit'/></command>")
        message = await a.take_where(lambda i: xmpp.local(i) == "message" and i.find("{jabber:x:oob}x") is not None, 60)
        check(message is not None, "no link came")
        a.end_stream()
        return message.find("{jabber:x:oob}x/{jabber:x:oob}url").text
    earlier = asyncio.run(want())
    url = asyncio.run(want())
    check(fetch(s, earlier[earlier.index("/exports/"):])[0] == 404, "the first export is still there")
    check(len(exports_of(s)) == 1, f"{exports_of(s)}")
    check(url.startswith(f"https://{s.domain}:{s.web_port}/exports/"), url)
    path = url[url.index("/exports/"):]
    status, disposition, body = fetch(s, path)
    check(status == 200 and "attachment" in disposition, f"{status} {disposition}")
    folder = os.path.join(s.dir, "unpacked")
    packed = zipfile.ZipFile(io.BytesIO(body))
    check(packed.testzip() is None, "the archive is broken")
    packed.extractall(folder)
    sums(folder)
    check(json.load(open(f"{folder}/manifest.json"))["counts"]["messages"] >= 2 * MESSAGES + 2, "messages are missing")
    for guess in ("/exports/" + "a" * 43, "/exports/", "/exports/../talk.db", path + "x", "/exports/%2e%2e/talk.db"):
        check(fetch(s, guess)[0] in (400, 404), guess)


def export_goes_on(s):
    """an export that is cut off goes on where it was, and is the same"""
    whole, cut = os.path.join(s.dir, "export"), os.path.join(s.dir, "cut")
    shutil.copytree(whole, cut)
    manifest = json.load(open(f"{cut}/manifest.json"))
    first = [f for f in manifest["files"] if "000001" in f["name"]]
    for name in os.listdir(cut):
        if name not in [f["name"] for f in first] + ["manifest.json", "files"]:
            os.unlink(f"{cut}/{name}")
    page = ET.parse(f"{cut}/archive-000001.xml").getroot()
    stamp = page[-1].find(".//{urn:xmpp:delay}delay").get("stamp")
    after = sum(f["messages"] for f in first) // 2
    manifest.update(complete=False, parts=1, files=first)
    manifest["counts"] = {"messages": after}
    manifest["after"] = micros(stamp)
    json.dump(manifest, open(f"{cut}/manifest.json", "w"))
    open(f"{cut}/archive-000002.xml.part", "w").write("half a")
    before = os.stat(f"{cut}/archive-000001.xml").st_mtime_ns
    run(s, "user", "export", "alice", cut)
    check(os.stat(f"{cut}/archive-000001.xml").st_mtime_ns == before, "the first part was written again")
    for name in ("account.xml", "archive-000002.xml", "SHA256SUMS", "messages-000002.html"):
        one, other = (hashlib.sha256(open(f"{d}/{name}", "rb").read()).hexdigest() for d in (whole, cut))
        check(one == other, f"{name} differs")
    sums(cut)


def micros(stamp):
    """XEP-0082, as exact as it is written"""
    whole, _, part = stamp.rstrip("Z").partition(".")
    seconds = int(time.mktime(time.strptime(whole + " UTC", "%Y-%m-%dT%H:%M:%S %Z"))) - time.timezone
    return seconds * 1000000 + int((part + "000000")[:6])


def exports_are_refused(s):
    """an export does not mix with other things, nor with another account's, and somebody unknown is told"""
    folder = os.path.join(s.dir, "other")
    os.mkdir(folder)
    open(f"{folder}/letter", "w").write("mine")
    check("is no export" in run(s, "user", "export", "alice", folder, fails=True), "a folder with a letter")
    check("something else" in run(s, "user", "export", "bob", os.path.join(s.dir, "export"), fails=True), "alice's folder")
    check("nothing is kept" in run(s, "user", "export", "nobody", os.path.join(s.dir, "none"), fails=True), "nobody")


def nothing_remains(s):
    """a deleted account leaves no row in any table; others keep their side of what was said"""
    said = run(s, "user", "delete", "alice", "--prove")
    check(f"nothing remains of alice@{s.domain}" in said, said)
    rows = dict(re.findall(r"^((?:talk|ident)\.\S+)\s+(\d+)$", said, re.M))
    check(len(rows) >= 16 and set(rows.values()) == {"0"}, f"{rows}")
    check("others keep, as theirs: 5201 messages" in said, said)
    check(not exports_of(s), f"a packed export is left: {exports_of(s)}")
    check("no such account" in run(s, "user", "delete", "alice", fails=True), "twice")
    bob = os.path.join(s.dir, "bob")
    run(s, "user", "export", "bob", bob)
    check(json.load(open(f"{bob}/manifest.json"))["counts"]["messages"] == 2 * MESSAGES + 1, "bob's side")


def a_name_starts_empty(s):
    """whoever takes the name of a deleted account finds nothing of theirs"""
    run(s, "user", "add", "alice", "--password-stdin", input="new\n")

    async def look():
        a = await xmpp.log_in(s, "alice", "new")
        roster = await ask(a, "get", "<query xmlns='jabber:iq:roster'/>")
        check(not list(roster.iter("{jabber:iq:roster}item")), xmpp.show(roster))
        archive = await ask(a, "set", "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set></query>")
        check(archive.find(".//{http://jabber.org/protocol/rsm}count").text == "0", xmpp.show(archive))
        a.send("<presence/>")
        private = await ask(a, "get", "<query xmlns='jabber:iq:private'><notes xmlns='some:notes'/></query>")
        check("milk" not in xmpp.show(private), "private")
        commands = await ask(a, "get", "<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>", s.domain)
        check("#add-user" not in xmpp.show(commands), "still an administrator")
    asyncio.run(look())


def deletion_survives_kill(s):
    """a deletion that a crash cuts off is taken up again: nothing remains"""
    check("deleted" in run(s, "user", "delete", "bob"), "bob")
    s.kill9()
    s.start()
    deadline = time.monotonic() + 60
    while True:
        said = subprocess.run([servers.BONGSU, "user", "delete", "bob", "--prove", "--config", s.config], text=True, capture_output=True, timeout=120)
        if "nothing remains" in said.stdout or time.monotonic() > deadline:
            break
    check("nothing remains" in said.stdout, said.stdout + said.stderr)


def audit_is_kept(s):
    """what administrators did is printed, with who, what, about whom and the outcome, and no secret"""
    run(s, "user", "admin", "root", "on")

    async def deed():
        r = await xmpp.log_in(s, "root", "four")
        c = "<command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#change-user-password'"
        first = await ask(r, "set", f"{c}/>", s.domain)
        sid = first[0].get("sessionid")
        await ask(r, "set", f"{c} sessionid='{sid}'><x xmlns='jabber:x:data' type='submit'><field var='accountjid'><value>carol@{s.domain}</value>"
                            "</field><field var='password'><value>topsecret</value></field></x></command>", s.domain)
    asyncio.run(deed())
    said = run(s, "audit")
    lines = [line.split("\t") for line in said.splitlines()]
    check([w[1:] for w in lines] == [["operator", "admin-on", "alice", "done"], ["operator", "admin-on", "root", "done"],
                                     [f"root@{s.domain}", "change-user-password", f"carol@{s.domain}", "done"]], said)
    check(len(run(s, "audit", "--last", "1").splitlines()) == 1, "--last 1")
    check("topsecret" not in said and "topsecret" not in open(s.log).read(), "a secret was written down")
    run(s, "user", "admin", "root", "off")
    s.stop()
    run(s, "user", "admin", "carol", "on")
    s.start()

    async def may():
        r = await xmpp.log_in(s, "carol", "topsecret")
        commands = await ask(r, "get", "<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>", s.domain)
        check("#add-user" in xmpp.show(commands), "carol is no administrator")
    asyncio.run(may())


async def deed(r, s, node, fields, ns="http://jabber.org/protocol/admin"):
    """An administrator's command with one form."""
    command = COMMAND.format(f"{ns}#{node}")
    first = await ask(r, "set", f"{command}/>", s.domain)
    form = "".join(f"<field var='{k}'><value>{v}</value></field>" for k, v in fields.items())
    done = await ask(r, "set", f"{command} sessionid='{first[0].get('sessionid')}'><x xmlns='jabber:x:data' type='submit'>{form}</x></command>", s.domain)
    check(done[0].get("status") == "completed" and "type='error'" not in xmpp.show(done), xmpp.show(done))


def announcements_are_signed(s):
    """an announcement that a client was shown is proved with the key of the server, by openssl"""
    run(s, "user", "admin", "root", "on")

    async def announce():
        r = await xmpp.log_in(s, "root", "four")
        r.send("<presence/>")
        await deed(r, s, "announce", {"subject": "안내", "announcement": "At noon & after"
                                      .replace("&", "&amp;"), "until": "2099-01-01T00:00:00Z"})
        for _ in range(50):         # over a shared database each messenger reads it in its own time
            got = await ask(r, "get", "<announcements xmlns='urn:bongsu:announcement:0'/>", s.domain)
            if got.find(".//{urn:bongsu:announcement:0}announcement") is not None:
                break
            await asyncio.sleep(0.1)
        await ask(r, "set", COMMAND.format("http://jabber.org/protocol/admin#delete-motd") + "/>", s.domain)
        return got.find(".//{urn:bongsu:announcement:0}announcement")
    a = asyncio.run(announce())
    subject, text = (a.find("{urn:bongsu:announcement:0}" + n).text for n in ("subject", "text"))
    signed = (f"bongsu-announcement-0\n{s.domain}\n{a.get('id')}\n{micros(a.get('at'))}\n{micros(a.get('until'))}\n"
              f"{len(subject.encode())}\n{subject}\n{text}").encode()
    der = bytes.fromhex("302a300506032b6570032100") + base64.b64decode(a.get("key"))
    for name, data in (("key", der), ("text", signed), ("signature", base64.b64decode(a.get("signature")))):
        open(os.path.join(s.dir, name), "wb").write(data)

    def proved():
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key", "-rawin", "-in", "text",
                               "-sigfile", "signature"], cwd=s.dir, capture_output=True).returncode == 0
    check(proved(), "the signature does not hold")
    open(os.path.join(s.dir, "text"), "ab").write(b".")
    check(not proved(), "another text has the same signature")


def rate_classes_hold(s):
    """an account in a slow class is read slowly, at once and after a restart; others are not"""
    s = type(s)("talk.rate_classes = slow 5 64k\n")
    try:
        run(s, "user", "add", "--from", "-", input="alice one\nroot four\n")
        s.start()
        run(s, "user", "admin", "root", "on")

        async def seconds():
            a = await xmpp.log_in(s, "alice", "one")
            await asyncio.sleep(1.5)
            start = time.monotonic()
            for n in range(30):
                a.send(f"<iq xmlns='jabber:client' type='get' id='p{n}' to='{s.domain}'><ping xmlns='urn:xmpp:ping'/></iq>")
            await ask(a, "get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)
            a.end_stream()
            return time.monotonic() - start

        async def slow():
            r = await xmpp.log_in(s, "root", "four")
            await deed(r, s, "rate-class", {"accountjids": f"alice@{s.domain}", "class": "slow"}, "urn:bongsu:admin:0")
        check(asyncio.run(seconds()) < 2, "slow without a class")
        asyncio.run(slow())
        check(asyncio.run(seconds()) > 3, "not slow")
        s.stop()
        s.start()
        check(asyncio.run(seconds()) > 3, "not slow after a restart")
    finally:
        s.stop()
        s.remove()


def administrators_are_bounded(s):
    """a hundred administrators without a server, and no more; one less makes room"""
    s = type(s)()
    try:
        for n in range(100):
            run(s, "user", "admin", f"a{n}", "on")
        run(s, "user", "admin", "a7", "on")
        check("there are 100 administrators already" in run(s, "user", "admin", "late", "on", fails=True), "one more")
        run(s, "user", "admin", "a7", "off")
        run(s, "user", "admin", "late", "on")
    finally:
        s.remove()


# ---- from other servers: what exports.py has made them write ----

EXPORTS = os.path.join(HERE, "exports")
RSM0 = "<set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set>"


def lines(said):
    """The report: {what: (taken, there, not taken)}"""
    return {m[0].strip(): tuple(map(int, m[1:])) for m in re.findall(r"^(\S.{43}) +(\d+) +(\d+) +(\d+)", said, re.M)}


async def look(s, messages, contacts, blocked, waiting):
    """alice finds her things."""
    a = await xmpp.log_in(s, "alice", "one")
    roster = await ask(a, "get", "<query xmlns='jabber:iq:roster'/>")
    check({i.get("jid"): i.get("subscription") for i in roster.iter("{jabber:iq:roster}item")} == contacts, xmpp.show(roster))
    private = await ask(a, "get", "<query xmlns='jabber:iq:private'><notes xmlns='some:notes'/></query>")
    check("milk" in xmpp.show(private), xmpp.show(private))
    archive = await ask(a, "set", f"<query xmlns='urn:xmpp:mam:2'>{RSM0}</query>")
    check(archive.find(".//{http://jabber.org/protocol/rsm}count").text == str(messages), xmpp.show(archive))
    block = await ask(a, "get", "<blocklist xmlns='urn:xmpp:blocking'/>")
    check(len(list(block.iter("{urn:xmpp:blocking}item"))) == blocked, xmpp.show(block))
    a.send("<presence/>")
    seen, deadline = "", time.monotonic() + 10
    while time.monotonic() < deadline and not ("carol@" in seen and ("while you were away" in seen or not waiting)):
        await ask(a, "get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)
        seen = "".join(xmpp.show(i) for i in a.items if hasattr(i, "tag"))
    check(("while you were away" in seen) == waiting, seen)
    check("carol@" in seen and "subscribe" in seen, f"carol's request did not come: {seen}")
    if messages:
        await ask(a, "set", "<query xmlns='urn:xmpp:mam:2' queryid='q'/>")
        texts = [b.text for i in a.items if hasattr(i, "tag") for b in i.iter("{jabber:client}body")]
        check([t for t in texts if t and t.startswith("안녕")] == [f"안녕 {n} <b>" for n in range(5)], f"{texts}")
    a.end_stream()


def import_from(kind, export, want, **found):
    s = kind()
    try:
        said = run(s, "import", os.path.join(EXPORTS, export))
        check("3 accounts made, 0 there already, 0 not taken" in said, said)
        got = lines(said)
        check({k: got.get(k) for k in want} == want, said)
        again = lines(run(s, "import", os.path.join(EXPORTS, export)))
        check(all(v[0] == 0 for k, v in again.items() if k not in ("users", "archive preferences", "block lists")), f"taken twice: {again}")
        s.start()
        asyncio.run(look(s, **found))
        check("the server runs" in run(s, "import", os.path.join(EXPORTS, export), fails=True), "while it runs")
        said = run(s, "user", "delete", "alice", "--prove")
        check("nothing remains" in said, said)
    finally:
        s.stop()
        s.remove()


def prosody_comes_over(s):
    """accounts, contacts, private elements and the archive come over from Prosody, once; the password is the old one"""
    import_from(type(s), "prosody", {"users": (3, 0, 0), "contacts": (4, 0, 0), "requests": (2, 0, 0), "private elements": (1, 0, 0),
                                     "archived messages": (24, 0, 0), "nodes": (2, 0, 0), "items of nodes": (2, 0, 0)},
                messages=13, contacts={f"bob@{s.domain}": "both", f"carol@{s.domain}": "none"}, blocked=0, waiting=False)


def ejabberd_comes_over(s):
    """accounts, contacts, cards, block lists and what waits come over from ejabberd, once; the password is the old one"""
    import_from(type(s), "ejabberd/all.xml", {"users": (3, 0, 0), "contacts": (4, 0, 0), "requests": (2, 0, 0), "cards": (1, 0, 0),
                                              "block lists": (1, 0, 0), "offline messages": (1, 0, 0)},
                messages=0, contacts={f"bob@{s.domain}": "both", f"carol@{s.domain}": "none"}, blocked=1, waiting=True)


ODD = """<?xml version='1.0'?><!-- by hand --><server-data xmlns='urn:xmpp:pie:0'><host jid='{domain}'>
<user name='dave' password='plain one'><query xmlns='jabber:iq:roster'><item jid='@@'/><item jid='x@y' subscription='to' name='X'><group>g &amp; h</group></item></query>
<something xmlns='never:heard'/><vCard xmlns='vcard-temp'><FN>&bad;</FN></vCard></user>
<user name='erin'><scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'><iter-count>4096</iter-count><salt>{salt}</salt><server-key>{server}</server-key><stored-key>{stored}</stored-key></scram-credentials></user>
<user name='no password'/><user name='frank'/></host><host jid='elsewhere.example'><user name='gina' password='x'/></host></server-data>"""


def odd_files_are_told(s):
    """a file by hand: plain passwords and SCRAM-SHA-1 count, what cannot be taken is told with the reason, and the rest comes"""
    s = type(s)("talk.sasl_sha_256 = no\n")
    salted = hashlib.pbkdf2_hmac("sha1", b"old one", b"salty", 4096)
    stored = hashlib.sha1(hmac.digest(salted, b"Client Key", "sha1")).digest()
    b64 = lambda x: base64.b64encode(x).decode()                            # noqa: E731
    path = os.path.join(s.dir, "odd.xml")
    open(path, "w").write(ODD.format(domain=s.domain, salt=b64(b"salty"), stored=b64(stored), server=b64(hmac.digest(salted, b"Server Key", "sha1"))))
    try:
        said = run(s, "import", path)
        check("2 accounts made, 0 there already, 3 not taken" in said and "1 of them have only SCRAM-SHA-1" in said, said)
        check("not taken: frank: there is no password" in said and "not taken: gina: it is of another domain" in said, said)
        check(lines(said)["contacts"] == (1, 0, 1) and "it is no address" in said and "<something xmlns='never:heard'/>" in said, said)
        check("vCard" in said and "not-well-formed" in said or "restricted" in said, said)
        s.start()

        async def log_in():
            for name, password in (("dave", "plain one"), ("erin", "old one")):
                stream = await xmpp.log_in(s, name, password)
                stream.end_stream()
                stream = await xmpp.log_in(s, name, password, mechanism="PLAIN")
                stream.end_stream()
        asyncio.run(log_in())
        s.stop()
        cut = os.path.join(s.dir, "cut.xml")
        open(cut, "w").write(open(path).read().replace("erin", "hank")[:700])
        check("cannot be read from byte" in run(s, "import", cut, fails=True), "a file that was cut")
    finally:
        s.stop()
        s.remove()


TESTS = (starts, export_is_whole, export_goes_on, exports_are_refused, owner_gets_a_file, nothing_remains, a_name_starts_empty, deletion_survives_kill, audit_is_kept, announcements_are_signed,
         administrators_are_bounded, rate_classes_hold, prosody_comes_over, ejabberd_comes_over, odd_files_are_told)


def main():
    only = sys.argv[1:]
    return on_each((servers.Bongsu, servers.BongsuPostgreSQL), [t for t in TESTS if not only or t.__name__ in only])


if __name__ == "__main__":
    sys.exit(main())
