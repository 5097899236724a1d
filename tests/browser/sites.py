#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""sites.py: three people use our app at three sites, and the site of one of them is cut off while they type: sites.py

The sites are the laboratory's (drill/lab.py): each a network of its own with all that deploy/site makes of one. Chromium runs in the
laboratory's network of people, opens each person's app at the address of their own site (HTTPS, WebSocket, service worker), and knows of
the other sites what that one tells it. The cut site is the one that has the primary; a cut is silent. What is counted is what people see
and what their own devices keep. Needs root, like the laboratory."""
import os
import sys
import tempfile

import app
from app import servers

sys.path.insert(0, os.path.join(servers.TOP, "drill"))
import lab as labs          # noqa: E402
import place as places      # noqa: E402

PEOPLE = ("alice", "bob", "carol", "dave")
HEAL_S = 90
NAMED = "https://{}.town.example"    # passkeys are bound to names: each site's page has one besides its address


def missing():
    """Why it cannot run here, or None."""
    return labs.missing() or servers.Bongsu.missing() or app.prepare()


def play(place):
    lab, lost = place.lab, place.primary()
    sites = [lost, *(s for s in place.sites if s != lost)]
    place.add_users(PEOPLE)
    urls = ",".join(f"https://{lab.places[s].address}/" for s in sites)
    keys = ",".join(app.spki(os.path.join(lab.made, s, "secrets/domain.pem")) for s in sites)
    names = ",".join(f"{NAMED.format(s)}/" for s in sites)
    rules = ",".join(f"MAP {NAMED.format(s).removeprefix('https://')} {lab.places[s].address}" for s in sites)
    can = {"cut": lambda: lab.cut(lost), "heal": lambda: lab.heal(lost), "healthy": lambda: lab.wait_healthy(HEAL_S),
           "part": lambda: lab.cut(labs.PEOPLE), "join": lambda: lab.heal(labs.PEOPLE)}
    return app.play(place.command(labs.PEOPLE, ["node", os.path.join(app.HERE, "app/sites.js"), urls, names, rules, keys]), can, lab.inside(labs.PEOPLE))


def main():
    why = missing()
    if why:
        print(f"skip  sites: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    pages = {"bongsu.ident.passkey_origins": ", ".join(NAMED.format(f"s{n}") for n in (1, 2, 3))}
    with tempfile.TemporaryDirectory(prefix="bongsu-sites-") as folder, places.Place(folder, 0.5, 1, servers.BONGSU, pages) as place:
        return play(place)


if __name__ == "__main__":
    sys.exit(main())
