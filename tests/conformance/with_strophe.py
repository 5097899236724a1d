#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""with_strophe.py: strophe.js, which many web clients are built on."""
import sys

from node_clients import run

if __name__ == "__main__":
    sys.exit(run("strophe.js", "strophe.js"))
