# SPDX-License-Identifier: AGPL-3.0-or-later
"""names.py: a DNS server for tests, over UDP: SRV and A records of a table, NXDOMAIN for the rest."""
import socket
import struct
import threading

A, SRV = 1, 33


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def decode(packet, at):
    labels = []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
        at += 1 + packet[at]
    return ".".join(labels).lower(), at + 1


class Names:
    """records: {(name, SRV): [(priority, weight, port, target)], (name, A): ["127.0.0.1"]}"""

    def __init__(self, address="127.0.0.1", port=0):
        self.records = {}
        self.silent = False                     # asked, and does not answer
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def domain(self, name, port=None, tls_port=None, address="127.0.0.1"):
        """An XMPP server there."""
        host = "localhost"      # ejabberd asks the C library for addresses
        if port:
            self.records[f"_xmpp-server._tcp.{name}", SRV] = [(10, 1, port, host)]
        if tls_port:
            self.records[f"_xmpps-server._tcp.{name}", SRV] = [(5, 1, tls_port, host)]
        self.records[host, A] = self.records[name, A] = [address]

    def serve(self):
        while True:
            try:
                packet, who = self.socket.recvfrom(4096)
                if not self.silent:
                    self.socket.sendto(self.answer(packet), who)
            except OSError:         # it was closed
                return

    def answer(self, packet):
        name, at = decode(packet, 12)
        kind, = struct.unpack(">H", packet[at:at + 2])
        question = packet[12:at + 4]
        self.asked.append((name, kind))
        known = any(n == name for n, _ in self.records)
        parts = [self.record(name, kind, r) for r in self.records.get((name, kind), [])]
        flags = 0x8580 | (0 if known else 3)
        return packet[:2] + struct.pack(">HHHHH", flags, 1, len(parts), 0, 0) + question + b"".join(parts)

    @staticmethod
    def record(name, kind, value):
        if kind == A:
            data = socket.inet_aton(value)
        else:
            priority, weight, port, target = value
            data = struct.pack(">HHH", priority, weight, port) + encode(target)
        return encode(name) + struct.pack(">HHIH", kind, 1, 5, len(data)) + data

    def close(self):
        self.socket.close()
