#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_go_sendxmpp.py: go-sendxmpp, a client for scripts, on Go's TLS and its own XMPP library."""
import os
import shutil
import subprocess
import sys

from checks import PASSWORD, main, until


def missing():
    return None if shutil.which("go-sendxmpp") else "the package go-sendxmpp is not installed"


def command(server, user, *more, port=None):
    return ["go-sendxmpp", "-u", f"{user}@{server.domain}", "-p", PASSWORD, "-j",
            f"127.0.0.1:{port or server.port}", *more]


def environment(server, ca=None):
    home = os.path.join(server.dir, "go-home")
    os.makedirs(home, exist_ok=True)
    return {**os.environ, "SSL_CERT_FILE": ca or server.ca, "SSL_CERT_DIR": "/nonexistent", "HOME": home,
            "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home}


def send(server, user, to, text, *more, port=None, ca=None):
    return subprocess.run(command(server, user, *more, f"{to}@{server.domain}", port=port), input=text, text=True,
                          capture_output=True, timeout=30, env=environment(server, ca))


def play(server, checks):
    out = os.path.join(server.dir, "go-listen")
    with open(out, "w") as f:
        listener = subprocess.Popen(command(server, "bob", "-l"), stdout=f, stderr=subprocess.STDOUT,
                                    stdin=subprocess.DEVNULL, env=environment(server))
    try:
        done = send(server, "alice", "bob", "hello from go\n")
        checks.check("logs in over STARTTLS with the certificate verified, and sends", done.returncode == 0,
                     done.stdout + done.stderr)
        checks.check("another instance listens and prints it", until(lambda: "hello from go" in open(out).read()),
                     open(out).read())
        done = send(server, "alice", "bob", "두 번째 줄\n<&>\n", "-t", port=server.tls_port)
        checks.check("sends over direct TLS", done.returncode == 0, done.stdout + done.stderr)
        checks.check("Korean and markup arrive as written",
                     until(lambda: "두 번째 줄" in open(out).read() and "<&>" in open(out).read()), open(out).read())
        done = send(server, "alice", "bob", "to a stranger", ca="/dev/null")
        checks.check("it refuses a certificate of an unknown authority", done.returncode != 0)
        wrong = subprocess.run(["go-sendxmpp", "-u", f"alice@{server.domain}", "-p", "wrong", "-j",
                                f"127.0.0.1:{server.port}", f"bob@{server.domain}"], input="x", text=True,
                               capture_output=True, timeout=30, env=environment(server))
        checks.check("a wrong password is told, not hung on", wrong.returncode != 0, wrong.stdout)
    finally:
        listener.terminate()
        listener.wait(10)
    done = send(server, "alice", "carol", "for later\n")
    checks.check("sends to one who is away", done.returncode == 0, done.stderr)
    with open(out, "w") as f:
        listener = subprocess.Popen(command(server, "carol", "-l"), stdout=f, stderr=subprocess.STDOUT,
                                    stdin=subprocess.DEVNULL, env=environment(server))
    try:
        checks.check("who finds it on coming back", until(lambda: "for later" in open(out).read()), open(out).read())
    finally:
        listener.terminate()
        listener.wait(10)


if __name__ == "__main__":
    sys.exit(main("go-sendxmpp", missing, play))
