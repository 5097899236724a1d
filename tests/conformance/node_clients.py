# SPDX-License-Identifier: AGPL-3.0-or-later
"""node_clients.py: plays node/conversation.js with a library for Node: what the with_*.py of each share."""
import json
import os
import re
import shutil
import subprocess

from checks import HERE, PASSWORD, main

FOLDER = os.path.join(HERE, "node")
PLAY_S = 240
ENDS = ("all leave", "the play came to its end")


def missing():
    if not shutil.which("node"):
        return "the package nodejs is not installed"
    if not os.path.isdir(os.path.join(FOLDER, "node_modules")):
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=FOLDER, capture_output=True, text=True, timeout=120)
        if done.returncode:
            return "npm ci failed: " + done.stderr.strip().split("\n")[-1]
    return None


def options(server):
    """The certificate names localhost, and the domain behind STARTTLS."""
    scheme = "wss" if server.websocket_tls else "ws"
    bosh = {"bosh": server.bosh_url("localhost")} if server.bosh_port else {}
    return {"domain": server.domain, "password": PASSWORD, "services": {
        **bosh,
        "websocket": f"{scheme}://localhost:{server.websocket_port}{server.websocket_path}",
        "starttls": f"xmpp://localhost:{server.port}", "tls": f"xmpps://localhost:{server.tls_port}"}}


def play(script, server, checks):
    """Each line that it prints is one of the checks here."""
    try:
        done = subprocess.run(["node", script, json.dumps(options(server))], cwd=FOLDER, text=True, timeout=PLAY_S, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env={**os.environ, "NODE_EXTRA_CA_CERTS": server.ca})
        text = done.stdout
    except subprocess.TimeoutExpired as e:
        text = (e.stdout or b"").decode(errors="replace") + f"\ntook more than {PLAY_S} s\n"
    lines = re.findall(rf"^(ok|FAIL) +{re.escape(checks.client)}: (.*(?:\n      .*)*)$", text, re.M)
    for word, what in lines:
        what, _, detail = what.partition("\n")
        checks.check(what, word == "ok", detail.strip())
    if not lines or lines[-1][1].partition("\n")[0] not in ENDS:
        checks.check("the play came to its end", False, text[-3000:])


def run(client, script, known=None):
    return main(client, missing, lambda server, checks: play(script, server, checks), known)
