#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""web.py: what is answered about files: to those who keep the rules and to those who do not.

    tests/files/web.py                  # all; the server is build/src/processes/bongsu, or $BONGSU
    tests/files/web.py ranges           # those whose name contains a word
"""
import os
import shutil
import sqlite3
import sys
import time

from place import (NS, PNG, STANZAS, Bongsu, Door, Failure, Person, check, failing, finish, get, noise, once, play, put, sanitizers_are_silent,
                   until)

SAFE = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox; default-src 'none'",
        "access-control-allow-origin": "*", "referrer-policy": "no-referrer"}


def what_was_put_is_got(t):
    """A file comes back as it was put, with a name, a tag and safe headers"""
    data = noise(300000)
    slot = t.alice.upload(data, "소식 1.bin")
    answer = get(t, slot)
    check(answer.status == 200 and answer.body == data, f"{answer.status}, {len(answer.body)} bytes")
    for name, value in SAFE.items():
        check(answer.headers.get(name) == value, f"{name}: {answer.headers.get(name)}")
    check(answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%EC%86%8C%EC%8B%9D%201.bin", str(answer.headers))
    check(answer.headers["accept-ranges"] == "bytes" and answer.headers["etag"].startswith('"'), str(answer.headers))
    check(slot.url == slot.get, "two addresses")
    head = get(t, slot, method="HEAD")
    check(head.status == 200 and head.headers["content-length"] == "300000" and head.headers["etag"] == answer.headers["etag"], str(head.headers))


def empty_and_large_files(t):
    """An empty file, and one larger than every buffer, come back"""
    for size in (0, 1, 262143, 262144, 262145, 12345678):
        data = noise(size, size)
        check(get(t, t.alice.upload(data)).body == data, f"{size} bytes")


def pictures_are_shown(t):
    """A picture is shown inline, as what it is; what only calls itself one is not"""
    data = PNG + noise(1000)
    answer = get(t, t.alice.upload(data, "a.png", "image/png"))
    check(answer.headers["content-type"] == "image/png" and answer.headers["content-disposition"].startswith("inline"), str(answer.headers))
    for name, kind, content in (("a.png", "image/png", b"<script>alert(1)</script>"), ("a.gif", "image/gif", b"<html>")):
        answer = get(t, t.alice.upload(content, name, kind))
        check(answer.headers["content-type"] == "application/octet-stream", str(answer.headers))
        check(answer.headers["content-disposition"].startswith("attachment"), str(answer.headers))


def nothing_runs(t):
    """No script, page, style or vector picture is ever given as one"""
    for kind in ("text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript", "application/javascript", "text/css",
                 "application/json", "text/xml", "application/xml", "application/wasm", "application/x-shockwave-flash", "text/x-anything",
                 "image/x+xml", "multipart/mixed", "application/ecmascript"):
        answer = get(t, t.alice.upload(b"<script>alert(1)</script>", "a.html", kind))
        check(answer.headers["content-type"] == "application/octet-stream", f"{kind}: {answer.headers}")
        check(answer.headers["content-disposition"].startswith("attachment"), f"{kind}: {answer.headers}")
        for name, value in SAFE.items():
            check(answer.headers.get(name) == value, f"{kind}: {name}: {answer.headers.get(name)}")
    for kind in ("application/pdf", "application/zip", "text/csv"):
        answer = get(t, t.alice.upload(b"x", "a.x", kind))
        check(answer.headers["content-type"] == kind and answer.headers["content-disposition"].startswith("attachment"), str(answer.headers))


def ranges_are_answered(t):
    """One range is answered with it, several with the whole, one past the end with 416 (RFC 9110 §14)"""
    data = noise(100000)
    slot = t.alice.upload(data)
    for header, status, body, told in (
            ("bytes=0-99", 206, data[:100], "bytes 0-99/100000"), ("bytes=99990-", 206, data[-10:], "bytes 99990-99999/100000"),
            ("bytes=-5", 206, data[-5:], "bytes 99995-99999/100000"), ("bytes=5-3", 200, data, None),
            ("bytes=0-1,5-6", 200, data, None), ("lines=1-2", 200, data, None), ("bytes=0-999999", 206, data, "bytes 0-99999/100000")):
        answer = get(t, slot, f"Range: {header}\r\n")
        check(answer.status == status and answer.body == body, f"{header} → {answer.status}, {len(answer.body)} bytes")
        check(answer.headers.get("content-range") == told, f"{header} → {answer.headers}")
    answer = get(t, slot, "Range: bytes=100000-\r\n")
    check(answer.status == 416 and answer.headers["content-range"] == "bytes */100000", f"{answer.status} {answer.headers}")
    tag = get(t, slot, method="HEAD").headers["etag"]
    check(get(t, slot, f"Range: bytes=0-0\r\nIf-Range: {tag}\r\n").status == 206, "If-Range with the tag")
    check(get(t, slot, 'Range: bytes=0-0\r\nIf-Range: "other"\r\n').status == 200, "If-Range with another tag")


def known_files_are_not_sent(t):
    """If-None-Match gets 304, If-Match of another file 412"""
    slot = t.alice.upload(b"hello")
    tag = get(t, slot).headers["etag"]
    for header in (tag, f'"x", W/{tag}', "*"):
        answer = get(t, slot, f"If-None-Match: {header}\r\n")
        check(answer.status == 304 and not answer.body, f"{header} → {answer.status}")
    check(get(t, slot, 'If-None-Match: "x"\r\n').status == 200, "another tag")
    check(get(t, slot, 'If-Match: "x"\r\n').status == 412, "If-Match of another")
    check(get(t, slot, f"If-Match: {tag}\r\n").status == 200, "If-Match")


def links_are_not_guessed(t):
    """Made-up, changed and climbing addresses are not found; nothing outside is ever given"""
    slot = t.alice.upload(b"secret", "a.txt", "text/plain")
    ident, name = slot.path.split("/")[2:4]
    other = ("A" if ident[5] != "A" else "B").join((ident[:5], ident[6:]))
    for path in (f"/files/{other}/{name}", f"/files/{ident}/b.txt", f"/files/{ident}/", f"/files/{ident}", "/files/", "/files/x/y",
                 f"/files/{ident}/{name}/x", f"/files/{ident}/../{ident}/b.txt", f"/files/{ident}/%2e%2e/{name}",
                 f"/files/{ident}/%2Fetc%2Fpasswd", "/files/../web.db", "/files/%2e%2e/web.db"):
        answer = once(t, "GET", path)
        check(answer.status in (400, 404) and b"secret" not in answer.body, f"{path} → {answer.status}")
    check(len(ident) == 32, "less than 128 bits")


def the_slot_is_kept(t):
    """Another size, type, name or person than the slot's is refused, and so is no slot"""
    bob = Person(t, "bob")
    slot, other = t.alice.slot("a.png", 10, "image/png"), bob.slot("a.png", 10, "image/png")
    for want, headers, body, more in (
            (413, slot.auth, b"x" * 11, {}), (400, slot.auth, b"x" * 9, {}), (415, slot.auth + "Content-Type: text/html\r\n", b"x" * 10, {}),
            (401, "", b"x" * 10, {}), (403, other.auth, b"x" * 10, {}), (403, "Authorization: Bearer x\r\n", b"x" * 10, {}),
            (403, slot.auth.replace(slot.auth.strip()[-4:], "AAAA"), b"x" * 10, {}), (401, "Authorization: Basic x\r\n", b"x" * 10, {})):
        answer = once(t, "PUT", slot.path, headers, body, **more)
        check(answer.status == want and answer.headers.get("connection", "close") == "close", f"{headers!r} → {answer.status}, not {want}")
    door = Door(t)
    door.send(f"PUT {slot.path} HTTP/1.1\r\nHost: h\r\n{slot.auth}Transfer-Encoding: chunked\r\n\r\na\r\n{'x' * 10}\r\n0\r\n\r\n".encode())
    check(door.answer().status == 411, "chunked")
    check(once(t, "PUT", slot.path.replace("a.png", "b.png"), slot.auth, b"x" * 10).status == 403, "another name")
    check(get(t, slot).status == 404, "something was kept")
    check(put(t, slot, b"x" * 10, "image/png").status == 201, "the right one")
    check(put(t, slot, b"x" * 10, "image/png").status == 201, "the same again: the answer may have been lost")
    check(put(t, slot, b"y" * 10, "image/png").status == 409, "another content into the same slot")
    check(get(t, slot).body == b"x" * 10, "the first one stays")
    for method in ("POST", "DELETE", "PROPFIND"):
        check(once(t, method, slot.path, slot.auth).status == 405, method)
    bob.close()


def early_answers_reach_who_sends(t):
    """Who sends a large body that is refused reads why"""
    slot = t.alice.slot("a.bin", 5000000)
    door = Door(t)
    try:
        door.send(f"PUT {slot.path} HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n".encode())
        for _ in range(50):
            door.send(b"x" * 100000)
    except OSError:
        pass
    check(door.answer().status == 401, "no answer")


def expect_continue(t):
    """Who waits for 100 Continue gets it, or the refusal instead"""
    slot = t.alice.slot("a.bin", 5)
    door = Door(t)
    door.send(f"PUT {slot.path} HTTP/1.1\r\nHost: h\r\n{slot.auth}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode())
    check(door.head()[0] == 100, "no 100")
    door.send(b"hello")
    check(door.answer().status == 201, "no 201")
    door = Door(t)
    door.send(f"PUT {slot.path} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode())
    check(door.head()[0] == 401, "no 401")


def offset_of(t, slot):
    answer = once(t, "HEAD", slot.path, slot.auth)
    check(answer.status == 204, f"HEAD → {answer.status}")
    return int(answer.headers["upload-offset"]), answer.headers["upload-complete"]


def patch(t, slot, data, offset, complete="?1"):
    return once(t, "PATCH", slot.path, f"{slot.auth}Content-Type: application/partial-upload\r\nUpload-Offset: {offset}\r\n"
                                       f"Upload-Complete: {complete}\r\n", data)


def a_cut_upload_goes_on(t):
    """An upload that was cut is not served, tells how far it came, and goes on from there"""
    data = noise(3000000, 5)
    slot = t.alice.slot("a.bin", len(data))
    check(offset_of(t, slot) == (0, "?0"), "something is there already")
    door = Door(t)
    door.send(f"PUT {slot.path} HTTP/1.1\r\nHost: h\r\n{slot.auth}Content-Length: {len(data)}\r\n\r\n".encode() + data[:1234567])
    until(lambda: offset_of(t, slot)[0] > 0, "nothing arrives")
    door.drop()
    until(lambda: offset_of(t, slot)[0] == 1234567, f"it stays at {offset_of(t, slot)}")
    check(get(t, slot).status == 404, "half a file is served")
    wrong = patch(t, slot, data[1000:], 1000)
    check(wrong.status == 409 and wrong.headers["upload-offset"] == "1234567", f"wrong offset → {wrong.status} {wrong.headers}")
    check(patch(t, slot, data[1234567:], 1234567).status == 201, "the rest")
    check(get(t, slot).body == data and offset_of(t, slot) == (len(data), "?1"), "another file")
    again = patch(t, slot, b"", len(data))
    check(again.status == 409 and again.headers["upload-complete"] == "?1", f"after the end → {again.status}")


def an_upload_in_pieces(t):
    """A file may come in pieces, each answered with how far it came"""
    data = noise(1000000, 6)
    slot = t.alice.slot("a.bin", len(data))
    for at in range(0, 900000, 300000):
        answer = patch(t, slot, data[at:at + 300000], at, "?0")
        check(answer.status == 204 and answer.headers["upload-offset"] == str(at + 300000), f"{answer.status} {answer.headers}")
    check(patch(t, slot, data[900000:] + b"x", 900000).status == 413, "too much")
    check(patch(t, slot, data[900000:-1], 900000).status == 400, "too little")
    check(once(t, "PATCH", slot.path, slot.auth + "Upload-Offset: 900000\r\n", data[900000:]).status == 415, "no type")
    check(patch(t, slot, data[900000:], 900000).status == 201 and get(t, slot).body == data, "the last")


def a_second_try_takes_over(t):
    """A second connection takes an upload over that hangs on the first one"""
    data = noise(500000, 7)
    slot = t.alice.slot("a.bin", len(data))
    door = Door(t)
    door.send(f"PUT {slot.path} HTTP/1.1\r\nHost: h\r\n{slot.auth}Content-Length: {len(data)}\r\n\r\n".encode() + data[:100000])
    until(lambda: t.status()["files"]["coming"] > 0, "nothing is coming")
    first = put(t, slot, data)
    check(first.status in (201, 503), f"{first.status}")
    until(lambda: put(t, slot, data).status == 201, "it cannot take over")
    check(get(t, slot).body == data, "another file")


def equal_files_are_kept_once(t):
    """The same bytes from two people lie on the disk once, and stay while one of them has them"""
    data = noise(50000, 8)
    carol = Person(t, "carol")
    before = len(t.blobs())
    first, second = t.alice.upload(data), carol.upload(data, "b.bin")
    check(len(t.blobs()) == before + 1, "two copies")
    t.run("user", "del", "carol")
    until(lambda: get(t, second).status == 404, "the file of an account that is gone is there")
    time.sleep(1.5)
    check(get(t, first).body == data, "the other one's file went with it")
    carol.close()


def an_account_that_is_gone_leaves_no_file(t):
    """The files of a deleted account go, from the disk too"""
    data = noise(50000, 9)
    dave = Person(t, "dave")
    slot, before = dave.upload(data), len(t.blobs())
    t.run("user", "del", "dave")
    until(lambda: get(t, slot).status == 404, "it is served")
    until(lambda: len(t.blobs()) == before - 1, "its bytes stay")
    dave.close()


def web_pages_of_any_site_may(t):
    """A script of another site may upload and read (CORS), and its preflight is answered"""
    slot = t.alice.slot("a.bin", 3)
    answer = once(t, "OPTIONS", slot.path, "Origin: https://other.example\r\nAccess-Control-Request-Method: PUT\r\n"
                                           "Access-Control-Request-Headers: authorization, content-type\r\n")
    check(answer.status == 204 and answer.headers["access-control-allow-origin"] == "*", str(answer.headers))
    for word in ("GET", "PUT", "PATCH", "HEAD"):
        check(word in answer.headers["access-control-allow-methods"], str(answer.headers))
    for word in ("authorization", "content-type", "range", "upload-offset"):
        check(word in answer.headers["access-control-allow-headers"].lower(), str(answer.headers))
    check(put(t, slot, b"abc").headers["access-control-allow-origin"] == "*", "PUT")


def one_connection_does_it_all(t):
    """Requests on one connection are answered in turn: pages, files, an upload"""
    slot, door = t.alice.slot("a.bin", 100000), Door(t)
    data = noise(100000, 10)
    check(door.ask("GET", "/app.json").status == 200, "a page")
    check(door.ask("PUT", slot.path, slot.auth, data).status == 201, "an upload")
    for _ in range(3):
        check(door.ask("GET", slot.path).body == data, "a file")
    check(door.ask("GET", "/app.json").status == 200, "a page")
    door.send(f"GET {slot.path} HTTP/1.1\r\nHost: h\r\n\r\nGET /health/live HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    check(door.answer().body == data and door.answer().body == b"live\n", "two requests at once")
    check(get(t, slot, "Connection: close\r\n").body == data, "with Connection: close")


def quotas_are_told(t):
    """A quota is told with the slot: how much is left, or when to come back; a smaller file passes"""
    erin = Person(t, "erin")
    for i in range(2):
        erin.upload(noise(3000000, 20 + i))
    error = failing(erin.slot, "a.bin", 3000000)
    check(error.get("type") == "wait" and error.find(f"{{{STANZAS}}}resource-constraint") is not None, "another error")
    retry = error.find(f"{{{NS}}}retry")
    check(retry is not None and retry.get("stamp").endswith("Z"), "no time to come back")
    check(abs(time.mktime(time.strptime(retry.get("stamp"), "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - time.time() - 86400) < 120, retry.get("stamp"))
    erin.upload(noise(1000000, 22))
    error = failing(erin.slot, "a.bin", 20000000)
    check(error.find(f"{{{NS}}}file-too-large/{{{NS}}}max-file-size").text == "15000000", "not the largest size")
    many = [erin.slot("a.bin", 900000) for _ in range(4)]
    stati = [put(t, s, noise(900000, 30 + i)).status for i, s in enumerate(many)]
    check(stati.count(201) == 1 and stati.count(413) == 3, f"slots that were asked for before go past the quota: {stati}")
    erin.close()


def the_whole_room_of_an_account(t):
    """When an account's room is full, the error says how much is left"""
    frank = Person(t, "frank")
    frank.upload(noise(6000000, 40))
    db = sqlite3.connect(os.path.join(t.dir, "data/web.db"))
    db.execute("UPDATE file SET made_us = made_us - 200000000000 WHERE owner = 'frank'")      # it was not today
    db.commit()
    db.close()
    error = failing(frank.slot, "a.bin", 6500000)
    check(error.get("type") == "wait" and "6000000" in "".join(error.itertext()), "".join(error.itertext()))
    check(error.find(f"{{{NS}}}retry") is None, "waiting does not help")
    frank.close()


def old_slots_are_worth_nothing(t):
    """Files past their time go at the next look, from the disk too"""
    slot = t.alice.upload(noise(40000, 50))
    db = sqlite3.connect(os.path.join(t.dir, "data/web.db"))
    db.execute("UPDATE file SET made_us = made_us - 86400000000 * 11 WHERE bytes = 40000")
    db.commit()
    db.close()
    before = len(t.blobs())
    t.restart()
    t.wait_ready()
    until(lambda: get(t, slot).status == 404, "it is served")
    until(lambda: len(t.blobs()) < before, "its bytes stay")
    t.alice = Person(t, "alice")


def status_counts(t):
    """`bongsu status` and the metrics tell how many files there are, and their bytes"""
    t.alice.upload(noise(77777, 60))
    before = t.status()["files"]
    t.alice.upload(noise(77777, 60), "again.bin")
    after = t.status()["files"]
    check(after["count"] == before["count"] + 1 and after["bytes"] == before["bytes"] + 77777
          and after["bytes_on_disk"] == before["bytes_on_disk"] and after["coming"] == 0, f"{before} {after}")
    check(f"{after['count']} files" in t.run("status"), t.run("status"))
    text = t.run("top", "--once")
    for name in ("bongsu_files_uploaded_total", "bongsu_files_bytes_in_total", "bongsu_files_slots_total"):
        check(name in text, name)


def backups_hold_the_files(t):
    """A backup holds the files too, and a restore brings them back"""
    data, later = noise(90000, 70), noise(90000, 71)
    slot = t.alice.upload(data)
    path = os.path.join(t.dir, "copy")
    t.run("backup", path)
    after = t.alice.upload(later)
    t.stop()
    shutil.rmtree(os.path.join(t.dir, "data/files"))
    t.run("restore", path)
    t.run("db", "check")
    t.start()
    t.wait_ready()
    check(get(t, slot).body == data, "the file is not back")
    check(get(t, after).status == 404, "a file of after the backup is there")
    t.stop()
    os.remove(os.path.join(path, "web.db"))
    shutil.rmtree(os.path.join(path, "files"))
    t.run("restore", path)              # a backup of before there were files leaves them alone
    t.start()
    t.wait_ready()
    check(get(t, slot).body == data, "a restore without files took them away")
    t.alice = Person(t, "alice")


def it_ends_in_order(t):
    """The server ends in order with connections open, and starts again"""
    slot, door, half = t.alice.upload(noise(3000000, 80)), Door(t, buffer=4096), Door(t)
    other = t.alice.slot("a.bin", 1000000)
    door.send(f"GET {slot.path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    half.send(f"PUT {other.path} HTTP/1.1\r\nHost: h\r\n{other.auth}Content-Length: 1000000\r\n\r\n".encode() + noise(600000))
    until(lambda: t.status()["files"]["coming"] == 1, "nothing is coming")
    t.restart()
    t.wait_ready()
    check(get(t, slot).status == 200 and get(t, other).status == 404, "after the restart")
    t.alice = Person(t, "alice")


TRIALS = [what_was_put_is_got, empty_and_large_files, pictures_are_shown, nothing_runs, ranges_are_answered, known_files_are_not_sent,
          links_are_not_guessed, the_slot_is_kept, early_answers_reach_who_sends, expect_continue, a_cut_upload_goes_on, an_upload_in_pieces,
          a_second_try_takes_over, equal_files_are_kept_once, an_account_that_is_gone_leaves_no_file, web_pages_of_any_site_may,
          one_connection_does_it_all, status_counts, old_slots_are_worth_nothing, it_ends_in_order, backups_hold_the_files]
BOUNDED = [quotas_are_told, the_whole_room_of_an_account]


def play_on(trials, extra, words):
    chosen = [t for t in trials if not words or any(w in t.__name__ for w in words)]
    if not chosen:
        return 0, 0
    chosen.append(sanitizers_are_silent)
    with Bongsu(extra) as server:
        server.add_users({name: "secret" for name in ("alice", "bob", "carol", "dave", "erin", "frank")})
        server.wait_ready()
        server.alice = Person(server, "alice")
        failed = play(chosen, server)
        if failed and os.environ.get("LOG"):
            print(server.tail())
    return len(chosen) - failed, failed


def main():
    why = Bongsu.missing()
    if why:
        raise Failure(why)
    first = play_on(TRIALS, "files.keep_time_max = 10d\n", sys.argv[1:])
    second = play_on(BOUNDED, "files.bytes_max = 15000000\nfiles.day_bytes_max = 8000000\nfiles.account_bytes_max = 12000000\n", sys.argv[1:])
    return finish(first[0] + second[0], first[1] + second[1])


if __name__ == "__main__":
    sys.exit(main())
