#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""passkeys.py: passkeys over HTTP (docs/passkeys.md) with an authenticator of a few lines, and the operator's command."""
import asyncio
import base64
import hashlib
import http.client
import json
import os
import signal
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import check, play                                              # noqa: E402

NS = "urn:bongsu:passkeys:0"
UP, UV, AT = 1, 4, 0x40


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# ---- an authenticator (WebAuthn §6), and the browser in front of it ----

def text(s):
    return bytes([0x60 + len(s)]) + s.encode()


def octets(b):
    return (bytes([0x58, len(b)]) if len(b) < 256 else b"\x59" + struct.pack(">H", len(b))) + b


class Key:
    """One P-256 key in a file; openssl signs."""

    def __init__(self, folder, name):
        self.path, self.id, self.handle, self.counter = os.path.join(folder, name), os.urandom(32), b"", 0
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path], check=True, capture_output=True)
        public = subprocess.run(["openssl", "ec", "-in", self.path, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        self.x, self.y = public[-64:-32], public[-32:]

    def data(self, rp, more=b""):
        self.counter += 1
        flags = UP | UV | (AT if more else 0)
        return hashlib.sha256(rp.encode()).digest() + bytes([flags]) + struct.pack(">I", self.counter) + more

    def create(self, options, origin):
        cose = b"\xa5\x01\x02\x03\x26\x20\x01\x21" + octets(self.x) + b"\x22" + octets(self.y)
        data = self.data(options["rp"]["id"], bytes(16) + struct.pack(">H", len(self.id)) + self.id + cose)
        self.handle = unb64url(options["user"]["id"])
        said = b"\xa3" + text("fmt") + text("none") + text("attStmt") + b"\xa0" + text("authData") + octets(data)
        return self.credential(attestationObject=said, clientDataJSON=client_data("webauthn.create", options, origin))

    def get(self, options, origin):
        data, client = self.data(options["rpId"]), client_data("webauthn.get", options, origin)
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.path], input=data + hashlib.sha256(client).digest(), check=True,
                                capture_output=True).stdout
        return self.credential(authenticatorData=data, clientDataJSON=client, signature=signed, userHandle=self.handle)

    def credential(self, **response):
        return {"id": b64url(self.id), "rawId": b64url(self.id), "type": "public-key", "response": {k: b64url(v) for k, v in response.items()}}


def client_data(kind, options, origin):
    return json.dumps({"type": kind, "challenge": options["challenge"], "origin": origin, "crossOrigin": False}).encode()


# ---- a page ----

def once(s, method, path, body=None, ticket=None, kind="application/json"):
    """Status, headers and what the JSON says."""
    door = http.client.HTTPSConnection("localhost", s.web_port, context=s.client_tls(), timeout=20)
    headers = ({"Authorization": f"Bearer {ticket}"} if ticket else {}) | ({"Content-Type": kind} if body is not None and kind else {})
    door.request(method, path, body if isinstance(body, (bytes, type(None))) else json.dumps(body), headers)
    answer = door.getresponse()
    said = answer.read()
    door.close()
    return answer.status, answer.headers, json.loads(said) if said.startswith(b"{") else said


def ticket(s, name):
    async def ask():
        stream = await xmpp.log_in(s, name, "secret")
        answer = await stream.ask("get", f"<ticket xmlns='{NS}'/>", s.domain)
        stream.end_stream()
        return answer.find(f"{{{NS}}}ticket").text
    return asyncio.run(ask())


def origin(s):
    return f"https://{s.domain}:{s.web_port}"


def add(s, key, name, label):
    t = ticket(s, name)
    status, _, said = once(s, "POST", "/passkeys/options", None, t)
    check(status == 200, f"options {status} {said}")
    return once(s, "POST", "/passkeys", {"name": label, "credential": key.create(said["publicKey"], origin(s))}, t)


def proof(s, key):
    status, _, said = once(s, "POST", "/passkeys/login/options")
    check(status == 200, f"options {status} {said}")
    return {"agent": "phone", "mechanism": "HT-SHA-256-NONE", "credential": key.get(said["publicKey"], origin(s))}


def run(s, *words, fails=False):
    done = subprocess.run([servers.BONGSU, *words, "--config", s.config], text=True, capture_output=True, timeout=120)
    check((done.returncode != 0) == fails, f"bongsu {' '.join(words)} → {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


# ---- the promises ----

def the_whole_way(s):
    """a passkey is added with a ticket, listed, opens the account, is renamed and removed"""
    status, _, said = add(s, s.key, "alice", "My phone")
    check(status == 201, f"{status} {said}")
    t = ticket(s, "alice")
    status, headers, said = once(s, "GET", "/passkeys", None, t)
    check(status == 200 and said["password"] and headers["Cache-Control"] == "no-store", f"{status} {said}")
    check([(k["id"], k["name"], k["used"]) for k in said["passkeys"]] == [(b64url(s.key.id), "My phone", None)], f"{said}")
    status, _, said = once(s, "POST", "/passkeys/login", proof(s, s.key))
    check(status == 200 and said["name"] == "alice" and said["domain"] == s.domain and len(said["token"]) == 43 and said["expiry"].endswith("Z"), f"{status}")
    check(once(s, "PATCH", f"/passkeys/{b64url(s.key.id)}", {"name": "할머니 열쇠"}, t)[0] == 204, "rename")
    said = once(s, "GET", "/passkeys", None, t)[2]
    check(said["passkeys"][0]["name"] == "할머니 열쇠" and said["passkeys"][0]["used"], f"{said}")
    check(add(s, s.key, "alice", "again")[0] == 409, "the same one twice")
    check(once(s, "DELETE", f"/passkeys/{b64url(s.key.id)}", None, t)[0] == 204, "remove")
    check(once(s, "DELETE", f"/passkeys/{b64url(s.key.id)}", None, t)[0] == 404, "remove again")
    check(once(s, "POST", "/passkeys/login", proof(s, s.key))[0] == 401, "removed, and it opens")


def bad_requests_are_told(s):
    """what is malformed, unknown or not allowed gets its status, and nothing is said to other sites' pages"""
    t, good = ticket(s, "bob"), proof(s, s.key)
    for status, method, path, body, shown in (
            (401, "GET", "/passkeys", None, None), (401, "GET", "/passkeys", None, "x"), (401, "GET", "/passkeys", None, "x" * 3000),
            (401, "GET", "/passkeys", None, t[:-8] + "AAAAAAAA"), (401, "POST", "/passkeys/options", None, None),
            (405, "PUT", "/passkeys", {}, t), (405, "GET", "/passkeys/login", None, t), (405, "GET", "/passkeys/AAAA", None, t),
            (404, "GET", "/passkeys/a%20b", None, t), (404, "GET", "/passkeysx", None, t), (404, "DELETE", "/passkeys/AAAA", None, t),
            (400, "POST", "/passkeys/login", b"[", None), (400, "POST", "/passkeys/login", b"", None), (400, "POST", "/passkeys/login", {}, None),
            (400, "POST", "/passkeys/login", good | {"mechanism": "PLAIN"}, None), (400, "POST", "/passkeys/login", good | {"agent": ""}, None),
            (400, "POST", "/passkeys/login", good | {"credential": []}, None), (400, "POST", "/passkeys", {"name": "x" * 200}, t),
            (400, "PATCH", "/passkeys/AAAA", {"name": " "}, t), (401, "POST", "/passkeys/login", good, None)):
        got, headers, said = once(s, method, path, body, shown)
        check(got == status or (path == "/passkeysx" and got == 404), f"{method} {path} {str(body)[:60]} → {got}, not {status}: {said}")
        check("Access-Control-Allow-Origin" not in headers, "other sites' pages may read this")
    check(once(s, "POST", "/passkeys/login", good, kind="text/plain")[0] == 400, "a form of another site could send this")
    check(once(s, "POST", "/passkeys/login", b"x" * 70000)[0] in (400, 429), "too long")


def a_challenge_outlives_ident(s):
    """ident is killed between the challenge and the proof; afterwards the proof is good, once"""
    check(add(s, s.key, "alice", "My phone")[0] == 201, "add")
    waiting = proof(s, s.key)
    status = subprocess.run([servers.BONGSU, "status", "--json", "--config", s.config], text=True, capture_output=True, timeout=60)
    os.kill(json.loads(status.stdout)["roles"]["ident"]["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (got := once(s, "POST", "/passkeys/login", waiting)[0]) in (503, 504):
        check(time.monotonic() < deadline, f"ident does not come back: {got}")
        time.sleep(0.1)
    check(got == 200, f"{got}")
    check(once(s, "POST", "/passkeys/login", waiting)[0] == 401, "twice")


def operators_see_and_clear(s):
    """bongsu user passkeys lists and clears, with and without a running server"""
    check("My phone\tmade 20" in run(s, "user", "passkeys", "alice"), "running")
    check("no such account" in run(s, "user", "passkeys", "nobody", fails=True), "nobody")
    s.stop()
    check("My phone\tmade 20" in run(s, "user", "passkeys", "alice"), "stopped")
    s.start()
    check("no passkeys any more" in run(s, "user", "passkeys", "alice", "--clear"), "clear")
    check(run(s, "user", "passkeys", "alice") == "", "cleared")
    check(once(s, "POST", "/passkeys/login", proof(s, s.key))[0] == 401, "cleared, and it opens")
    check(add(s, s.key, "alice", "New")[0] == 201, "add again")
    s.stop()
    run(s, "user", "passkeys", "alice", "--clear")
    check(run(s, "user", "passkeys", "alice") == "", "cleared while stopped")
    s.start()


def a_password_goes_and_comes_back(s):
    """the password is removed only where a passkey stays; then it opens nothing, the passkey and open sessions do, and a new one is set"""
    t = ticket(s, "alice")
    check(once(s, "DELETE", "/passkeys/password", None, t)[0] == 403, "the last way in")
    check(once(s, "DELETE", "/passkeys/password")[0] == 401, "without a ticket")
    check(add(s, s.key, "alice", "My phone")[0] == 201, "add")

    async def go():
        open_one = await xmpp.log_in(s, "alice", "secret")
        check(once(s, "DELETE", "/passkeys/password", None, t)[0] == 204, "remove")
        said = once(s, "GET", "/passkeys", None, t)[2]
        check(not said["password"] and len(said["passkeys"]) == 1, f"{said}")
        check(once(s, "DELETE", f"/passkeys/{b64url(s.key.id)}", None, t)[0] == 403, "the last way in, the other way round")
        check(once(s, "POST", "/passkeys/login", proof(s, s.key))[0] == 200, "the passkey")
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"):
            try:
                await xmpp.log_in(s, "alice", "secret", mechanism=mechanism)
            except xmpp.XMPPError:
                continue
            check(False, f"the old password opens it, by {mechanism}")
        set_again = "<query xmlns='jabber:iq:register'><username>alice</username><password>another</password></query>"
        check((await open_one.ask("set", set_again, s.domain)).get("type") == "result", "a new password")
        open_one.end_stream()
        (await xmpp.log_in(s, "alice", "another")).end_stream()
    asyncio.run(go())
    check(once(s, "GET", "/passkeys", None, t)[2]["password"], "the new one is not told")
    run(s, "user", "passkeys", "alice", "--clear")


def deletion_takes_them_along(s):
    """deleting the account leaves no passkey, and proves it"""
    check(add(s, s.key, "bob", "Bob's")[0] == 201, "add")
    said = run(s, "user", "delete", "bob", "--prove")
    check("ident.passkey           0\n" in said, said)
    check(once(s, "POST", "/passkeys/login", proof(s, s.key))[0] == 401, "deleted, and it opens")


TRIALS = [the_whole_way, bad_requests_are_told, a_challenge_outlives_ident, operators_see_and_clear, a_password_goes_and_comes_back, deletion_takes_them_along]


def main():
    why = servers.Bongsu.missing()
    if why:
        print(f"skip  passkeys: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    s = servers.Bongsu(extra="")
    try:
        s.start()
        s.add_users({"alice": "secret", "bob": "secret"})
        s.key = Key(s.dir, "passkey.pem")
        failed = play(TRIALS, s)
        if failed and os.environ.get("LOG"):
            print(s.tail())
    finally:
        s.stop()
        s.remove()
    print(f"{len(TRIALS) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
