#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_profanity.py: Profanity, a client for the terminal, typed at inside tmux."""
import asyncio
import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.request
import uuid

from checks import PASSWORD, main, until

import xmpp


def missing():
    for program in ("profanity", "tmux", "openssl"):
        if not shutil.which(program):
            return f"the package {program} is not installed"
    return None


class Terminal:
    """Profanity in a tmux of its own, with a home of its own."""

    def __init__(self, home):
        self.socket = "bongsu-" + uuid.uuid4().hex[:8]
        self.home = home
        os.makedirs(home, exist_ok=True)
        env = {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home + "/config", "XDG_DATA_HOME": home + "/data",
               "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        env.pop("TMUX", None)
        self.env = env
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "180", "-y", "60", "profanity -l DEBUG")

    def tmux(self, *args):
        return subprocess.run(["tmux", "-L", self.socket, *args], env=self.env, capture_output=True, text=True)

    def type(self, text):
        self.tmux("send-keys", "-l", text)
        self.tmux("send-keys", "Enter")

    def screen(self):
        return self.tmux("capture-pane", "-p").stdout

    def shows(self, pattern, seconds=15):
        return until(lambda: re.search(pattern, self.screen()), seconds)

    def end(self):
        self.tmux("kill-server")


def trust(server, home):
    """A folder with the authority, as OpenSSL looks for it."""
    folder = os.path.join(home, "ca")
    os.makedirs(folder, exist_ok=True)
    shutil.copy(server.ca, os.path.join(folder, "ca.pem"))
    subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
    return folder


async def hears(stream, fits):
    return await stream.take_where(fits, 15)


def play(server, checks):
    asyncio.run(conversation(server, checks))


async def conversation(server, checks):
    home = os.path.join(server.dir, "profanity")
    folder = trust(server, home)
    p = Terminal(home)
    try:
        await in_terminal(server, checks, p, folder)
    finally:
        p.end()


async def step(function, *args):
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)


async def log_in(server, p, folder, user="alice"):
    p.type("/tls certpath set " + folder)
    p.type("/carbons on")
    p.type("/mam on")
    p.type(f"/connect {user}@{server.domain} server 127.0.0.1 port {server.port} tls force")
    await step(p.shows, "[Pp]assword")
    p.type(PASSWORD)
    return await step(p.shows, "logged in successfully")


def fetch(server, url):
    with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=server.ca), timeout=10) as answer:
        return answer.read()


async def uploads(server, checks, p, bob):
    """In the window of the talk with Bob."""
    data = os.urandom(200000)
    path = os.path.join(server.dir, "photo.jpg")
    with open(path, "wb") as f:
        f.write(data)
    p.type(f"/sendfile {path}")
    got = await hears(bob, lambda i: "/photo.jpg" in (i.findtext("{jabber:client}body") or ""))
    url = got.findtext("{jabber:client}body") if got is not None else ""
    link = got.findtext("{jabber:x:oob}x/{jabber:x:oob}url") if got is not None else ""
    checks.check("uploads a file, and sends the link (/sendfile)", url and url == link and await step(fetch, server, url) == data,
                 f"{url} {link}\n{p.screen()}")


async def in_terminal(server, checks, p, folder):
    if not await step(p.shows, "Type '/help'|Profanity"):
        checks.skip("all", "profanity shows nothing in tmux: " + p.screen())
        return
    online = await log_in(server, p, folder)
    screen = p.screen()
    checks.check("logs in over STARTTLS", online, screen)
    checks.check("and has no complaint about the certificate", online and "/tls allow" not in screen, screen)
    if not online:
        return

    bob = await xmpp.log_in(server, "bob", PASSWORD)
    await bob.ask("get", "<query xmlns='jabber:iq:roster'/>")       # who asks for it hears of subscriptions
    bob.send("<presence/>")
    bobs = f"bob@{server.domain}"
    alice = f"alice@{server.domain}"
    p.type(f"/roster add {bobs} Bobby")
    checks.check("adds a contact", await step(p.shows, "Roster item (added|updated)|Bobby"), p.screen())
    p.type(f"/sub request {bobs}")
    ask = await hears(bob, lambda i: xmpp.local(i) == "presence" and i.get("type") == "subscribe")
    checks.check("its request reaches the contact", ask is not None and ask.get("from") == alice)
    bob.send(f"<presence type='subscribed' to='{alice}'/>")
    checks.check("shows the approval", await step(p.shows, "Subscription received|accepted|is online|Bobby is online"), p.screen())
    bob.send(f"<presence type='subscribe' to='{alice}'/>")
    checks.check("shows the request of the other side", await step(p.shows, "authorization request|Received.*request"), p.screen())
    p.type(f"/sub allow {bobs}")
    granted = await hears(bob, lambda i: xmpp.local(i) == "presence" and i.get("type") == "subscribed")
    checks.check("and lets them", granted is not None)

    p.type(f"/msg {bobs} hello from the terminal")
    got = await hears(bob, lambda i: i.findtext("{jabber:client}body") == "hello from the terminal")
    checks.check("writes", got is not None)
    bob.send(f"<message to='{alice}' type='chat' id='{uuid.uuid4()}'><body>봉수가 왔습니다</body></message>")
    checks.check("and reads Korean", await step(p.shows, "봉수가 왔습니다"), p.screen())

    phone = await xmpp.log_in(server, "alice", PASSWORD, "phone")
    phone.send("<presence/>")
    phone.send(f"<message to='{bobs}' type='chat' id='{uuid.uuid4()}'><body>written on the phone</body></message>")
    checks.check("shows what one's other device wrote (carbons)", await step(p.shows, "written on the phone"), p.screen())

    await uploads(server, checks, p, bob)
    p.type("/win 1")

    def pinged():
        """It asks the server what it can first, so it may need a second try."""
        p.type("/ping")
        return p.shows("Ping response", 2)
    checks.check("pings the server", await step(until, pinged), p.screen())
    p.type("/close")
    p.type("/disconnect")
    gone = await hears(bob, lambda i: xmpp.local(i) == "presence" and i.get("type") == "unavailable"
                       and i.get("from").startswith(alice + "/") and not i.get("from").endswith("/phone"))
    checks.check("leaves, and the friend sees it", gone is not None)
    p.type("/quit")
    await step(until, lambda: "profanity" not in p.tmux("list-panes", "-a", "-F", "#{pane_current_command}").stdout)
    p.end()
    info = await bob.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", server.domain)
    for s in (bob, phone):
        s.end_stream()
    if info.find(".//*[@var='urn:xmpp:mam:2']") is None:
        checks.skip("a new installation shows the history (MAM)", "Profanity 0.13 looks for urn:xmpp:mam:2 on the domain "
                    "only, and this server has it where XEP-0313 §8 wants it, on the account")
        return

    shutil.rmtree(os.path.join(p.home, "data"), ignore_errors=True)      # it keeps a log of its own
    again = Terminal(p.home)
    try:
        await step(again.shows, "Profanity")
        await log_in(server, again, folder)

        def history():
            """It asks for it on opening the window, if it knows by then that the server has it."""
            again.type(f"/msg {bobs}")
            if again.shows("봉수가 왔습니다", 3):
                return True
            again.type("/close")
            return False
        checks.check("a new installation shows the history (MAM)", await step(until, history), again.screen())
    finally:
        again.end()


if __name__ == "__main__":
    sys.exit(main("profanity", missing, play))
