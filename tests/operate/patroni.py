# SPDX-License-Identifier: AGPL-3.0-or-later
"""patroni.py: answers as Patroni's REST interface does, as a test says.

    sites = Sites(3)                      # three of them on free ports, all well
    sites.members[2]["state"] = "stopped"
    sites.versions[0] = "3.0.2"
    sites.close(1)                        # that site is gone
"""
import http.server
import json
import ssl
import threading


class Sites:
    def __init__(self, count, certificate=None, key=None):
        self.versions = ["4.0.7"] * count
        self.config = {"ttl": 5, "synchronous_mode": "quorum"}
        self.pause = False
        self.silent = False
        self.members = [{"name": f"s{n + 1}", "host": f"10.0.{n + 1}.1", "port": 5432, "timeline": 1,
                         "role": "replica" if n else "leader", "state": "streaming" if n else "running"} for n in range(count)]
        self.servers = [self.serve(n, certificate, key) for n in range(count)]
        scheme = "https" if certificate else "http"
        self.urls = [f"{scheme}://127.0.0.1:{s.server_port}" for s in self.servers]

    def serve(self, number, certificate, key):
        sites = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if sites.silent:
                    threading.Event().wait(3)
                body = sites.answer(number, self.path).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None           # who asks may hang up first
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def answer(self, number, path):
        if path == "/config":
            return json.dumps(self.config)
        if path == "/cluster":
            return json.dumps({"members": self.members, "scope": "bongsu", **({"pause": True} if self.pause else {})})
        if path == "/patroni":
            member = self.members[number] if number < len(self.members) else {"state": "stopped", "role": "replica"}
            return json.dumps({"state": "running", "role": "primary" if member["role"] == "leader" else "replica",
                               "patroni": {"version": self.versions[number], "scope": "bongsu", "name": f"s{number + 1}"}})
        return "nonsense"

    def close(self, number):
        self.servers[number].shutdown()
        self.servers[number].server_close()

    def close_all(self):
        for n in range(len(self.servers)):
            self.close(n)
