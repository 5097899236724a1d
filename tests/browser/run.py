#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""run.py: Converse.js in headless Chromium against a server: run.py [--server NAME]

Needs chromium and node; fetches what package-lock.json names with `npm ci` when node_modules is not there."""
import argparse
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

from app import spki                                                        # noqa: E402
import server as servers    # noqa: E402

PASSWORD = "correct horse"


def skip(why):
    print(f"skip  converse: all: {why}\n0 passed, 0 failed, 1 skipped")
    return 77


def run_in(folder, *command, seconds=300):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds)


def prepare():
    """The page, built. Why not, or None."""
    for program in ("chromium", "node", "npm"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if not os.path.isdir(os.path.join(HERE, "node_modules")):
        done = run_in(HERE, "npm", "ci", "--no-audit", "--no-fund")
        if done.returncode:
            return "npm ci failed: " + done.stderr.strip().split("\n")[-1]
    done = run_in(HERE, "npx", "--no-install", "vite", "build")
    if done.returncode:
        return "the page could not be built: " + done.stderr[-500:]
    shutil.copy(os.path.join(HERE, "node_modules/@converse/headless/dist/emoji.json"), os.path.join(HERE, "dist"))
    return None


def serve(folder):
    """The page on a port of localhost, which browsers count as a secure place."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    return httpd


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--server", default="bongsu", choices=sorted(servers.SERVERS))
    options = p.parse_args()
    why = servers.SERVERS[options.server].missing() or prepare()
    if why:
        return skip(why)
    server = servers.make(options.server)
    server.add_users({n: PASSWORD for n in ("alice", "bob", "carol")})
    httpd = serve(os.path.join(HERE, "dist"))
    with server:
        scheme = "wss" if server.websocket_tls else "ws"
        rules = f"MAP {server.domain}:443 127.0.0.1:{server.web_port}, MAP {server.domain} 127.0.0.1"
        config = {"domain": server.domain, "password": PASSWORD, "chromium": shutil.which("chromium"),
                  "websocket": f"{scheme}://{server.domain}:{server.websocket_port}{server.websocket_path}",
                  "page": f"http://localhost:{httpd.server_port}/", "rules": rules, "spki": spki(server.crt),
                  "hostMeta": server.web_tls}
        try:
            out = run_in(HERE, "node", "drive.js", json.dumps(config), seconds=240)
            text = out.stdout + out.stderr
        except subprocess.TimeoutExpired as e:
            text = (e.stdout or b"").decode(errors="replace") + "FAIL  converse: took more than 240 s\n"
    print(text, end="")
    counts = [len(re.findall(f"(?m)^{word} +converse:", text)) for word in ("ok", "FAIL", "skip")]
    if not sum(counts):
        counts[1] = 1
    print(f"{counts[0]} passed, {counts[1]} failed, {counts[2]} skipped")
    return 1 if counts[1] else 0


if __name__ == "__main__":
    sys.exit(main())
