#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""app.py: our own app, built from web/, in headless Chromium against a real server: app.py [--pictures]

--pictures makes the screenshots in docs/app/ instead of running the tests."""
import asyncio
import base64
import contextlib
import hashlib
import http.server
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import server as servers    # noqa: E402
import xmpp                 # noqa: E402

WEB = os.path.join(servers.TOP, "web")
PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank", "gina", "root")


def changed_since_built():
    built = os.path.join(WEB, "dist/index.html")
    if not os.path.exists(built):
        return True
    sources = [os.path.join(folder, f) for top in ("src", "public", "tools") for folder, _, files in os.walk(os.path.join(WEB, top)) for f in files]
    sources += [os.path.join(WEB, f) for f in ("index.html", "package-lock.json", "vite.config.ts")]
    return max(map(os.path.getmtime, sources)) > os.path.getmtime(built)


def prepare():
    """Why it cannot run here, or None."""
    for program in ("chromium", "node", "npm"):
        if not shutil.which(program):
            return f"{program} is not installed"
    for folder in (HERE, WEB):
        if not os.path.isdir(os.path.join(folder, "node_modules")):
            done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True)
            if done.returncode:
                return f"npm ci failed in {folder}: " + done.stderr.strip().split("\n")[-1]
    if not changed_since_built():
        return None
    done = subprocess.run(["npm", "run", "build"], cwd=WEB, capture_output=True, text=True)
    return "the app could not be built: " + (done.stdout + done.stderr)[-500:] if done.returncode else None


def spki(certificate):
    """The hash of its public key, as Chromium wants to be told whom to trust."""
    key = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], check=True,
                         capture_output=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, check=True,
                         capture_output=True).stdout
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


async def command(server, node, form=""):
    """An administrator's (XEP-0133), with its form if it has one."""
    begin = f"<command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#{node}'"
    root = await xmpp.log_in(server, "root", "pass-root")
    answer = await root.ask("set", f"{begin}/>", to=server.domain)
    if form:
        answer = await root.ask("set", f"{begin} sessionid='{answer[0].get('sessionid')}'><x xmlns='jabber:x:data' type='submit'>{form}</x></command>", to=server.domain)
    root.send("</stream:stream>")
    if answer.get("type") != "result" or answer[0].get("status") != "completed":
        raise AssertionError(xmpp.show(answer))


def announce(server, words):
    """`words`: subject and text, with a line between."""
    subject, text = words.split("\n", 1)
    form = "".join(f"<field var='{k}'><value>{xmpp.escape(v)}</value></field>" for k, v in (("subject", subject), ("announcement", text)))
    asyncio.run(command(server, "announce", form))


def reports(server):
    """As whoever runs the server reads them."""
    return subprocess.run([servers.BONGSU, "reports", "--config", server.config], check=True, capture_output=True, text=True).stdout


def send(server, words):
    """`words`: somebody's name, and stanzas that they send by another client, with a line between."""
    name, stanzas = words.split("\n", 1)

    async def sent():
        client = await xmpp.log_in(server, name, f"pass-{name}", resource="other")
        client.send(stanzas)
        await client.ask("get", "<ping xmlns='urn:xmpp:ping'/>", to=server.domain)
        client.send("</stream:stream>")
    asyncio.run(sent())


def of(server):
    """What a script may ask to be done with a server."""
    return {"kill": lambda: server.process and server.kill9(), "start": lambda: server.process or server.start(),
            "send": lambda words: send(server, words), "announce": lambda words: announce(server, words), "reports": lambda: reports(server), "take-down": lambda: asyncio.run(command(server, "delete-motd"))}


def play(command, can, there=contextlib.nullcontext()):
    """Runs a script, and does for it what it asks for by name (and /words), in this thread: a server ends with the thread that started it. The
    script gets the address to ask at, which is `there`, after its other arguments."""
    wanted, done = queue.Queue(), queue.Queue()

    class Door(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            wanted.put(self.path[1:])
            status, body = done.get()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body, default=lambda _: None).encode())

        def log_message(self, *_):
            pass

    def obey(what):
        try:
            name, *words = what.split("/", 1)
            return 200, can[name](*map(urllib.parse.unquote, words))
        except Exception as e:
            print(f"      {what}: {e}", flush=True)
            return 500, None

    with there:
        door = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    node = subprocess.Popen([*command, f"http://127.0.0.1:{door.server_port}", *[a for a in sys.argv[1:] if not a.startswith("-")]], cwd=HERE)
    while node.poll() is None:
        try:
            done.put(obey(wanted.get(timeout=0.2)))
        except queue.Empty:
            pass
    return node.returncode


@contextlib.contextmanager
def town(files=f"{WEB}/dist", extra="", pushes=False):
    """A server with that app and people, and the app's address. `pushes`: also to a service on this machine with its certificate."""
    web, websocket = servers.free_ports(2)
    server = servers.Bongsu(extra=f"web.files = {files}\nweb.listen_local = 127.0.0.1:{web}\ntalk.listen_websocket_local = 127.0.0.1:{websocket}\n{extra}")
    if pushes:
        with open(server.config, "a") as f:
            f.write(f"courier.push_private = yes\ncourier.push_ca = {server.ca}\n")
    try:
        server.start()
        server.add_users({name: f"pass-{name}" for name in PEOPLE})
        server.make_admin("root")
        yield server, f"http://localhost:{web}/"
    finally:
        if os.environ.get("KEEP"):
            print(server.tail())
        server.remove()


def main():
    why = servers.Bongsu.missing() or prepare()
    if why:
        print(f"skip  app: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    pictures = "--pictures" in sys.argv
    with town(extra="web.demo = carol pass-carol\nident.passkey_rp = localhost\n") as (server, url):
        if pictures:
            return subprocess.run(["node", "app/pictures.js", url, os.path.join(servers.TOP, "docs/app")], cwd=HERE, timeout=300).returncode
        return play(["node", "app.js", url], of(server))


if __name__ == "__main__":
    sys.exit(main())
