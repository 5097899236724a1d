# SPDX-License-Identifier: AGPL-3.0-or-later
"""server_main.py: one test server with the accounts alice, bob and carol
(password: secret), until Ctrl-C. For trying a client by hand."""
import argparse
import signal

import server

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("--server", default="bongsu", choices=sorted(server.SERVERS))
args = p.parse_args()
with server.make(args.server) as s:
    s.add_users({n: "secret" for n in ("alice", "bob", "carol")})
    print(f"domain {s.domain}  starttls 127.0.0.1:{s.port}  tls 127.0.0.1:{s.tls_port}  "
          f"websocket {s.websocket_port}{s.websocket_path}  web {s.web_port}  ca {s.ca}  log {s.log}", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass
