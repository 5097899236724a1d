#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_xmpp_client.py: @xmpp/client, the library for JavaScript that speaks over all three transports."""
import sys

from node_clients import run

if __name__ == "__main__":
    sys.exit(run("@xmpp/client", "xmpp_client.js"))
