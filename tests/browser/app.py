#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""app.py: our own app, built from web/, in headless Chromium against a real server."""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import server as servers    # noqa: E402

WEB = os.path.join(servers.TOP, "web")


def prepare():
    """Why it cannot run here, or None."""
    for program in ("chromium", "node", "npm"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if not os.path.isdir(os.path.join(HERE, "node_modules")):
        return "tests/browser/run.py fetches what it needs; it has not run yet"
    if not os.path.isdir(os.path.join(WEB, "node_modules")):
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=WEB, capture_output=True, text=True)
        if done.returncode:
            return "npm ci failed in web/: " + done.stderr.strip().split("\n")[-1]
    done = subprocess.run(["npm", "run", "build"], cwd=WEB, capture_output=True, text=True)
    return "the app could not be built: " + (done.stdout + done.stderr)[-500:] if done.returncode else None


def main():
    why = servers.Bongsu.missing() or prepare()
    if why:
        print(f"skip  app: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    server = servers.Bongsu(extra=f"web.files = {WEB}/dist\n")
    try:
        server.start()
        server.add_users({"alice": "pass-a", "bob": "pass-b"})
        return subprocess.run(["node", "app.js", f"https://localhost:{server.web_port}/", "alice", "pass-a", "bob", "pass-b"],
                              cwd=HERE, timeout=240).returncode
    finally:
        server.remove()


if __name__ == "__main__":
    sys.exit(main())
