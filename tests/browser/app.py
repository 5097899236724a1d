#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""app.py: our own app, built from web/, in headless Chromium against a real server: app.py [--pictures]

--pictures makes the screenshots in docs/app/ instead of running the tests."""
import http.server
import os
import shutil
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import server as servers    # noqa: E402

WEB = os.path.join(servers.TOP, "web")
PEOPLE = ("alice", "bob", "carol", "dave")


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


def control(server):
    """A door through which the test kills the server and starts it again."""
    class Door(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                if self.path == "/kill" and server.process:
                    server.kill9()
                if self.path == "/start" and not server.process:
                    server.start()
                self.send_response(200)
            except Exception as e:
                print(f"      server: {e}", flush=True)
                self.send_response(500)
            self.end_headers()

        def log_message(self, *_):
            pass
    door = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{door.server_port}"


def main():
    why = servers.Bongsu.missing() or prepare()
    if why:
        print(f"skip  app: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    pictures = "--pictures" in sys.argv
    web, websocket = servers.free_ports(2)
    server = servers.Bongsu(extra=f"web.files = {WEB}/dist\nweb.listen_local = 127.0.0.1:{web}\n"
                                  f"talk.listen_websocket_local = 127.0.0.1:{websocket}\nweb.demo = carol pass-carol\n")
    try:
        server.start()
        server.add_users({name: f"pass-{name}" for name in PEOPLE})
        script = ["app/pictures.js", f"http://localhost:{web}/", os.path.join(servers.TOP, "docs/app")] if pictures else \
            ["app.js", f"http://localhost:{web}/", control(server), *[a for a in sys.argv[1:] if not a.startswith("-")]]
        return subprocess.run(["node", *script], cwd=HERE, timeout=900).returncode
    finally:
        if os.environ.get("KEEP"):
            print(server.tail())
        server.remove()


if __name__ == "__main__":
    sys.exit(main())
