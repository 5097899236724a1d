#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""broken.py: what breaks under uploads and downloads: killed processes, a full disk, cut connections, people who do not read.
What was answered 201 is there afterwards, whole; what was not is not served.

    tests/files/broken.py                   # all
    tests/files/broken.py killed idle       # those whose name contains a word
"""
import os
import random
import resource
import socket
import subprocess
import sys
import threading
import time

from place import Bongsu, Door, Failure, Person, check, finish, get, noise, once, play, put, sanitizers_are_silent, until

IDLE = 1000


def again(server):
    """The roles are back after a kill; web may have been asked meanwhile."""
    def up():
        try:
            return once(server, "GET", "/health/live").status == 200
        except (OSError, Failure):
            return False
    until(up, "web does not come back")
    server.wait_ready()


def killed_after_the_answer(t):
    """Kill -9 right behind each 201: every file is there, whole"""
    kept = []
    for i in range(12):
        data = noise(random.Random(i).choice((10, 5000, 300000, 2000000)), 100 + i)
        kept.append((t.alice.upload(data), data))
        t.kill("web")
        again(t)
    for slot, data in kept:
        check(get(t, slot).body == data, f"{slot.path} is lost or another")


def killed_at_random(t):
    """Kill -9 at any moment of uploads: what was answered 201 is there, what was not goes on or can be put again"""
    rng = random.Random(1)
    for i in range(10):
        data, answers = noise(4000000, 200 + i), []
        slots = [t.alice.slot("a.bin", len(data)) for _ in range(3)]

        def run(slot):
            try:
                answers.append((slot, put(t, slot, data).status))
            except (OSError, Failure):
                answers.append((slot, None))
        threads = [threading.Thread(target=run, args=(s,)) for s in slots]
        for thread in threads:
            thread.start()
        time.sleep(rng.uniform(0, 0.06))
        t.kill("web")
        for thread in threads:
            thread.join()
        again(t)
        for slot, status in answers:
            have = get(t, slot)
            check(status != 201 or have.status == 200, "an answered upload is gone")
            check(have.status == 404 or have.body == data, f"{have.status}, {len(have.body)} bytes")
            if have.status == 404:
                at = int(once(t, "HEAD", slot.path, slot.auth).headers["upload-offset"])
                more = once(t, "PATCH", slot.path, f"{slot.auth}Content-Type: application/partial-upload\r\nUpload-Offset: {at}\r\n", data[at:])
                check(more.status == 201 and get(t, slot).body == data, f"it does not go on at {at}: {more.status} {more.body!r}")


def killed_at_every_step(t):
    """Killed or failing at each step of an upload: answered and whole, or not there; and nothing is left over"""
    t.stop()
    data, before = noise(700000, 300), set(t.parts())
    for place in ("files.open", "files.write", "files.sync", "files.place", "db.commit", "db.synced"):
        for what in ("=1:io", "=1:full", "=kill@1", "=kill@2"):
            if place in ("db.commit", "db.synced") and "kill" not in what:
                continue
            t.fault = ""
            t.start()
            t.wait_ready()
            alice = Person(t, "alice")
            slot = alice.slot("a.bin", len(data))
            alice.close()
            t.stop()
            t.fault = place + what
            t.start()
            try:
                status = put(t, slot, data).status
            except (OSError, Failure):
                status = None
            t.stop()
            t.fault = ""
            t.start()
            t.wait_ready()
            have = get(t, slot)
            check(status in (None, 201, 503, 507), f"{place}{what}: {status}")
            check((have.status == 200 and have.body == data) or (have.status == 404 and status != 201), f"{place}{what}: {status}, then {have.status}")
            check(put(t, slot, data).status == 201 and get(t, slot).body == data, f"{place}{what}: it cannot be put again")
            t.stop()
    t.start()
    t.wait_ready()
    until(lambda: set(t.parts()) <= before, "parts are left")
    t.alice = Person(t, "alice")


def small_disk(t):
    """A folder on a file system of 6 MB, or None where mounting is not allowed."""
    path = os.path.join(t.dir, "small")
    os.makedirs(path, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", path], capture_output=True)
    return path if done.returncode == 0 else None


def a_full_disk(t):
    """A full disk is told before the bytes are sent, keeps nothing half, and hurts nobody else"""
    path = small_disk(t)
    if not path:
        print("      (no small file system can be mounted here: only the fault points stand in for it)")
        return
    try:
        with Bongsu(f"files.folder = {path}\n") as server:
            server.add_users({"alice": "secret"})
            server.wait_ready()
            alice = Person(server, "alice")
            first = noise(3000000, 400)
            slot = alice.upload(first)
            full = alice.slot("b.bin", 5000000)
            answer = put(server, full, noise(5000000, 401))
            check(answer.status == 507, f"{answer.status} {answer.body!r}")
            check(get(server, slot).body == first and get(server, full).status == 404, "the other file")
            small = alice.upload(noise(1000000, 402))
            check(get(server, small).status == 200, "a smaller one fits")
            until(lambda: not [f for d, _, names in os.walk(path) if "/parts-" in d for f in names], "parts are left")
            alice.close()
    finally:
        subprocess.run(["umount", "-l", path])


def cut_uploads_leave_nothing_behind(t):
    """Two hundred uploads that are cut: none is served, no descriptor and no memory is kept"""
    before = t.status()["files"]["count"]
    pid = t.status()["roles"]["web"]["pid"]
    files = len(os.listdir(f"/proc/{pid}/fd"))
    for i in range(200):
        slot = t.alice.slot("a.bin", 100000)
        door = Door(t)
        door.send(f"PUT {slot.path} HTTP/1.1\r\nHost: h\r\n{slot.auth}Content-Length: 100000\r\n\r\n".encode() + b"x" * (i * 400))
        door.drop()
    until(lambda: t.status()["files"]["coming"] == 0, "uploads hang")
    check(t.status()["files"]["count"] == before, "one counts as whole")
    until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= files + 2, f"{len(os.listdir(f'/proc/{pid}/fd'))} descriptors, before {files}")


def too_many_uploads(t):
    """Beyond the bounds, of all and of one account, an upload is told to come back, and the others go on"""
    slots = [t.alice.slot("a.bin", 200000) for _ in range(70)]
    bob = Person(t, "bob")
    his = [bob.slot("a.bin", 200000) for _ in range(2)]
    doors = []
    for slot in slots[:64]:
        door = Door(t)
        door.send(f"PUT {slot.path} HTTP/1.1\r\nHost: h\r\n{slot.auth}Content-Length: 200000\r\n\r\n".encode() + b"x" * 1000)
        doors.append(door)
    until(lambda: t.status()["files"]["coming"] == 64, "they do not come")
    answer = put(t, slots[64], b"x" * 200000)
    check(answer.status == 503 and "retry-after" in answer.headers, f"{answer.status}")
    check(put(t, his[0], b"x" * 200000).status == 201, "one account takes all the room")
    for door in doors:
        door.send(b"x" * 199000)
    check(all(door.answer("PUT").status == 201 for door in doors), "one of those under way failed")
    until(lambda: put(t, slots[65], b"x" * 200000).status == 201, "no room when they are done")
    bob.close()


def a_reader_who_does_not_read(t):
    """One who stops reading a large file holds nobody up"""
    data = noise(20000000, 500)
    slot, small = t.alice.upload(data), t.alice.upload(b"hello")
    lazy = Door(t, buffer=4096)
    lazy.send(f"GET {slot.path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    lazy.head()
    began = time.monotonic()
    for _ in range(20):
        check(get(t, small).body == b"hello", "a small file")
    check(time.monotonic() - began < 5, "others wait")
    check(get(t, slot).body == data, "the same file")
    lazy.close()


def a_slow_reader_gets_it_all(t):
    """One who reads slowly gets the whole file"""
    data = noise(6000000, 501)
    slot = t.alice.upload(data)
    door, got = Door(t, buffer=16384), b""
    door.send(f"GET {slot.path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    status, headers = door.head()
    got = door.left
    while len(got) < int(headers["content-length"]):
        more = door.read()
        check(more, f"it ended after {len(got)} bytes")
        got += more
        time.sleep(0.002)
    check(status == 200 and got == data, "another file")


def a_thousand_idle_downloads(t):
    """A thousand who begin a download and stop reading cost little memory, and hold up neither files nor pages"""
    data = noise(8000000, 502)
    slot, small = t.alice.upload(data), t.alice.upload(b"hello")
    before, doors = t.rss_kib(), []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    for _ in range(IDLE):
        door = Door(t, buffer=4096)
        door.send(f"GET {slot.path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        doors.append(door)
    time.sleep(1)
    kib = (t.rss_kib() - before) / IDLE
    began = time.monotonic()
    check(get(t, small).body == b"hello" and once(t, "GET", "/app.json").status == 200 and get(t, slot).body == data, "others wait")
    took = time.monotonic() - began
    for door in doors:
        door.drop()
    print(f"      ({kib:.0f} KiB each; the others were served in {took * 1000:.0f} ms)")
    check(kib < 150 and took < 10, f"{kib:.0f} KiB each, {took:.1f} s")
    until(lambda: get(t, small).status == 200, "web does not recover")


def half_closed(t):
    """One who says that he has said all still gets the file"""
    data = noise(3000000, 503)
    slot = t.alice.upload(data)
    if t.web_tls:
        return
    door = Door(t)
    door.send(f"GET {slot.path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    door.socket.shutdown(socket.SHUT_WR)
    check(door.answer().body == data, "cut short")


def ident_away(t):
    """While ident is away, files are given, and uploads with a slot go through"""
    data = noise(100000, 504)
    slot, late = t.alice.upload(data), t.alice.slot("b.bin", 5)
    t.kill("ident")
    check(get(t, slot).body == data and put(t, late, b"hello").status == 201, "files hang on ident")
    t.wait_ready()


def web_away(t):
    """While web is away, chat goes on, and who asks for a slot is told so"""
    t.stop()
    t.start()
    t.wait_ready()
    t.alice = Person(t, "alice")
    about = t.status()["roles"]["web"]
    os.kill(about["pid"], 19)               # SIGSTOP: it hangs
    answer = t.alice.ask("get", "<ping xmlns='urn:xmpp:ping'/>", t.domain)
    check(answer.get("type") == "result", "chat waits for files")
    os.kill(about["pid"], 18)
    check(t.alice.slot("a.bin", 1).url, "it does not come back")


TRIALS = [killed_after_the_answer, killed_at_random, cut_uploads_leave_nothing_behind, too_many_uploads, a_reader_who_does_not_read,
          a_slow_reader_gets_it_all, a_thousand_idle_downloads, half_closed, ident_away, web_away, a_full_disk, killed_at_every_step]


def main():
    why, words = Bongsu.missing(), sys.argv[1:]
    if why:
        raise Failure(why)
    chosen = [t for t in TRIALS if not words or any(w in t.__name__ for w in words)]
    chosen.append(sanitizers_are_silent)
    with Bongsu("files.account_bytes_max = 100G\nfiles.day_bytes_max = 100G\nfiles.uploads_max = 70\n"
                "files.uploads_per_account_max = 64\n") as server:
        server.add_users({"alice": "secret", "bob": "secret"})
        server.wait_ready()
        server.alice = Person(server, "alice")
        failed = play(chosen, server)
        if failed and os.environ.get("LOG"):
            print(server.tail())
    return finish(len(chosen) - failed, failed)


if __name__ == "__main__":
    sys.exit(main())
