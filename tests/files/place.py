# SPDX-License-Identifier: AGPL-3.0-or-later
"""place.py: what the trials of files need: a server, a person who asks for slots, and HTTP as bytes."""
import asyncio
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import Failure, check, play                                     # noqa: E402,F401

NS = "urn:xmpp:http:upload:0"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
PNG = b"\x89PNG\r\n\x1a\n"


class Bongsu(servers.Bongsu):
    fault = ""

    def environment(self):
        return {"BONGSU_FAULT": self.fault, "BONGSU_FAULT_ROLE": "web"} if self.fault else {}

    def run(self, *words):
        done = subprocess.run([servers.BONGSU, *words, "--config", self.config], text=True, capture_output=True, cwd=self.dir,
                              timeout=120)
        check(done.returncode == 0, f"bongsu {' '.join(words)} → {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def status(self):
        done = subprocess.run([servers.BONGSU, "status", "--json", "--config", self.config], text=True, capture_output=True)
        return json.loads(done.stdout) if done.stdout else {}

    def kill(self, role):
        os.kill(self.status()["roles"][role]["pid"], signal.SIGKILL)

    def wait_ready(self, seconds=20):
        until(lambda: all(r.get("ready") for r in self.status().get("roles", {"none": {}}).values()), "the roles are not ready", seconds)

    def blobs(self):
        return sorted(f for _, _, names in os.walk(os.path.join(self.dir, "data/files/blobs")) for f in names)

    def parts(self):
        return [f for d, _, names in os.walk(os.path.join(self.dir, "data/files")) if "/parts-" in d for f in names]

    def rss_kib(self, role="web"):
        pid = self.status()["roles"][role]["pid"]
        return int(open(f"/proc/{pid}/statm").read().split()[1]) * 4


def until(true, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        check(time.monotonic() < deadline, what)
        time.sleep(0.05)


class Slot:
    def __init__(self, url, get, headers):
        self.url, self.get, self.headers = url, get, headers
        self.path = urllib.parse.urlsplit(url).path
        self.port = urllib.parse.urlsplit(url).port
        self.auth = "".join(f"{k}: {v}\r\n" for k, v in headers)


class Refused(Exception):
    def __init__(self, error):
        super().__init__(xmpp.show(error))
        self.error = error


class Person:
    """Logged in, and asked from ordinary code."""

    def __init__(self, server, name, how="starttls", password="secret"):
        self.server, self.name = server, name
        self.loop = asyncio.new_event_loop()
        self.stream = self.loop.run_until_complete(xmpp.log_in(server, name, password, how=how))

    def ask(self, kind, payload, to):
        return self.loop.run_until_complete(self.stream.ask(kind, payload, to))

    def slot(self, name, size, kind=None):
        more = f" content-type='{kind}'" if kind else ""
        answer = self.ask("get", f"<request xmlns='{NS}' filename='{xmpp.escape(name)}' size='{size}'{more}/>", "upload." + self.server.domain)
        if answer.get("type") != "result":
            raise Refused(answer.find("{jabber:client}error"))
        put, get = answer.find(f"{{{NS}}}slot/{{{NS}}}put"), answer.find(f"{{{NS}}}slot/{{{NS}}}get")
        return Slot(put.get("url"), get.get("url"), [(h.get("name"), h.text) for h in put.findall(f"{{{NS}}}header")])

    def upload(self, data, name="a.bin", kind=None):
        slot = self.slot(name, len(data), kind)
        answer = put(self.server, slot, data, kind)
        check(answer.status == 201, f"PUT → {answer.status} {answer.body!r}")
        return slot

    def close(self):
        self.stream.link.abort()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


def sanitizers_are_silent(*everyone):
    """No sanitizer has anything to say, and no assertion failed"""
    for server in everyone:
        for line in open(server.log, errors="replace"):
            check(not any(word in line for word in ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion")), line.strip())


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


class Door:
    """One connection to web."""

    def __init__(self, server, seconds=30, buffer=None):
        raw = socket.socket()
        if buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        raw.settimeout(seconds)
        raw.connect(("127.0.0.1", server.web_port))
        self.socket = server.client_tls().wrap_socket(raw, server_hostname=server.domain) if server.web_tls else raw
        self.left = b""

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, method, path, headers="", body=b"", length=True):
        size = f"Content-Length: {len(body)}\r\n" if length and (body or method not in ("GET", "HEAD", "OPTIONS")) else ""
        self.send(f"{method} {path} HTTP/1.1\r\nHost: town.example\r\n{size}{headers}\r\n".encode() + body)
        return self.answer(method)

    def read(self):
        try:
            return self.socket.recv(262144)
        except (ConnectionResetError, ssl.SSLEOFError):
            return b""

    def head(self):
        while b"\r\n\r\n" not in self.left:
            more = self.read()
            if not more:
                raise Failure(f"the connection ended with {self.left[:200]!r}")
            self.left += more
        head, self.left = self.left.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        return int(lines[0].split()[1]), {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}

    def answer(self, method="GET"):
        status, headers = self.head()
        while status == 100:
            status, headers = self.head()
        size = 0 if method == "HEAD" or status in (204, 304) else int(headers.get("content-length", 0))
        parts, have = [self.left], len(self.left)
        while have < size:
            more = self.read()
            if not more:
                raise Failure(f"the body ended after {have} of {size} bytes")
            parts.append(more)
            have += len(more)
        whole = b"".join(parts)
        self.left = whole[size:]
        return Answer(status, headers, whole[:size])

    def close(self):
        self.socket.close()

    def drop(self):
        """Gone without a word."""
        self.socket.close()


def once(server, method, path, headers="", body=b"", **more):
    door = Door(server)
    try:
        return door.ask(method, path, headers, body, **more)
    finally:
        door.close()


def put(server, slot, data, kind=None, headers=""):
    return once(server, "PUT", slot.path, slot.auth + (f"Content-Type: {kind}\r\n" if kind else "") + headers, data)


def get(server, slot, headers="", method="GET"):
    return once(server, method, slot.path, headers)


def noise(size, seed=0):
    """The same bytes for the same seed."""
    block = hashlib.sha512(str(seed).encode()).digest() * 16
    return b"".join(hashlib.sha256(block + str(i).encode()).digest() for i in range((size + 31) // 32))[:size] if size < 100000 else \
        b"".join(hashlib.blake2b(block + str(i).encode()).digest() * 64 for i in range((size + 4095) // 4096))[:size]


def failing(trial, *arguments):
    try:
        trial(*arguments)
    except Refused as r:
        return r.error
    raise Failure("it was not refused")


def finish(passed, failed, skipped=0):
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0
