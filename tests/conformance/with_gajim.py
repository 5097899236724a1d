#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_gajim.py: Gajim on a display that nobody sees, told what to do over its D-Bus interface."""
import asyncio
import ctypes
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import uuid

from checks import PASSWORD, main, until

import xmpp

ACCOUNT, SERVICE, PATH, INTERFACE = "here", "org.gajim.Gajim", "/org/gajim/dbus/RemoteObject", "org.gajim.dbus.RemoteInterface"
START_S, HEAR_S = 60, 20
BUS = """<busconfig><type>session</type><listen>unix:dir={folder}</listen><auth>EXTERNAL</auth><policy context="default">
<allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>"""       # for us too, who are another user
MUC, MAM, BOOKMARKS = "http://jabber.org/protocol/muc", "urn:xmpp:mam:2", "urn:xmpp:bookmarks:1"


def missing():
    for program, package in (("gajim", "gajim"), ("Xvfb", "xvfb"), ("dbus-daemon", "dbus")):
        if not shutil.which(program):
            return f"the package {package} is not installed"
    return None


class Settings:
    """Gajim's own database of settings, as its first start would have left it once the account was typed in."""
    version = 5
    app = {"remote_control": True, "use_keyring": False, "check_for_update": False, "sounds_on": False, "show_notifications": False}

    @classmethod
    def write(cls, folder, server, user):
        account = {"name": user, "hostname": server.domain, "password": PASSWORD, "savepass": True, "active": True, "autoconnect": True,
                   "use_custom_host": True, "custom_host": "127.0.0.1", "custom_port": server.port, "custom_type": "START TLS",
                   "account_label": ACCOUNT, "resource": "gajim"}
        workspace = {str(uuid.uuid4()): {"name": "My Workspace", "color": "", "avatar_sha": "", "chats": []}}
        db = sqlite3.connect(os.path.join(folder, "settings.sqlite"))
        db.executescript(f"CREATE TABLE settings(name TEXT UNIQUE, settings TEXT); "
                         f"CREATE TABLE account_settings(account TEXT UNIQUE, settings TEXT); PRAGMA user_version={cls.version};")
        for name, value in {"app": cls.app, "soundevents": {}, "status_presets": {}, "proxies": {}, "plugins": {},
                            "workspaces": workspace}.items():
            db.execute("INSERT INTO settings VALUES(?, ?)", (name, json.dumps(value)))
        db.execute("INSERT INTO account_settings VALUES(?, ?)",
                   (ACCOUNT, json.dumps({"account": account, "contact": {}, "group_chat": {}})))
        db.commit()
        db.close()


def stranger():
    """Whom it runs as: it refuses to be root's."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def die_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG


def give(folder):
    """The folder and what is in it, to whom it runs as."""
    for path in [folder] + [os.path.join(at, name) for at, folders, files in os.walk(folder) for name in folders + files]:
        if stranger():
            shutil.chown(path, stranger()["user"], stranger()["group"])


class Gajim:
    """Its display, its bus and its home are its own; nothing of the user's is touched."""

    def __init__(self, server, user):
        self.home = tempfile.mkdtemp(prefix="bongsu-test-gajim-")
        self.processes = []
        config = os.path.join(self.home, "config")
        for name in ("config/cert_store", "run"):
            os.makedirs(os.path.join(self.home, name), mode=0o700)
        Settings.write(config, server, user)
        shutil.copy(server.crt, os.path.join(config, "cert_store/town"))      # as when somebody has looked at it and said yes
        with open(os.path.join(self.home, "bus.conf"), "w") as f:
            f.write(BUS.format(folder=os.path.join(self.home, "run")))
        give(self.home)
        self.log_path = os.path.join(self.home, "log")
        self.log = open(self.log_path, "ab")
        self.environment = {**os.environ, "HOME": self.home, "XDG_RUNTIME_DIR": os.path.join(self.home, "run"), "LC_ALL": "C.UTF-8",
                            "GSETTINGS_BACKEND": "memory", "NO_AT_BRIDGE": "1", "GDK_BACKEND": "x11", "LIBGL_ALWAYS_SOFTWARE": "1",
                            "GIO_USE_NETWORK_MONITOR": "base"}      # it would not connect where there is no way into the world
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"):
            self.environment.pop(name, None)
        self.loop = None

    def begin(self):
        read, write = os.pipe()
        self.run("Xvfb", "-displayfd", str(write), "-screen", "0", "1024x768x24", "-nolisten", "tcp", pass_fds=(write,))
        os.close(write)
        self.environment["DISPLAY"] = ":" + os.fdopen(read).readline().strip()
        bus = self.run("dbus-daemon", "--config-file", os.path.join(self.home, "bus.conf"), "--nofork", "--print-address", stdout=subprocess.PIPE, text=True)
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        self.listen()
        self.run("gajim", "--config-path", os.path.join(self.home, "config"))

    def run(self, *command, **options):
        process = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stderr=self.log, start_new_session=True,
                                   preexec_fn=die_with_us, **{"stdout": self.log, **stranger(), **options})
        self.processes.append(process)
        return process

    def listen(self):
        """Signals come on a thread; `signals` is what they said: (name, what, …)."""
        from gi.repository import Gio, GLib
        self.signals, self.glib = [], GLib
        flags = Gio.DBusConnectionFlags
        self.bus = Gio.DBusConnection.new_for_address_sync(self.environment["DBUS_SESSION_BUS_ADDRESS"],
                                                           flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)
        self.bus.signal_subscribe(None, INTERFACE, None, PATH, None, Gio.DBusSignalFlags.NONE,
                                  lambda c, sender, path, interface, name, said: self.signals.append((name, said.unpack())))
        self.loop = GLib.MainLoop()
        threading.Thread(target=self.loop.run, daemon=True).start()

    def tell(self, method, *words):
        """What it answers; None: it does not yet."""
        from gi.repository import Gio
        arguments = self.glib.Variant("(" + "s" * len(words) + ")", words)
        try:
            answer = self.bus.call_sync(SERVICE, PATH, INTERFACE, method, arguments, None, Gio.DBusCallFlags.NONE, 10000, None)
            return answer.unpack()[0]
        except self.glib.Error:
            return None

    def online(self):
        return self.tell("get_status", ACCOUNT) == "online"

    def lives(self):
        return all(process.poll() is None for process in self.processes)

    def heard(self, signal_name, text):
        return any(name == signal_name and text in str(said) for name, said in self.signals)

    def tail(self):
        return open(self.log_path, errors="replace").read()[-3000:]

    def end(self):
        for process in reversed(self.processes):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        if self.loop:
            self.loop.quit()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)


async def step(true, seconds=HEAR_S):
    return await asyncio.get_running_loop().run_in_executor(None, until, true, seconds)


async def archived(stream, to=None):
    """The bodies of its archive."""
    await stream.ask("set", f"<query xmlns='{MAM}'/>", to)
    found = []
    while stream.items:
        item = await stream.take()
        message = item.find(f".//{{{MAM}}}result//{{jabber:client}}message")
        if message is not None:
            found.append(message.findtext("{jabber:client}body"))
    return found


async def befriended(server):
    """Bob, and alice's telephone, who know each other."""
    bob, phone = [await xmpp.log_in(server, name, PASSWORD, "phone") for name in ("bob", "alice")]
    for stream in (bob, phone):
        await stream.ask("get", "<query xmlns='jabber:iq:roster'/>")
        stream.send("<presence/>")
    for one, other in (("bob", phone), ("alice", bob)):
        other.send(f"<presence type='subscribe' to='{one}@{server.domain}'/>")
    for stream, other in ((bob, "alice"), (phone, "bob")):
        await stream.take_where(lambda i: i.get("type") == "subscribe", HEAR_S)
        stream.send(f"<presence type='subscribed' to='{other}@{server.domain}'/>")
    return bob, phone


def body_is(text):
    return lambda i: i.findtext("{jabber:client}body") == text


async def one_to_one(server, checks, gajim, bob):
    bobs, alice = f"bob@{server.domain}", f"alice@{server.domain}"
    contacts = await step(lambda: gajim.tell("list_contacts", ACCOUNT))
    checks.check("shows the contact", contacts and [c["jid"] for c in contacts] == [bobs], f"{contacts}")
    online = await step(lambda: [c["show"] for c in gajim.tell("list_contacts", ACCOUNT) or []] == ["online"])
    checks.check("and that they are there", online, f"{gajim.tell('list_contacts', ACCOUNT)}")
    checks.check("writes", gajim.tell("send_chat_message", bobs, "창에서 안녕", ACCOUNT))
    got = await bob.take_where(body_is("창에서 안녕"), HEAR_S)
    checks.check("which arrives", got is not None and got.get("from") == f"{alice}/gajim")
    bob.send(f"<message to='{alice}' type='chat' id='{uuid.uuid4()}'><body>봉수가 왔습니다</body></message>")
    checks.check("and reads the answer", await step(lambda: gajim.heard("NewMessage", "봉수가 왔습니다")), f"{gajim.signals}")


async def in_a_group(server, checks, gajim, bob, phone):
    """Bob makes it; alice's telephone marks it as one to be in; so Gajim goes there."""
    room = f"cave@rooms.{server.domain}"
    bob.send(f"<presence to='{room}/bob'><x xmlns='{MUC}'/></presence>")
    await bob.take_where(lambda i: i.get("from") == f"{room}/bob" and xmpp.local(i) == "presence", HEAR_S)
    await bob.ask("set", f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>", room)
    await phone.ask("set", "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
                    f"<publish node='{BOOKMARKS}'><item id='{room}'><conference xmlns='{BOOKMARKS}' name='cave' autojoin='true'>"
                    "<nick>ann</nick></conference></item></publish></pubsub>")
    came = await bob.take_where(lambda i: i.get("from") == f"{room}/ann" and xmpp.local(i) == "presence" and not i.get("type"), HEAR_S)
    checks.check("goes into a group that is bookmarked elsewhere", came is not None, gajim.tail())
    said = await step(lambda: gajim.tell("send_groupchat_message", room, "모두 안녕", ACCOUNT))
    got = await bob.take_where(body_is("모두 안녕"), HEAR_S)
    checks.check("says something there", said and got is not None and got.get("from") == f"{room}/ann", gajim.tail())
    bob.send(f"<message to='{room}' type='groupchat' id='{uuid.uuid4()}'><body>듣고 있어요</body></message>")
    checks.check("and hears the answer", await step(lambda: gajim.heard("GCMessage", "듣고 있어요")), f"{gajim.signals}")
    bodies = [b for b in await archived(bob, room) if b]
    checks.check("the group's archive has both", bodies == ["모두 안녕", "듣고 있어요"], f"{bodies}")


async def conversation(server, checks):
    bob, phone = await befriended(server)
    gajim = Gajim(server, "alice")
    try:
        await asyncio.get_running_loop().run_in_executor(None, gajim.begin)
        online = await step(lambda: not gajim.lives() or gajim.online(), START_S) and gajim.lives()
        if not checks.check("logs in over STARTTLS", online, gajim.tail()):
            return
        there = await bob.take_where(lambda i: i.get("from") == f"alice@{server.domain}/gajim" and not i.get("type"), HEAR_S)
        checks.check("and the friend sees it", there is not None, gajim.tail())
        await one_to_one(server, checks, gajim, bob)
        bodies = [b for b in await archived(phone) if b]
        checks.check("the archive has both", bodies == ["창에서 안녕", "봉수가 왔습니다"], f"{bodies}")
        await in_a_group(server, checks, gajim, bob, phone)
        gajim.tell("change_status", "offline", "", ACCOUNT)
        gone = await bob.take_where(lambda i: i.get("type") == "unavailable" and i.get("from") == f"alice@{server.domain}/gajim", HEAR_S)
        checks.check("leaves, and the friend sees it", gone is not None, gajim.tail())
    finally:
        gajim.end()


def play(server, checks):
    asyncio.run(conversation(server, checks))


if __name__ == "__main__":
    sys.exit(main("gajim", missing, play))
