#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""version.py: new versions of our app are put under a running server while people have the old one open: version.py

The first version is web/dist; the others are built from the same sources with other words, and other names for what is loaded late, so
that nothing of the first is left at the server. "half" is what a server hands out in the middle of a change: the second version's
worker and files, and the first one's page."""
import os
import shutil
import subprocess
import sys
import tempfile

import app
from app import WEB, servers

NAMES = {"second": "Settings II", "third": "Settings III"}


def build(folder, name):
    """That version, in folder/name/dist."""
    here = os.path.join(folder, name)
    shutil.copytree(WEB, here, ignore=shutil.ignore_patterns("node_modules", "dist"))
    os.symlink(os.path.join(WEB, "node_modules"), os.path.join(here, "node_modules"))
    for path, old, new in (("src/i18n/en.ts", '"Settings"', f'"{NAMES[name]}"'),
                           ("vite.config.ts", "output: {", f'output: {{ chunkFileNames: "assets/{name}-[name]-[hash].js",')):
        path = os.path.join(here, path)
        text = open(path).read()
        if old not in text:
            raise AssertionError(f"{path} has no {old}")
        with open(path, "w") as f:
            f.write(text.replace(old, new))
    for command in (["node_modules/.bin/vite", "build"], ["node", "tools/finish.js"]):
        done = subprocess.run(command, cwd=here, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"{name} could not be built: {(done.stdout + done.stderr)[-500:]}")


class Versions:
    def __init__(self, folder):
        self.folder, self.served = folder, os.path.join(folder, "served")
        for name in NAMES:
            build(folder, name)
        shutil.copytree(f"{WEB}/dist", self.served)

    def put(self, server, name):
        """In place of what is served, and taken up without a restart."""
        fresh = self.served + ".new"
        shutil.copytree(os.path.join(self.folder, name.replace("half", "second"), "dist"), fresh)
        if name == "half":
            for f in ("index.html", "index.html.br", "index.html.gz"):
                shutil.copy(f"{WEB}/dist/{f}", fresh)
        shutil.rmtree(self.served)
        os.rename(fresh, self.served)
        done = subprocess.run([servers.BONGSU, "reload", "--config", server.config], capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"reload: {done.stdout}{done.stderr}")


def main():
    why = servers.Bongsu.missing() or app.prepare()
    if why:
        print(f"skip  version: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    with tempfile.TemporaryDirectory(prefix="bongsu-versions-") as folder:
        versions = Versions(folder)
        with app.town(versions.served) as (server, url):
            puts = {name: lambda name=name: versions.put(server, name) for name in ("half", *NAMES)}
            return app.play(["node", "app/version.js", url], {**app.of(server), **puts})


if __name__ == "__main__":
    sys.exit(main())
