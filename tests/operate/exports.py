#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""exports.py: makes exports/prosody and exports/ejabberd anew, with what Debian's Prosody and ejabberd write of the same three people."""
import asyncio
import glob
import json
import os
import subprocess
import sys
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import own                                                                  # noqa: E402
from own import servers, xmpp                                               # noqa: E402,F401

NICK = ("<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='http://jabber.org/protocol/nick'><item id='current'>"
        "<nick xmlns='http://jabber.org/protocol/nick'>Al</nick></item></publish></pubsub>")
PEOPLE = {"alice": "one", "bob": "two", "carol": "three"}
MESSAGES = 5

MIGRATOR = """
local stores = {{ "accounts", "roster", "vcard", "private", "archive-archive", "pep-pubsub" }}
input {{ hosts = {{ ["{domain}"] = stores }}; type = "internal"; path = "{dir}/data"; }}
output {{ type = "xep0227"; path = "{out}"; }}
"""


def fill(server):
    server.add_users(PEOPLE)
    server.start()
    own.FILL += (NICK,)
    try:
        asyncio.run(own.fill(server, MESSAGES))
    finally:
        own.FILL = own.FILL[:-1]


def prosody(out):
    """prosody-migrator writes where the package says, whatever its settings say: so a copy of it that was told otherwise."""
    servers.PROSODY_CONFIG = servers.PROSODY_CONFIG.replace('storage = {{ archive = "memory", offline = "internal" }}', "")
    server = servers.make("prosody")
    try:
        fill(server)
        server.process.terminate()
        server.process.wait(20)
        script = server.write("migrator", open("/usr/bin/prosody-migrator").read().replace("/var/lib/prosody", out))
        config = server.write("migrator.cfg.lua", MIGRATOR.format(domain=server.domain, dir=server.dir, out=out))
        subprocess.run(["chmod", "-R", "a+rX", server.dir], check=True)
        os.chmod(out, 0o777)
        subprocess.run(["lua5.4", script, f"--config={config}", "input", "output"], cwd=server.dir, check=True, capture_output=True)
        os.chmod(out, 0o755)
    finally:
        server.stop()


def ejabberd(out):
    """ejabberdctl export_piefxis, over its HTTP interface"""
    server = servers.make("ejabberd")
    try:
        fill(server)
        request = urllib.request.Request(f"http://127.0.0.1:{server.websocket_port}/api/export_piefxis", json.dumps({"dir": out}).encode(),
                                         {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=60).read()
    finally:
        server.stop()


def main():
    for make in (prosody, ejabberd):
        out = os.path.join(HERE, "exports", make.__name__)
        os.makedirs(out, exist_ok=True)
        for old in glob.glob(f"{out}/*"):
            os.unlink(old)
        make(out)
        for name in glob.glob(f"{out}/2*.xml"):         # ejabberd's names tell the time
            text = open(name).read().replace(os.path.basename(max(glob.glob(f"{out}/2*_*.xml"), default=name)), "town_example.xml")
            open(os.path.join(out, "town_example.xml" if "_" in os.path.basename(name) else "all.xml"), "w").write(text)
        for name in glob.glob(f"{out}/2*.xml"):
            os.unlink(name)
        print(out, sorted(os.listdir(out)))


if __name__ == "__main__":
    main()
