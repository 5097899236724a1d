# SPDX-License-Identifier: AGPL-3.0-or-later
"""rows.py: the faults, one a row, and what is aimed for with each. `lab` is lab.py's Lab; times are in seconds.

What must hold with every fault is not written here: nothing acknowledged is lost, nothing comes twice or out of
order, before the site is back and after it.
"""
import dataclasses
import typing


@dataclasses.dataclass
class Aim:
    """None: the number is told, and none is asked for."""
    live_max: float = None          # longest pause of live text between people on surviving sites
    ack_median: float = None        # from a send to its acknowledgement, people on surviving sites
    ack_p99: float = None
    ack_max: float = None
    back_max: float = None          # until all people of the dead site are in elsewhere
    others_p99: float = None        # live text of the others while a storm comes in


@dataclasses.dataclass
class Row:
    name: str
    says: str
    times: int                      # in the long form
    where: str                      # whose site it happens to: primary, standby, any
    dead: bool                      # its people have to go elsewhere
    begin: typing.Callable          # (lab, site, another site)
    end: typing.Callable
    aim: Aim = dataclasses.field(default_factory=Aim)
    hold_s: float = 10              # how long it lasts, at least
    short: bool = True              # part of the short form
    storm: bool = False             # with thousands more at the site


# Issue 3: over 100 cuts of the primary's site.
CUT_PRIMARY = Aim(live_max=0.3, ack_median=5.5, ack_p99=7.0)
NO_PRIMARY = Aim(live_max=0.1, ack_max=0.1)
SICK_DISK = Aim(ack_max=15.0)
STORM = Aim(back_max=15.0, others_p99=0.25)

ROWS = (
    Row("cut-primary", "the primary's site is cut off", 100, "primary", True,
        lambda lab, s, o: lab.cut(s), lambda lab, s, o: lab.heal(s), CUT_PRIMARY),
    Row("kill-site", "every process of the primary's site is killed", 10, "primary", True,
        lambda lab, s, o: lab.kill_site(s), lambda lab, s, o: lab.start_site(s)),
    Row("freeze-site", "the primary's site stands still, and goes on later", 10, "primary", True,
        lambda lab, s, o: lab.freeze(s), lambda lab, s, o: lab.thaw(s)),
    Row("cut-standby", "a site without the primary is cut off", 10, "standby", True,
        lambda lab, s, o: lab.cut(s), lambda lab, s, o: lab.heal(s), NO_PRIMARY),
    Row("cut-link", "the link between two sites is cut", 10, "primary", False,
        lambda lab, s, o: lab.cut_link(s, o), lambda lab, s, o: lab.heal_link(s, o)),
    Row("loss-10", "a tenth of all packets is lost", 5, "any", False,
        lambda lab, s, o: lab.loss(10), lambda lab, s, o: lab.loss(0)),
    Row("disk-full", "the primary's disk is full", 5, "primary", False,
        lambda lab, s, o: lab.fill_disk(s), lambda lab, s, o: lab.free_disk(s), SICK_DISK, hold_s=20),
    Row("wipe-etcd", "one etcd member loses its data", 5, "any", False,
        lambda lab, s, o: lab.wipe_etcd(s), lambda lab, s, o: None),
    Row("kill-nats", "one NATS server is killed", 5, "any", False,
        lambda lab, s, o: lab.kill_nats(s), lambda lab, s, o: lab.start_nats(s)),
    Row("stop-postgres", "the primary's PostgreSQL is stopped", 5, "primary", False,
        lambda lab, s, o: lab.stop_postgres(s), lambda lab, s, o: None),
    Row("storm", "the primary's site is cut off with thousands of people in it", 1, "primary", True,
        lambda lab, s, o: lab.cut(s), lambda lab, s, o: lab.heal(s), STORM, short=False, storm=True),
)


def row(name):
    return next((r for r in ROWS if r.name == name), None)
