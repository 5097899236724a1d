# SPDX-License-Identifier: AGPL-3.0-or-later
"""place.py: what the drill wants of the laboratory: three sites that run, with accounts, and how to reach them."""
import os

import lab as laboratory

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.join(HERE, "../build/src/processes/bongsu")
PROGRAM, CONFIG = os.path.join(laboratory.PROGRAMS, "bongsu"), "/etc/bongsu/bongsu.conf"
UP_S = 120


class PlaceError(Exception):
    pass


class Place:
    """Use as a context. `sites`: names. PlaceError: it could not be built."""

    def __init__(self, directory, delay_ms, workers, bongsu=None, settings=None):
        self.directory = directory
        self.lab = laboratory.Lab(os.path.join(directory, "lab"), workers=workers, delay_us=int(delay_ms * 1000), settings=settings,
                                  bongsu=os.path.abspath(bongsu or os.environ.get("BONGSU", BUILT)))
        self.sites, self.domain = self.lab.names, self.lab.domain

    def __enter__(self):
        if not os.access(self.lab.bongsu, os.X_OK):
            raise PlaceError(f"{self.lab.bongsu} is not built")
        try:
            self.lab.up()
            self.lab.wait_healthy(UP_S)
        except laboratory.LabError as e:
            self.lab.down()
            raise PlaceError(f"the sites did not come up: {e}") from None
        self.ca = self.lab.ca
        return self

    def __exit__(self, *_):
        self.lab.down()

    def address(self, site):
        """HAProxy's, TLS from the first byte; the same from inside the site and from outside."""
        return self.lab.places[site].address, int(self.lab.settings[site]["port.xmpps"])

    def net(self, place):
        """The network namespace of a site, or of the people."""
        return f"/proc/{self.lab.places[place].holder.pid}/ns/net"

    def command(self, place, argv):
        return self.lab.places[place].command(argv)

    def add_users(self, names):
        """With the passwords that people.py gives them."""
        lines = "".join(f"{n} secret-{n}\n" for n in names)
        try:
            self.lab.exec(self.sites[0], [PROGRAM, "user", "add", "--from", "-", "--config", CONFIG], input=lines)
        except laboratory.LabError as e:
            raise PlaceError(f"the accounts could not be made: {e}") from None

    def primary(self):
        return self.lab.wait_primary()

    def wait_healthy(self, seconds):
        """Whether three copies stream again, all of etcd is there and all of Bongsu is ready."""
        try:
            self.lab.wait_healthy(seconds)
            return True
        except laboratory.LabError as e:
            print(f"  {str(e).splitlines()[0]}", flush=True)
            return False
