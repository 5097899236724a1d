#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""sites.py: two sites of one domain keep a copy of each file: pushed in the background, fetched when somebody is quicker, and made
up for when a site was away.

    tests/files/sites.py                    # all
    tests/files/sites.py away               # those whose name contains a word

The sites share ident's secret, as they do through one database; each has web, index and folder of its own.
"""
import os
import shutil
import sqlite3
import sys
import time

from place import Bongsu, Failure, Person, check, finish, get, noise, once, play, put, sanitizers_are_silent, servers, until


class Site(Bongsu):
    """Its web port is known before it is prepared, so that the other one can name it."""

    def __init__(self, port, other_port, certificates, delay=""):
        self.ports, self.certificates = (port, other_port), certificates
        super().__init__(delay)

    def prepare(self):
        self.web_port = self.ports[0]
        if self.certificates:
            self.ca, self.crt, self.key = self.certificates
        self.extra += f"files.peers = 127.0.0.1:{self.ports[1]}\nfiles.peers_ca = {self.ca}\n"
        super().prepare()

    def files(self):
        return self.status()["files"]


class Town:
    def __init__(self):
        ports = servers.free_ports(2)
        self.one = Site(ports[0], ports[1], None)
        self.two = Site(ports[1], ports[0], (self.one.ca, self.one.crt, self.one.key))
        self.one.add_users({"alice": "secret", "bob": "secret"})

    def start(self):
        self.one.start()
        self.one.wait_ready()
        self.one.run("backup", os.path.join(self.one.dir, "copy"))
        shutil.copy(os.path.join(self.one.dir, "copy/ident.db"), os.path.join(self.two.dir, "data/ident.db"))
        self.two.start()
        self.two.wait_ready()
        self.alice, self.bob = Person(self.one, "alice"), Person(self.two, "bob")

    def remove(self):
        self.one.remove()
        self.two.remove()

    def settled(self):
        return self.one.files()["owed"] == 0 and self.two.files()["owed"] == 0


def a_file_goes_to_the_other_site(t):
    """What is uploaded at one site is soon at the other, with its name, type and owner"""
    data = noise(700000, 1)
    slot = t.alice.upload(data, "봉수.bin")
    until(lambda: t.two.files()["count"] == t.one.files()["count"], "it does not come")
    check(t.two.blobs() == t.one.blobs(), "not the same blobs")
    there = get(t.two, slot)
    check(there.body == data and there.headers["content-disposition"] == get(t.one, slot).headers["content-disposition"], str(there.headers))
    back = t.bob.upload(b"\x89PNG1234", "b.png", "image/png")
    until(lambda: t.one.files()["count"] == t.two.files()["count"], "it does not come back")
    check(get(t.one, back).headers["content-type"] == "image/png", "the type is lost")
    check(t.settled() or until(t.settled, "something stays owed") is None, "owed")


def an_answer_means_two_copies(t):
    """A file that was answered is at both sites, though its own is killed at once; while the other is away nobody waits for it"""
    for i in range(5):
        data = noise(400000, 30 + i)
        slot = t.alice.upload(data)
        t.one.kill("web")
        check(get(t.two, slot).body == data, "it was at one site only")
        t.one.wait_ready()
    t.two.stop()
    t.alice.upload(noise(1000, 40))         # it hears that nobody is there
    began = time.monotonic()
    for i in range(5):
        t.alice.upload(noise(1000, 41 + i))
    check(time.monotonic() - began < 2.5, f"uploads wait for a site that is away: {time.monotonic() - began:.1f} s")
    t.two.start()
    t.two.wait_ready()
    t.bob = Person(t.two, "bob")


def fetched(site, slot, more=""):
    """A site that cannot ask the other one just now says so (503), and is asked again; it never says that there is nothing."""
    for _ in range(20):
        answer = get(site, slot, more)
        if answer.status != 503:
            break
        time.sleep(0.5)
    return answer


def who_is_quicker_gets_it_too(t):
    """A file that has not come yet is fetched from the other site, and kept"""
    data = noise(900000, 2)
    answer = fetched(t.two, t.alice.upload(data))
    check(answer.body == data, f"it is not there: {answer.status}, {len(answer.body)} bytes")
    slots = [t.alice.upload(noise(50000, 10 + i)) for i in range(20)]
    for i, s in enumerate(slots):
        answer = fetched(t.two, s, "Range: bytes=0-9\r\n")
        check(answer.body == noise(50000, 10 + i)[:10], f"file {i}: {answer.status}")
    until(t.settled, "something stays owed")
    check(t.two.blobs() == t.one.blobs(), "not the same blobs")


def slots_hold_at_every_site(t):
    """A slot of one site is good at the other"""
    slot = t.alice.slot("a.bin", 5)
    check(put(t.two, slot, b"hello").status == 201, "refused")
    check(get(t.two, slot).body == b"hello", "not there")
    until(lambda: get(t.one, slot).body == b"hello", "not here")


def a_site_that_was_away_gets_its_share(t):
    """What was uploaded while a site was away comes when it is back; meanwhile nobody waits"""
    until(t.settled, "something stays owed")
    t.two.stop()
    slots = [(t.alice.upload(noise(100000, 50 + i)), noise(100000, 50 + i)) for i in range(10)]
    check(t.one.files()["owed"] == 10, str(t.one.files()))
    made_up = slots[0][0].path
    check(once(t.one, "GET", made_up.replace("a.bin", "b.bin")).status == 404, "a wrong name is asked for elsewhere")
    t.two.start()
    t.two.wait_ready()
    until(t.settled, "something stays owed", 70)
    t.one.stop()
    for slot, data in slots:
        check(get(t.two, slot).body == data, "it did not come")
    t.one.start()
    t.one.wait_ready()
    t.alice, t.bob = Person(t.one, "alice"), Person(t.two, "bob")


def missing_is_not_gone(t):
    """A file that only an unreachable site has is "cannot be told now", not "is not there"; a made-up one is not there"""
    t.two.stop()
    slot = t.alice.upload(noise(60000, 80))
    t.one.stop()
    t.two.start()
    t.two.wait_ready()
    answer = get(t.two, slot)
    check(answer.status == 503 and "retry-after" in answer.headers, f"{answer.status}")
    ident = slot.path.split("/")[2]
    check(once(t.two, "GET", slot.path.replace(ident, "A" * 32)).status == 404, "a made-up one")
    t.one.start()
    t.one.wait_ready()
    check(get(t.two, slot).status == 200, "it does not come")
    t.alice, t.bob = Person(t.one, "alice"), Person(t.two, "bob")


def a_lost_disk_is_filled_again(t):
    """A site that lost its files gets each one back when it is asked for"""
    data = noise(80000, 90)
    slot = t.alice.upload(data)
    until(t.settled, "something stays owed")
    t.two.stop()
    shutil.rmtree(os.path.join(t.two.dir, "data/files"))
    t.two.start()
    t.two.wait_ready()
    check(get(t.two, slot).body == data, "it does not come back")
    check(len(t.two.blobs()) == 1, "it is not kept")
    t.bob = Person(t.two, "bob")


def killed_while_it_goes_over(t):
    """Kill -9 at either site while files go over: nothing is lost and nothing comes twice"""
    sent = []
    for i in range(6):
        data = noise(3000000, 100 + i)
        sent.append((t.alice.upload(data), data))
        (t.one if i % 2 else t.two).kill("web")
        t.one.wait_ready()
        t.two.wait_ready()
    until(t.settled, "something stays owed", 70)
    for slot, data in sent:
        check(get(t.one, slot).body == data and get(t.two, slot).body == data, "lost or changed")
    db = sqlite3.connect(os.path.join(t.two.dir, "data/web.db"))
    check(db.execute("SELECT COUNT(*) FROM file WHERE hash IS NULL").fetchone()[0] == 0, "half files are left")
    db.close()


def strangers_are_no_peers(t):
    """The doors between sites are shut to those who are none"""
    slot = t.alice.upload(b"hello")
    for method in ("PUT", "DELETE", "GET"):
        for token in ("x", slot.headers[0][1].split()[1]):
            answer = once(t.two, method, slot.path, f"Authorization: Bongsu-Peer {token}\r\n", b"" if method == "GET" else b"hello")
            check(answer.status == 403, f"{method} → {answer.status}")


def the_gone_are_gone_everywhere(t):
    """An account that is deleted at one site leaves no file at the other"""
    carol = {"carol": "secret"}
    t.one.add_users(carol)
    person = Person(t.one, "carol")
    slot = person.upload(noise(70000, 120))
    until(t.settled, "something stays owed")
    check(get(t.two, slot).status == 200, "it did not come")
    t.one.run("user", "del", "carol")
    until(lambda: get(t.one, slot).status == 404, "it is here")
    until(lambda: get(t.two, slot).status == 404, "it is there")
    until(lambda: t.one.blobs() and set(t.one.blobs()) >= set(t.two.blobs()), "its bytes are there")
    person.close()


def nothing_was_found(t):
    """No sanitizer has anything to say, and no assertion failed"""
    sanitizers_are_silent(t.one, t.two)


TRIALS = [a_file_goes_to_the_other_site, an_answer_means_two_copies, who_is_quicker_gets_it_too, slots_hold_at_every_site, a_site_that_was_away_gets_its_share,
          missing_is_not_gone, killed_while_it_goes_over, strangers_are_no_peers, the_gone_are_gone_everywhere, a_lost_disk_is_filled_again, nothing_was_found]


def main():
    why, words = Bongsu.missing(), sys.argv[1:]
    if why:
        raise Failure(why)
    chosen = [t for t in TRIALS if not words or any(w in t.__name__ for w in words)]
    town = Town()
    try:
        town.start()
        failed = play(chosen, town)
        if failed and os.environ.get("LOG"):
            print(town.one.tail(), "----", town.two.tail())
    finally:
        town.remove()
    return finish(len(chosen) - failed, failed)


if __name__ == "__main__":
    sys.exit(main())
