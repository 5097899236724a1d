# SPDX-License-Identifier: AGPL-3.0-or-later
"""service.py: a push service (RFC 8030) and browsers subscribed to it, for tests.

    service = Service(crt, key)         # https on a port of 127.0.0.1, in a thread
    browser = service.browser()         # a subscription: endpoint, p256dh, auth
    browser.answers = [503, (429, {"Retry-After": "2"}), 201]       # one after the other; the last one stays
    browser.wait(1)                     # until it has had one notification; browser.got has them

What arrives is decrypted; whatever is wrong with a request is in `service.faults`.
"""
import base64
import http.server
import json
import os
import ssl
import threading
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def hkdf(salt, secret, info, length):
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def point(key):
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


class Browser:
    def __init__(self, service, number):
        self.service, self.name = service, f"b{number}"
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.auth = os.urandom(16)
        self.endpoint = f"https://localhost:{service.port}/push/{self.name}"
        self.answers = [201]
        self.delay_s = 0
        self.got = []               # dicts: at, headers, payload; those that were answered with 2xx
        self.asked = []             # the same, of every request
        self.changed = threading.Condition()

    @property
    def p256dh(self):
        return b64(point(self.private))

    def open(self, body):
        """RFC 8291 §3.4 and RFC 8188 §2, by the letter."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, text = body[21:21 + length], body[21 + length:]
        assert length == 65 and len(text) <= size, "the header"
        shared = self.private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        secret = hkdf(self.auth, shared, b"WebPush: info\0" + point(self.private) + sender, 32)
        key, nonce = hkdf(salt, secret, b"Content-Encoding: aes128gcm\0", 16), hkdf(salt, secret, b"Content-Encoding: nonce\0", 12)
        plain = AESGCM(key).decrypt(nonce, text, None).rstrip(b"\0")
        assert plain[-1:] == b"\2", "the last record ends with 2"
        return plain[:-1]

    def wait(self, count, seconds=20, asked=False):
        """Until it has had so many; what it has had."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while len(self.asked if asked else self.got) < count:
                if not self.changed.wait(max(0, deadline - time.monotonic())):
                    raise AssertionError(f"{self.name} had {len(self.got)} notifications of {count} in {seconds} s; asked {len(self.asked)} times")
            return list(self.asked if asked else self.got)

    def take(self, headers, body):
        entry = {"at": time.monotonic(), "headers": headers, "payload": json.loads(self.open(body)), "bytes": len(body)}
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        status, more = answer if isinstance(answer, tuple) else (answer, {})
        if self.delay_s:
            time.sleep(self.delay_s)
        with self.changed:
            self.asked.append(entry)
            if 200 <= status < 300:
                self.got.append(entry)
            self.changed.notify_all()
        return status, more


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        service = self.server.service
        body = self.rfile.read(int(self.headers["Content-Length"]))
        browser = service.browsers.get(self.path.rpartition("/")[2])
        status, more = 404, {}
        try:
            service.check(self.headers)
            if browser:
                status, more = browser.take(dict(self.headers), body)
        except Exception as e:
            service.faults.append(f"{type(e).__name__}: {e}")
        try:
            self.send_response(status)
            for name, value in {**more, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()
        except OSError:             # whoever asked was killed
            self.close_connection = True


class Service:
    def __init__(self, crt, key):
        self.browsers, self.faults, self.keys = {}, [], set()
        self.crt, self.key = crt, key
        self.port = 0
        self.open()

    def open(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.service = self
        self.server.handle_error = lambda *_: None      # whoever hangs up in the middle
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.crt, self.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        """Nobody is there any more, at the same port."""
        self.server.shutdown()
        self.server.server_close()

    def browser(self):
        b = Browser(self, len(self.browsers))
        self.browsers[b.name] = b
        return b

    def check(self, headers):
        """RFC 8030 §5, RFC 8292 §2."""
        assert headers["Content-Encoding"] == "aes128gcm", "Content-Encoding"
        assert headers["TTL"].isdigit(), "TTL"
        assert headers["Urgency"] in ("very-low", "low", "normal", "high"), "Urgency"
        assert 0 < len(headers["Topic"]) <= 32, "Topic"
        scheme, _, rest = headers["Authorization"].partition(" ")
        assert scheme == "vapid", "Authorization"
        fields = dict(part.strip().split("=", 1) for part in rest.split(","))
        head, claims, signature = fields["t"].split(".")
        assert json.loads(unb64(head)) == {"typ": "JWT", "alg": "ES256"}, "the token's head"
        said = json.loads(unb64(claims))
        assert said["aud"] == f"https://localhost:{self.port}", f"aud {said['aud']}"
        assert 0 < said["exp"] - time.time() <= 86400, "exp"
        assert said["sub"] == "mailto:postmaster@town.example", f"sub {said['sub']}"
        raw = unb64(signature)
        assert len(raw) == 64, "the signature"
        der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unb64(fields["k"]))
        try:
            key.verify(der, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise AssertionError("the token's signature is wrong")
        self.keys.add(fields["k"])
