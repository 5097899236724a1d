#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""archive.py: a new device gets a long chat from a real server's archive, back to the very first message: archive.py [--messages N]

The server has the messages by `bongsu import`. Run by hand: how long it takes is the machine's. tests/run has the same bounds with the messages
in the device's store already (app/history.js)."""
import argparse
import datetime
import os
import subprocess
import sys

import app
from app import servers

NAME = "elder"
FIRST = datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc)     # and then one a minute
PHOTO = ("<file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline'><file xmlns='urn:xmpp:file:metadata:0'><name>p{0}.png</name><media-type>image/png</media-type>"
         "<size>1000</size><width>90</width><height>60</height></file><sources><url-data xmlns='http://jabber.org/protocol/url-data'"
         " target='https://elsewhere.example/p.png'/></sources></file-sharing>")


def message(n):
    """As the archive has it; every fortieth with a photo."""
    at = (FIRST + datetime.timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = f"line {n} {'word ' * (n % 17)}".strip()
    return (f"<result xmlns='urn:xmpp:mam:2' id='a{n}'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='{at}'/>"
            f"<message xmlns='jabber:client' type='chat' from='old@town.example/x' to='{NAME}@town.example' id='o{n}'><body>{body}</body>"
            f"{'' if n % 40 else PHOTO.format(n)}</message></forwarded></result>\n")


def bring_elder(server, many):
    """An account with such a history, as another server would export it (XEP-0227)."""
    path = os.path.join(server.dir, "elder.xml")
    with open(path, "w") as f:
        f.write(f"<server-data xmlns='urn:xmpp:pie:0'><host jid='town.example'><user name='{NAME}' password='pass-{NAME}'><archive xmlns='urn:xmpp:pie:0#mam'>\n")
        f.writelines(map(message, range(many)))
        f.write("</archive></user></host></server-data>\n")
    server.stop()
    subprocess.run([servers.BONGSU, "import", path, "--config", server.config], check=True, capture_output=True)
    os.unlink(path)
    server.start()


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--messages", type=int, default=20000, metavar="N", help="3,000 and more; 20,000 if not told")
    many = options.parse_args().messages
    if many < 3000:
        options.error("--messages: 3,000 and more")
    why = servers.Bongsu.missing() or app.prepare()
    if why:
        print(f"skip  archive: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    with app.town() as (server, url):
        bring_elder(server, many)
        return subprocess.run(["node", "app/archive.js", url, str(many)], cwd=app.HERE).returncode


if __name__ == "__main__":
    sys.exit(main())
