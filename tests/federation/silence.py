# SPDX-License-Identifier: AGPL-3.0-or-later
"""silence.py: a network that falls silent: what is on its way is dropped, nobody hears of it, and no connection breaks. In a network
namespace, whose packet filter is nobody else's."""
import ctypes
import os
import shutil
import subprocess

CLONE_NEWNET = 0x40000000
TCP_ALONE_BYTES = 100           # headers and their options; the smallest word of a server in a TLS record is longer


def enter():
    """This process, and whom it starts from now on, in a namespace of their own. None, or why not."""
    for program, package in (("nft", "nftables"), ("ip", "iproute2")):
        if not shutil.which(program):
            return f"the package {package} is not installed"
    if os.geteuid() != 0:
        return "only root can cut a network"
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return f"no network namespace: {os.strerror(ctypes.get_errno())}"
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    try:
        nft("add table inet silence", "add chain inet silence way { type filter hook input priority 0; }")
    except subprocess.CalledProcessError as e:
        return f"no packet filter: {e.stderr.strip()}"
    return None


def nft(*commands):
    subprocess.run(["nft", "-f", "-"], input="\n".join(commands), text=True, check=True, capture_output=True)


class Silence:
    """Between two servers, each given as the ports where it takes others in."""

    def __init__(self, here, there):
        self.here, self.there = here, there

    def cut(self, answers_only=False):
        """Nothing passes; or all but words from here: TCP says that it has what comes, and no server does."""
        ways = self._ways(self.here, self.there) + ([] if answers_only else self._ways(self.there, self.here))
        large = f"meta length > {TCP_ALONE_BYTES}" if answers_only else ""
        nft(*(f"add rule inet silence way tcp {which} {{ {', '.join(map(str, ports))} }} {large} drop" for which, ports in ways))

    @staticmethod
    def _ways(sender, taker):
        return [("sport", sender), ("dport", taker)]

    @staticmethod
    def heal():
        nft("flush chain inet silence way")
