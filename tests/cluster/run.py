#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""run.py: three sites of PostgreSQL, Patroni, etcd, NATS and HAProxy, as deploy/ makes them, lose parts and nothing else.

A writer that knows its acknowledgements works through each fault; they are counted after it, and again at every site after
the heal. The messenger itself is judged by `bongsu drill`. Needs root; --match NAME runs some.
"""
import argparse
import fnmatch
import json
import os
import select
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "lib"), os.path.join(os.path.dirname(os.path.dirname(HERE)), "drill")]
import lab as labs                                                          # noqa: E402
from trials import Failure, check                                           # noqa: E402

DEADLINE_S = 1.0                # of a statement; then the connection is given up, never cancelled
INTERVAL_S = 0.02
HEAL_S = 60
SITE, BACKUP = f"{labs.DEPLOY}/site", f"{labs.DEPLOY}/backup"


def wait_with_deadline(connection):
    from psycopg2 import OperationalError, extensions
    end = time.monotonic() + DEADLINE_S
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        left = max(0.0, end - time.monotonic())
        wanted = ([connection], []) if state == extensions.POLL_READ else ([], [connection])
        if not any(select.select(*wanted, [], left)):
            raise OperationalError("no answer in time")


class Writer(threading.Thread):
    """Inserts 1, 2, 3, … from the site `at`, into whatever site is primary; acked: those that were acknowledged."""

    def __init__(self, lab, table, at, avoid=()):
        super().__init__(daemon=True)
        self.lab, self.table, self.at, self.avoid = lab, table, at, set(avoid)
        self.acked, self.times = set(), []
        self.next = 0
        self.ending = False

    def connect(self):
        for name in self.lab.names:
            if name in self.avoid:
                continue
            try:
                c = self.lab.connect(name, at=self.at)
                c.autocommit = True
                with c.cursor() as cursor:
                    cursor.execute("SELECT pg_is_in_recovery()")
                    if not cursor.fetchone()[0]:
                        return c
                c.close()
            except Exception:
                pass
        return None

    def run(self):
        connection = None
        while not self.ending:
            if connection is None:
                connection = self.connect()
                time.sleep(0 if connection else INTERVAL_S)
                continue
            self.next += 1
            try:
                with connection.cursor() as c:
                    c.execute(f"INSERT INTO {self.table} VALUES(%s)", (self.next,))
                # A wait that was cancelled ends with a warning: that is no acknowledgement.
                if not connection.notices:
                    self.acked.add(self.next)
                    self.times.append(time.monotonic())
            except Exception:
                connection.close()
                connection = None
            time.sleep(INTERVAL_S)

    def begin(self):
        self.start()
        end = time.monotonic() + 10
        while len(self.times) < 20 and time.monotonic() < end:
            time.sleep(0.05)
        check(len(self.times) >= 20, "the writer cannot write before the fault")

    def end(self):
        self.ending = True
        self.join()

    def pause(self, since):
        """The longest time without an acknowledgement since then, to the end of the writing."""
        times = [since] + [t for t in self.times if t > since]
        return max((b - a for a, b in zip(times, times[1:])), default=float("inf"))


class Trial:
    """One fault: a table and a writer of its own."""

    def __init__(self, lab, name):
        self.lab, self.table = lab, "t_" + name
        self.primary = lab.primary()
        lab.sql(self.primary, f"CREATE TABLE {self.table}(n bigint PRIMARY KEY); GRANT ALL ON {self.table} TO bongsu")
        self.others = [n for n in lab.names if n != self.primary]

    def write(self, avoid=()):
        """From a site that stays, knowing (as Bongsu finds out by itself) which one not to ask any more."""
        self.writer = Writer(self.lab, self.table, next(n for n in self.others if n not in avoid))
        self.writer.begin()
        self.begun = time.monotonic()
        self.writer.avoid = set(avoid)

    def wait_write(self, seconds, pause_min=0.5):
        """Until writing goes on after a pause, or `seconds` without one."""
        end = self.begun + seconds
        while time.monotonic() < end:
            if self.writer.times[-1] - self.begun > pause_min and self.writer.pause(self.begun) > pause_min and time.monotonic() - self.writer.times[-1] < 0.3:
                return
            time.sleep(0.05)

    def lost(self, site):
        have = {r[0] for r in self.lab.sql(site, f"SELECT n FROM {self.table}")}
        return sorted(self.writer.acked - have)

    def judge(self, pause_max):
        """Ends the writing and counts at the primary of now."""
        self.writer.end()
        pause = self.writer.pause(self.begun)
        lost = self.lost(self.lab.wait_primary())
        check(not lost, f"{len(lost)} acknowledged rows lost: {lost[:5]}…")
        check(pause <= pause_max, f"pause of {pause:.2f} s, where {pause_max} s was the most")
        return pause

    def judge_healed(self):
        """And at every site, when all is well again."""
        seconds = self.lab.wait_healthy(HEAL_S)
        time.sleep(0.2)
        for site in self.lab.names:
            lost = self.lost(site)
            check(not lost, f"{len(lost)} acknowledged rows lost at {site} after the heal: {lost[:5]}…")
        return seconds


def lost_site(lab, name, do, undo, pause_max=8.0):
    """The primary's site goes; another takes over; the first comes back."""
    t = Trial(lab, name)
    t.write(avoid=[t.primary])
    do(t.primary)
    t.wait_write(pause_max + 5)
    time.sleep(1)
    pause = t.judge(pause_max)
    undo(t.primary)
    healed = t.judge_healed()
    check(lab.primary() != t.primary, "the old primary is primary again")
    return f"pause {pause:.2f} s, whole again after {healed:.1f} s, {len(t.writer.acked)} acknowledged, 0 lost"


# ---- the trials ----

def cut_of_the_primary(lab):
    return lost_site(lab, "cut", lab.cut, lab.heal)


def kill_and_cold_start(lab):
    begun = []

    def start(site):
        begun.append(time.monotonic())
        lab.start_site(site)
    told = lost_site(lab, "kill", lab.kill_site, start)
    seconds = time.monotonic() - begun[0]
    check(seconds <= 60, f"cold start took {seconds:.0f} s")
    return told


def freeze_and_thaw(lab):
    return lost_site(lab, "freeze", lab.freeze, lab.thaw)


def postgres_stopped(lab):
    t = Trial(lab, "stopped")
    t.write()
    lab.stop_postgres(t.primary)
    t.wait_write(12)
    time.sleep(1)
    pause = t.judge(8)
    return f"pause {pause:.2f} s, whole again after {t.judge_healed():.1f} s"


def small_fault(lab, name, do, undo, seconds, pause_max, avoid=lambda t: ()):
    """Nothing that writers should notice."""
    t = Trial(lab, name)
    t.write(avoid=avoid(t))
    do(t)
    time.sleep(seconds)
    pause = t.judge(pause_max)
    check(lab.primary() == t.primary, "the primary changed")
    undo(t)
    return f"pause {pause:.2f} s, whole again after {t.judge_healed():.1f} s"


def cut_of_a_standby(lab):
    return small_fault(lab, "standby", lambda t: lab.cut(t.others[1]), lambda t: lab.heal(t.others[1]), 6, 0.5, lambda t: t.others[1:])


def cut_of_a_link(lab):
    return small_fault(lab, "link", lambda t: lab.cut_link(t.primary, t.others[1]), lambda t: lab.heal_link(t.primary, t.others[1]), 6, 0.5)


def loss_of_packets(lab):
    return small_fault(lab, "loss", lambda t: lab.loss(10), lambda t: lab.loss(0), 8, 3.0)


def nats_killed(lab):
    lab.kill_nats("s1")
    check(lab.http("s1", "/varz", 8222) is None, "NATS answers though it was killed")
    lab.start_nats("s1")
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if (lab.http("s1", "/routez", 8222) or {}).get("num_routes", 0) >= 2:
            return
        time.sleep(0.1)
    raise Failure("NATS has not found the others again")


def etcd_wiped(lab):
    """commit-watch makes a new member of it; nobody waits."""
    t = Trial(lab, "etcd")
    t.write()
    lab.wipe_etcd(t.others[1])
    time.sleep(3)
    check(t.others[1] not in lab.status()["etcd"], "the wiped member lives at once: it was not wiped")
    pause = t.judge(1.5)
    return f"pause {pause:.2f} s, whole again after {t.judge_healed():.1f} s"


def disk_full(lab):
    t = Trial(lab, "full")
    t.write()
    lab.fill_disk(t.primary)
    new = lab.wait_primary(20, but=t.primary)
    seconds = time.monotonic() - t.begun
    time.sleep(1.5)
    pause = t.judge(15)
    lab.free_disk(t.primary)
    check(seconds <= 15, f"moved after {seconds:.1f} s")
    return f"moved to {new} after {seconds:.1f} s, pause {pause:.2f} s, whole again after {t.judge_healed():.1f} s"


def disk_stuck(lab):
    t = Trial(lab, "stuck")
    t.write(avoid=[t.primary])
    lab.stick_disk(t.primary)
    new = lab.wait_primary(25, but=t.primary)
    t.wait_write(20)
    time.sleep(1)
    pause = t.judge(15)
    lab.unstick_disk(t.primary)
    return f"moved to {new}, pause {pause:.2f} s, whole again after {t.judge_healed():.1f} s"


def all_sites_cold(lab):
    t = Trial(lab, "cold")
    t.write()
    t.writer.end()
    for site in lab.names:
        lab.kill_site(site)
    begun = time.monotonic()
    for site in lab.names:
        lab.start_site(site)
    lab.wait_healthy(60)
    seconds = time.monotonic() - begun
    for site in lab.names:
        check(not t.lost(site), f"acknowledged rows lost at {site}")
    check(seconds <= 60, f"took {seconds:.0f} s")
    return f"whole again after {seconds:.1f} s"


def backup_and_rehearsal(lab):
    site = lab.names[-1]
    print(lab.exec(site, [BACKUP, "full"], timeout=180), end="")
    told = lab.exec(site, [BACKUP, "rehearse"], timeout=180)
    check(" is good: " in told, told)
    return told.splitlines()[-1]


def site_check(lab):
    told = lab.exec(lab.primary(), [SITE, "check"])
    check("all is well" in told, told)


TRIALS = [cut_of_the_primary, kill_and_cold_start, freeze_and_thaw, postgres_stopped, cut_of_a_standby, cut_of_a_link, loss_of_packets, nats_killed, etcd_wiped,
          disk_full, disk_stuck, backup_and_rehearsal, site_check, all_sites_cold]


def play(trials, lab, after_failure):
    """Prints a line for each; (passed, failed). `after_failure(lab)`: whether to go on."""
    print(f"healthy after {lab.wait_healthy(60):.1f} s", flush=True)
    passed = failed = 0
    for trial in trials:
        begun = time.monotonic()
        try:
            told = trial(lab) or ""
            passed += 1
            print(f"ok   {trial.__name__} ({time.monotonic() - begun:.0f} s): {told}", flush=True)
        except Exception as e:
            failed += 1
            print(f"FAIL {trial.__name__} ({time.monotonic() - begun:.0f} s): {e if isinstance(e, (Failure, labs.LabError)) else traceback.format_exc()}", flush=True)
            if not after_failure(lab):
                break
    return passed, failed


def cannot(trials):
    """Says why nothing can be tried here. Else psycopg2 is made to wait no longer than a deadline."""
    why = labs.missing()
    if why:
        print(f"skipped: {why}\n0 passed, 0 failed, {len(trials)} skipped")
        return True
    from psycopg2 import extensions
    extensions.set_wait_callback(wait_with_deadline)
    return False


def count(trials, passed, failed):
    print(f"{passed} passed, {failed} failed, {len(trials) - passed - failed} skipped")
    return int(failed > 0)


def mend(lab):
    lab.mend()
    return True


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--match", default="*")
    p.add_argument("--dir")
    a = p.parse_args()
    chosen = [t for t in TRIALS if fnmatch.fnmatch(t.__name__, a.match)]
    if cannot(chosen):
        return 77
    with labs.Lab(a.dir, backup=True) as lab:
        passed, failed = play(chosen, lab, mend)
    return count(chosen, passed, failed)


if __name__ == "__main__":
    sys.exit(main())
