#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""run.py: the operator's commands against a real server."""
import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import patroni                                                              # noqa: E402
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import Failure, check, play                                     # noqa: E402

# Two other servers, where nobody listens.
NOBODY_THERE = """\
federation.listen =
federation.listen_tls =
federation.routes = gone.example=127.0.0.1:{}, away.example=127.0.0.1:{}
federation.retry_time_max = 2s
"""
COUNT = "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set></query>"


class Bongsu(servers.Bongsu):
    """With a command line, and metrics for this test only."""

    def prepare(self):
        super().prepare()
        self.metrics = servers.free_ports(5)
        text = open(self.config).read()
        for role, port in zip(("keeper", "talk", "ident", "web", "courier"), self.metrics):
            text = re.sub(rf"^{role}\.metrics_listen =.*$", f"{role}.metrics_listen = 127.0.0.1:{port}", text, flags=re.M)
        open(self.config, "w").write(text)

    def run(self, *words, input="", fails=False):
        done = subprocess.run([servers.BONGSU, *words, "--config", self.config], input=input, text=True, capture_output=True,
                              cwd=self.dir, timeout=120)
        if (done.returncode != 0) != fails:
            raise Failure(f"bongsu {' '.join(words)} → {done.returncode}: {done.stdout}{done.stderr}")
        return done.stderr if fails else done.stdout

    def status(self):
        done = subprocess.run([servers.BONGSU, "status", "--json", "--config", self.config], text=True, capture_output=True, timeout=60)
        check(done.stdout, f"status: {done.stderr}")
        return json.loads(done.stdout)

    def edit(self, before, after):
        text = open(self.config).read()
        check(before in text, f"{before} is not in the settings")
        open(self.config, "w").write(text.replace(before, after))


async def archived(stream):
    """How many messages its archive holds."""
    answer = await stream.ask("set", COUNT)
    count = answer.find(".//{http://jabber.org/protocol/rsm}count")
    check(count is not None, "the archive counts nothing: " + xmpp.show(answer))
    return int(count.text)


# ---- the promises ----

def accounts_without_a_server(s):
    """accounts are made, listed and changed while no server runs"""
    s.run("user", "add", "alice", "--password-stdin", input="one\n")
    s.run("user", "add", "--from", "-", input="# comment\nbob two\ncarol three\n")
    check("there is such an account" in s.run("user", "add", "alice", "--password-stdin", input="x\n", fails=True), "twice")
    s.run("user", "passwd", "carol", "--password-stdin", input="four\n")
    names = [line.split("@")[0] for line in s.run("user", "list").splitlines()]
    check(names == ["alice", "bob", "carol"], f"{names}")


def nothing_runs(s):
    """without a server, status and reload say so, and a typing error is understood"""
    check("no server runs" in s.run("status", fails=True), "status")
    check("no server runs" in s.run("reload", fails=True), "reload")
    check('did you mean "status"' in s.run("statsu", fails=True), "typing error")
    check("needs one more word" in s.run("user", fails=True), "user alone")


def help_of_each(s):
    """--help lists every subcommand, and each has its own"""
    text = s.run("help")
    names = re.findall(r"^  ([a-z]+(?: [a-z]+)?) ", text, re.M)
    check(len(names) >= 15, f"{names}")
    for name in names:
        done = subprocess.run([servers.BONGSU, *name.split(), "--help"], capture_output=True, text=True)
        check(done.returncode == 0 and f"usage: bongsu {name}" in done.stdout, f"{name} --help: {done.stdout}{done.stderr}")


def settings_mistakes(s):
    """`config check` names file, line, what and what would be right"""
    check("the settings are good" in s.run("config", "check"), "good settings")
    text = open(s.config).read()
    with open(s.config, "a") as f:
        f.write("talk.login_tries_mx = 5\ntalk.idle_time_max = soon\n")
    try:
        said = s.run("config", "check", fails=True)
    finally:
        open(s.config, "w").write(text)
    check("did you mean \"talk.login_tries_max\"" in said, said)
    check("talk.idle_time_max cannot be \"soon\"" in said and f"{s.config}:" in said, said)


def what_serve_refuses(s):
    """`config check` and serve refuse the same domain and the same addresses, in the same words"""
    text = open(s.config).read()
    with open(s.config, "a") as f:
        f.write("domain = a b\nident.passkey_origins = ftp://x\nweb.websocket_url = wss://one.example/xmpp-websocket, two.example\nweb.bosh_url = https://\n")
    try:
        for word in (("config", "check"), ("serve",)):
            said = s.run(*word, fails=True)
            for wrong in ("domain cannot be \"a b\"", "ident.passkey_origins cannot have \"ftp://x\"", "web.websocket_url cannot have \"two.example\"",
                          "web.bosh_url cannot have \"https://\""):
                check(wrong in said, f"nothing of {wrong}: {said}")
    finally:
        open(s.config, "w").write(text)


def workers_need_a_cluster(s):
    """several workers of talk are refused on a machine that is alone, by `config check` and by serve"""
    text = open(s.config).read()
    with open(s.config, "a") as f:
        f.write("talk.workers = 2\n")
    try:
        for word in (("config", "check"), ("serve",)):
            said = s.run(*word, fails=True)
            check("talk.workers cannot be 2" in said and "db.server" in said and "bus.servers" in said, said)
        with open(s.config, "a") as f:
            f.write("db.server = host=127.0.0.1 dbname=bongsu\nbus.servers = nats://127.0.0.1:4222\n")
        s.run("config", "check")
    finally:
        open(s.config, "w").write(text)


def no_database(s):
    """roles that cannot reach their PostgreSQL say so and end in order, to be tried again"""
    config, log = os.path.join(s.dir, "no-database.conf"), os.path.join(s.dir, "no-database.log")
    for folder in ("none", "none/data", "none/run"):
        os.makedirs(os.path.join(s.dir, folder))
    text = open(s.config).read().replace(s.dir + "/data", s.dir + "/none/data").replace(s.dir + "/run", s.dir + "/none/run")
    with open(config, "w") as f:
        f.write(text + "db.server = host=127.0.0.1 port={} dbname=bongsu\nbus.servers = nats://127.0.0.1:{}\n".format(*servers.free_ports(2)))
    with open(log, "w") as f:
        process = subprocess.Popen([servers.BONGSU, "serve", "--config", config], stdout=f, stderr=f)
    try:
        for role in ("ident", "talk", "courier"):
            deadline = time.monotonic() + 60
            while not (died := re.search(rf"proc\.died role={role} signal=(\d+) exit=(\d+)", open(log).read())):
                check(time.monotonic() < deadline and process.poll() is None, f"{role}: {open(log).read()[-1000:]}")
                time.sleep(0.1)
            check(died.groups() == ("0", "1"), f"{role} ended with signal {died[1]}, status {died[2]}")
            check(f"{role} could not start: could not reach the primary" in open(log).read(), f"{role} does not say why")
    finally:
        process.terminate()
        process.wait(30)


def accounts_with_a_server(s):
    """accounts are made, changed and deleted while the server runs, and the change holds at once"""
    s.start()
    s.run("user", "add", "dora", "--password-stdin", input="five\n")
    s.run("user", "passwd", "dora", "--password-stdin", input="six\n")
    asyncio.run(xmpp.log_in(s, "dora", "six"))
    check("there is no such account" in s.run("user", "passwd", "nobody", "--password-stdin", input="x\n", fails=True), "nobody")
    s.run("user", "del", "dora")
    check("dora" not in s.run("user", "list"), "dora is listed")
    lines = "".join(f"many{n} pw{n}\n" for n in range(30))
    check("added 30 accounts" in s.run("user", "add", "--from", "-", input=lines), "many")


def second_server(s):
    """a second server on the same data is refused with a plain sentence"""
    check("works on" in s.run("serve", fails=True), "a second server")


def status_and_top(s):
    """status and top show every role; metrics and health answer on each"""
    roles = s.status()["roles"]
    check(set(roles) == {"ident", "courier", "talk", "web"} and all(r["ready"] for r in roles.values()), f"{roles}")
    check("bongsu_commit_batches_total" in s.run("top", "--once"), "top")
    for port in s.metrics:
        for path, word in (("/metrics", "# EOF"), ("/health/live", "live"), ("/health/ready", "ready")):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                check(word in answer.read().decode(), f"{port}{path}")


def waits_for_other_servers(s):
    """status names what waits for other servers: for which, how many, since when; also when courier was killed"""
    def courier(true):
        deadline = time.monotonic() + 30
        while not true(told := s.status().get("courier", {})):
            check(time.monotonic() < deadline, f"{told}")
            time.sleep(0.1)
        return told

    async def write():
        alice = await xmpp.log_in(s, "alice", "one")
        for n, domain in enumerate(("gone.example", "away.example", "gone.example")):
            alice.send(f"<message to='somebody@{domain}' type='chat' id='m{n}'><body>are you there?</body></message>")
        await alice.ask("get", "<ping xmlns='urn:xmpp:ping'/>")
    check("0 messages wait; 0 notifications wait to be pushed; disk: ok" in s.run("status"), s.run("status"))
    asyncio.run(write())
    before = courier(lambda c: c.get("waiting") == 3 and all(d["away"] for d in c["domains"]))
    check({d["domain"]: d["waiting"] for d in before["domains"]} == {"gone.example": 2, "away.example": 1}, f"{before}")
    check(before["domains_waiting"] == 2 and before["federation"] and before["connections_out"] == 0, f"{before}")
    said = s.run("status")
    check(re.search(r"other servers: 0 connections out, 0 in; 3 messages wait for 2 domains, the first for \d+", said), said)
    check(re.search(r"^  gone\.example +2 wait, the first for .*; it cannot be reached$", said, re.M), said)
    os.kill(s.status()["roles"]["courier"]["pid"], signal.SIGKILL)
    after = courier(lambda c: c.get("waiting") == 3)
    check(after["oldest_ms"] > before["oldest_ms"] and after["oldest_ms"] == max(d["oldest_ms"] for d in after["domains"]), f"{before} {after}")


def reload_keeps_sessions(s):
    """a reload takes up a new certificate and settings, and drops no session"""
    async def play():
        stream = await xmpp.log_in(s, "alice", "one")
        before = served_certificate(s)
        extra = os.path.join(s.dir, "renewed")
        os.makedirs(extra)
        s.ca, crt, key = servers.make_certificates(extra)
        shutil.copy(crt, s.crt)
        shutil.copy(key, s.key)
        said = s.run("reload")
        check("reloaded" in said, said)
        check(served_certificate(s) != before, "the old certificate is still served")
        check((await stream.ask("get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)) is not None, "the session is gone")
        s.edit(f"domain = {s.domain}", "domain = elsewhere.example")
        said = s.run("reload")
        s.edit("domain = elsewhere.example", f"domain = {s.domain}")
        check("domain is taken up at the next start only" in said, said)
        with open(s.config, "a") as f:
            f.write("no.such = 1\n")
        check("there is no setting" in s.run("reload", fails=True), "a mistake was taken")
        s.edit("no.such = 1\n", "")
        check((await stream.ask("get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)) is not None, "the session is gone")
    asyncio.run(play())


def served_certificate(s):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{s.tls_port}", "-alpn", "xmpp-client"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    return re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", done.stdout, re.S).group()


def backup_and_restore(s):
    """a backup made under traffic restores what had been acknowledged before it, and nothing else"""
    backup = os.path.join(s.dir, "copy")

    async def talk(first, count):
        stream = await xmpp.log_in(s, "alice", "one")
        for n in range(first, first + count):
            stream.send(f"<message to='bob@{s.domain}' type='chat' id='m{n}'><body>{n}</body></message>")
        await stream.ask("get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)
        return await archived(stream)

    before = asyncio.run(talk(0, 20))
    check(before >= 20, f"{before} in the archive")
    s.run("backup", backup)
    check("something in it already" in s.run("backup", backup, fails=True), "a backup over a backup")
    after = asyncio.run(talk(100, 10))
    check(after == before + 10, f"{after} after {before} + 10")
    check("stop it first" in s.run("restore", backup, fails=True), "restored under a running server")
    s.run("stop")
    s.process.wait(20)
    with open(os.path.join(backup, "talk.db"), "r+b") as f:
        whole = f.read()
        f.seek(4096 * 3)
        f.write(b"\xff" * 4096)
    check("nothing was changed" in s.run("restore", backup, fails=True), "a broken backup was taken")
    open(os.path.join(backup, "talk.db"), "wb").write(whole)
    asides = [re.search(r"old databases are in (\S+)", s.run("restore", backup)).group(1) for _ in range(4)]
    check(len(set(asides)) == 4, f"four restores, some within a second, put the old databases in {asides}")
    check(all(os.path.exists(f"{aside}/talk.db") for aside in asides), f"not every one of {asides} holds the databases of before")
    s.run("db", "check")
    s.start()
    restored = asyncio.run(talk(200, 0))
    check(restored == before, f"{restored} restored, {before} were there")


WORD = ("<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>"
        "<field var='withtext'><value>{}</value></field></x><set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set></query>")


async def found(stream, word):
    """How many messages of its archive hold the word."""
    answer = await stream.ask("set", WORD.format(word))
    return int(answer.find(".//{http://jabber.org/protocol/rsm}count").text)


def segments(s):
    """(segments, chunks that no segment speaks of, the generation that all are of)"""
    with sqlite3.connect(f"file:{s.dir}/data/talk.db?mode=ro", uri=True) as db:
        return db.execute("SELECT (SELECT count(*) FROM search_segment), (SELECT count(*) FROM search_chunk c WHERE NOT EXISTS"
                          " (SELECT 1 FROM search_segment g WHERE g.segment = c.segment) AND NOT EXISTS"
                          " (SELECT 1 FROM search_trash t WHERE t.segment = c.segment)),"
                          " (SELECT min(made) FROM search_segment)").fetchone()


def index_is_made_behind_the_messages(s):
    """the search index grows behind the messages, is made anew while people search, and outlives a kill"""
    async def play():
        alice = await xmpp.log_in(s, "alice", "one")
        before = await found(alice, "봉수")
        for n in range(1100):
            alice.send(f"<message to='bob@{s.domain}' type='chat'><body>{'봉수대' if n % 10 == 0 else '여느 말'} {n}</body></message>")
        check(await found(alice, "봉수") == before + 110, "the tail is not searched")
        deadline = time.monotonic() + 30
        while segments(s)[0] < 8 and time.monotonic() < deadline:       # four of 256 each for alice and bob
            await asyncio.sleep(0.2)
        check(segments(s)[0] >= 8, f"{segments(s)} segments")
        check(await found(alice, "봉수") == before + 110, "the index differs from the texts")
        generation = segments(s)[2]
        again = asyncio.create_task(asyncio.to_thread(s.run, "db", "reindex"))
        while not again.done():
            check(await found(alice, "봉수") == before + 110, "not found while the index is made anew")
        check("the search index is new" in again.result(), again.result())
        check(segments(s)[2] == generation + 1, "it is not of the new generation")
        os.kill(s.status()["roles"]["talk"]["pid"], signal.SIGKILL)
        until(s, lambda roles: roles["talk"]["ready"])
        alice = await xmpp.log_in(s, "alice", "one")
        check(await found(alice, "봉수") == before + 110, "not found after a kill")
        check(segments(s)[1] == 0, "chunks are left that nobody knows of")
    asyncio.run(play())
    s.run("stop")
    s.process.wait(20)
    check("is new" in s.run("db", "reindex"), "without a server")
    s.start()


def invitations_are_links(s):
    """an invitation is a link that makes one account, with and without a running server, and a promised name is held"""
    link = s.run("user", "invite", "gil", "--from", "alice", "--days", "3").splitlines()[0]
    check(re.fullmatch(rf"xmpp:gil@{s.domain}\?register;preauth=[a-z2-7]{{26}}", link), link)
    page = "https://town.example/invite.html"
    s.edit(f"talk.invite_page = {page}\n", "")
    check(len(s.run("user", "invite").splitlines()) == 2, "a page that is not set")
    open(s.config, "a").write(f"\ntalk.invite_page = {page}\n")
    check(s.run("user", "invite").splitlines()[1].startswith(f"{page}#{s.domain}?register;preauth="), "no page")
    check("invitation for gil" in s.run("user", "invite", "gil", fails=True), "the name was promised twice")
    check("from 1 to 90" in s.run("user", "invite", "--days", "91", fails=True), "91 days")

    async def play(link, name):
        token = link.split("preauth=")[1]
        stream, features = await xmpp.connect(s)
        for payload in (f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>",
                        f"<query xmlns='jabber:iq:register'><username>{name}</username><password>x</password></query>"):
            answer = await stream.ask("set", payload, s.domain)
            check(answer.get("type") == "result", xmpp.show(answer))
    asyncio.run(play(link, "gil"))
    s.run("stop")
    s.process.wait(20)
    link = s.run("user", "invite").splitlines()[0]
    check(re.fullmatch(rf"xmpp:{s.domain}\?register;preauth=[a-z2-7]{{26}}", link), link)
    s.start()
    asyncio.run(play(link, "hana"))
    check({"gil", "hana"} <= {line.split("@")[0] for line in s.run("user", "list").splitlines()}, "the accounts are not there")


def reports_are_listed(s):
    """what people report is kept with the messages that they show, and printed for the operator"""
    async def play():
        bob, alice = await xmpp.log_in(s, "bob", "two"), await xmpp.log_in(s, "alice", "one")
        bob.send(f"<message to='alice@{s.domain}' type='chat' id='spam'><body>buy this</body></message>")
        await bob.ask("get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)
        page = "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>1</max><before/></set></query>"
        last = (await alice.ask("set", page)).find(".//{http://jabber.org/protocol/rsm}last").text
        await alice.ask("set", f"<block xmlns='urn:xmpp:blocking'><item jid='mallory@{s.domain}'><report xmlns='urn:xmpp:reporting:1'"
                               f" reason='urn:xmpp:reporting:spam'><stanza-id xmlns='urn:xmpp:sid:0' by='alice@{s.domain}' id='{last}'/>"
                               "<text>no, thanks</text></report></item></block>")
    asyncio.run(play())
    printed = s.run("reports")
    check(f"alice@{s.domain}\tabout mallory@{s.domain}\turn:xmpp:reporting:spam" in printed, printed)
    check("    no, thanks\n" in printed and "<body>buy this</body>" in printed, printed)


def killed_roles_come_back(s):
    """a killed role comes back, and the keeper counts it; ident's death ends no session"""
    async def play():
        stream = await xmpp.log_in(s, "alice", "one")
        os.kill(s.status()["roles"]["ident"]["pid"], signal.SIGKILL)
        check((await stream.ask("get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)) is not None, "the session is gone")
        until(s, lambda roles: roles["ident"]["restarts"] == 1 and roles["ident"]["ready"])
        await xmpp.log_in(s, "bob", "two")
    asyncio.run(play())
    os.kill(s.status()["roles"]["talk"]["pid"], signal.SIGKILL)
    until(s, lambda roles: roles["talk"]["restarts"] == 1 and roles["talk"]["ready"])
    asyncio.run(xmpp.log_in(s, "alice", "one"))


def until(s, true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true(s.status()["roles"]):
        check(time.monotonic() < deadline, f"{s.status()['roles']}")
        time.sleep(0.1)


def restart_goes_from_role_to_role(s):
    """a restart replaces the process of every role, never two at a time, and counts no death"""
    before = s.status()["roles"]
    restart = subprocess.Popen([servers.BONGSU, "restart", "--config", s.config], text=True, stdout=subprocess.PIPE)
    away = set()
    while restart.poll() is None:
        missing = [name for name, role in s.status()["roles"].items() if not role["ready"]]
        check(len(missing) <= 1, f"{missing} are away at once")
        away |= set(missing)
    said = restart.stdout.read()
    check(restart.returncode == 0 and f"{len(before)} roles were restarted" in said, said)
    after = s.status()["roles"]
    check(all(r["ready"] for r in after.values()), f"{after}")
    check(all(after[r]["pid"] != before[r]["pid"] and after[r]["restarts"] == before[r]["restarts"] for r in before), f"{after}")
    asyncio.run(xmpp.log_in(s, "alice", "one"))


def cluster_is_judged(s):
    """in a cluster, status says whether the loss of a site is outlived, and if not, what to do about it"""
    sites = patroni.Sites(3)
    config = os.path.join(s.dir, "cluster.conf")

    def judged(urls, ca="", tries=20):
        text = open(s.config).read() + "site = s1\ndb.server = host=127.0.0.1 dbname=bongsu\nbus.servers = nats://127.0.0.1:4222\n"
        open(config, "w").write(text + f"sites.patroni = {','.join(urls)}\nbus.ca = {ca}\n")
        done = subprocess.run([servers.BONGSU, "status", "--json", "--config", config], text=True, capture_output=True, timeout=20)
        cluster = json.loads(done.stdout)["cluster"]
        if not sites.silent and any("no answer came in time" in r for r in cluster["reasons"]) and tries > 1:
            return judged(urls, ca, tries - 1)          # a busy machine
        check(cluster["safe"] == (not cluster["reasons"]) == (done.returncode == 0), f"{done.returncode}: {cluster}")
        return cluster

    def unsafe(*words, count=1, urls=None):
        reasons = judged(urls or sites.urls)["reasons"]
        check(len(reasons) == count and all(any(w in r for r in reasons) for w in words), f"{words}: {reasons}")

    well = judged(sites.urls)
    check(well["safe"] and well["primary"] == "s1" and well["primary_host"] == "10.0.1.1" and well["site"] == "s1", f"{well}")
    said = subprocess.run([servers.BONGSU, "status", "--config", config], text=True, capture_output=True)
    check(said.returncode == 0 and "safe: yes" in said.stdout and "primary: s1 (10.0.1.1)" in said.stdout, said.stdout)
    sites.versions[1] = "3.0.2"
    unsafe("3.0.2", "install 3.0.3 or newer")
    sites.versions[1] = "3.0.3"
    sites.config["synchronous_mode"] = True
    unsafe("synchronous_mode is on", "patronictl edit-config")
    sites.config["postgresql"] = {"parameters": {"synchronous_standby_names": "ANY 1 (s1,s2,s3)"}}
    check(judged(sites.urls)["safe"], "ANY 1 is a quorum")
    sites.members[2]["state"] = "stopped"
    unsafe("s3", "patronictl reinit")
    sites.members[2]["state"] = "running"
    unsafe("s3", "patronictl reinit")
    sites.members[2]["state"] = "streaming"
    sites.pause = True
    unsafe("patronictl resume")
    sites.pause = False
    sites.members[0]["role"] = "replica"
    sites.members[0]["state"] = "streaming"
    unsafe("no site is the primary")
    sites.members[0].update(role="leader", state="running")
    gone = sites.members.pop()
    unsafe("2 copies")
    sites.members.append(gone)
    unsafe("names 2 sites", urls=sites.urls[:2])
    unsafe("sites.patroni is empty", urls=[""])
    unsafe("does not answer", urls=sites.urls[:2] + ["http://patroni.example:8008"])
    sites.close(2)
    unsafe("does not answer (nobody listens there)")
    sites.silent = True
    began = time.monotonic()
    check(not judged(sites.urls)["safe"] and time.monotonic() - began < 2.5, "silence takes too long")
    secure = patroni.Sites(3, s.crt, s.key)
    check(judged(secure.urls, s.ca)["safe"], "over https")
    check(not judged(secure.urls)["safe"], "an unknown authority is believed")
    secure.close_all()


def rights_are_given_up(s):
    """no role may gain privileges, and each is filtered"""
    for role, about in s.status()["roles"].items():
        text = open(f"/proc/{about['pid']}/status").read()
        check(re.search(r"^NoNewPrivs:\s+1$", text, re.M), f"{role} may gain privileges")
        if "sanitizer" not in open(s.log).read():
            check(re.search(r"^Seccomp:\s+2$", text, re.M), f"{role} is not filtered")


def stops_in_order(s):
    """SIGTERM ends streams with system-shutdown, and every process"""
    pids = [r["pid"] for r in s.status()["roles"].values()]

    async def play():
        stream = await xmpp.log_in(s, "alice", "one")
        s.process.terminate()
        said = ""
        while "system-shutdown" not in said:
            item = await stream.take(10)
            check(item is not xmpp.GONE, "the stream ended without a word")
            said = xmpp.show(item) if hasattr(item, "tag") else ""
    asyncio.run(play())
    check(s.process.wait(20) == 0, "exit status")
    check(not any(os.path.exists(f"/proc/{p}") for p in pids), "a role outlived the keeper")
    s.process = None


def one_process(s):
    """bongsu-one does the same in one process"""
    one = os.path.join(os.path.dirname(servers.BONGSU), "bongsu-one")
    process = subprocess.Popen([one, "--config", s.config], stdout=subprocess.PIPE, stderr=open(s.log, "a"), text=True)
    try:
        check("bongsu: ready:" in process.stdout.readline(), "it did not start")
        asyncio.run(xmpp.log_in(s, "alice", "one"))
        told = s.status()
        check(all(r["ready"] for r in told["roles"].values()) and told["courier"]["disk"] == "ok", f"status: {told}")
        s.run("stop")
        check(process.wait(20) == 0, "exit status")
    finally:
        process.kill()


TESTS = (help_of_each, nothing_runs, settings_mistakes, what_serve_refuses, workers_need_a_cluster, accounts_without_a_server, no_database,
         accounts_with_a_server, second_server, status_and_top, waits_for_other_servers, cluster_is_judged, reload_keeps_sessions, restart_goes_from_role_to_role,
         rights_are_given_up, backup_and_restore, index_is_made_behind_the_messages, invitations_are_links, reports_are_listed,
         killed_roles_come_back, stops_in_order, one_process)


def chosen(names):
    """Those, and before them what makes the accounts and starts the server; without names all."""
    last = max((n for n, t in enumerate(TESTS) if t.__name__ in names), default=-1)
    return [t for n, t in enumerate(TESTS) if not names or t.__name__ in names
            or (n < last and t in (accounts_without_a_server, accounts_with_a_server))]


def main():
    why = servers.Bongsu.missing()
    if why:
        print(f"skip  {why}\n0 passed, 0 failed, {len(TESTS)} skipped")
        return 0
    tests = chosen(sys.argv[1:])
    server = Bongsu(NOBODY_THERE.format(*servers.free_ports(2)))
    failed = 0
    try:
        failed = play(tests, server)
    finally:
        server.remove()
    print(f"{len(tests) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
