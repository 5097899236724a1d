#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""workers.py: several workers of talk on one machine. Needs PostgreSQL and NATS: tools/with-postgres tests/operate/workers.py"""
import asyncio
import functools
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402
from trials import check, play                                              # noqa: E402

PEOPLE = [f"p{n}" for n in range(9)]


def status(s):
    done = subprocess.run([servers.BONGSU, "status", "--json", "--config", s.config], text=True, capture_output=True, timeout=60)
    check(done.stdout, done.stderr)
    return json.loads(done.stdout)


async def until(true, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        check(time.monotonic() < deadline, what)
        await asyncio.sleep(0.1)


async def everybody(s):
    streams = {}
    for name in PEOPLE:
        streams[name] = await xmpp.log_in(s, name, "secret")
        streams[name].send("<presence/>")
        await streams[name].ask("get", "<ping xmlns='urn:xmpp:ping'/>", s.domain)
    return streams


async def all_hear(s, streams, round_name):
    """Each writes to each; who is on another worker hears it too."""
    for name, stream in streams.items():
        for other in streams:
            if other != name:
                stream.send(f"<message to='{other}@{s.domain}' type='chat' id='{round_name}-{name}-{other}'><body>x</body></message>")
    for name, stream in streams.items():
        missing = {f"{round_name}-{other}-{name}" for other in streams if other != name}
        while missing:
            item = await stream.take(10)
            check(item not in (None, xmpp.GONE), f"{name} misses {len(missing)}: {sorted(missing)[:3]}, {item}")
            if hasattr(item, "tag") and xmpp.local(item) == "message":
                missing.discard(item.get("id"))


# ---- the promises ----

async def load_spreads(s):
    """connections spread over the workers, and status and metrics know each"""
    told = status(s)
    check(set(told["roles"]) == {"ident", "courier", "talk", "talk2", "talk3", "web"} and all(r["ready"] for r in told["roles"].values()), f"{told}")
    links = [await asyncio.open_connection("127.0.0.1", s.port) for _ in range(90)]
    await asyncio.sleep(0.5)
    counts = {name: w["sessions"] for name, w in status(s)["workers"].items()}
    check(sum(counts.values()) == 90 and min(counts.values()) >= 10, f"{counts}")
    check(status(s)["talk"]["sessions"] == 90, "the sum")
    top = subprocess.run([servers.BONGSU, "top", "--once", "--config", s.config], text=True, capture_output=True)
    check("\ntalk3\n" in top.stdout, top.stdout[:500])
    for _, writer in links:
        writer.close()


async def people_on_all_workers_chat(s):
    """people on different workers hear each other at once"""
    streams = await everybody(s)
    counts = {name: w["sessions"] for name, w in status(s)["workers"].items()}
    check(sum(c > 0 for c in counts.values()) >= 2, f"{counts}")
    await all_hear(s, streams, "chat")


async def a_worker_dies_alone(s):
    """a killed worker takes no one with it but its own, and comes back"""
    streams = await everybody(s)
    os.kill(status(s)["roles"]["talk2"]["pid"], signal.SIGKILL)
    await asyncio.sleep(0.3)
    alive = {}
    for name, stream in streams.items():
        try:
            await stream.ask("get", "<ping xmlns='urn:xmpp:ping'/>", s.domain, seconds=5)
            alive[name] = stream
        except Exception:
            pass
    check(len(alive) >= 2, f"{len(alive)} of {len(streams)} streams are left")
    await all_hear(s, alive, "left")
    await until(lambda: status(s)["roles"]["talk2"]["ready"], "talk2 did not come back")
    check(status(s)["roles"]["talk2"]["restarts"] == 1, "it was not counted")
    await all_hear(s, await everybody(s), "back")


async def answers(stream, domain):
    try:
        return await asyncio.wait_for(stream.ask("get", "<ping xmlns='urn:xmpp:ping'/>", domain), 1.5) is not None
    except (asyncio.TimeoutError, xmpp.XMPPError, EOFError):
        return False


async def a_frozen_worker_is_given_up_and_comes_back(s):
    """a worker stands still until the others bury it: whose device is there sees all that came meanwhile, once and in order"""
    streams = await everybody(s)
    pid = status(s)["roles"]["talk2"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        there = dict(zip(streams, await asyncio.gather(*(answers(x, s.domain) for x in streams.values()))))
        bob, alice = [n for n, a in there.items() if not a][0], [n for n, a in there.items() if a][0]
        s.end_nats()                        # what is told meanwhile is lost for the frozen one
        s.start_nats()
        await asyncio.sleep(1)
        for n in range(28):                 # some before its burial, some after: those are put aside
            streams[alice].send(f"<message to='{bob}@{s.domain}' type='chat' id='m{n}'><body>{n}</body></message>")
            await asyncio.sleep(0.5)
    finally:
        os.kill(pid, signal.SIGCONT)
    came = []
    while len(came) < 28:
        item = await streams[bob].take(15)
        check(item not in (None, xmpp.GONE), f"{bob} saw only {came}")
        if hasattr(item, "tag") and xmpp.local(item) == "message":
            came.append(int(item.get("id")[1:]))
    check(came == list(range(28)), f"{bob} saw {came}")
    more = await streams[bob].take(2)
    check(more is None or xmpp.local(more) != "message", "something came twice")


async def restart_serves_all_the_time(s):
    """during `bongsu restart` log-ins go on, and every worker is replaced"""
    before = status(s)["roles"]
    restart = subprocess.Popen([servers.BONGSU, "restart", "--config", s.config], text=True, stdout=subprocess.PIPE)
    log_ins = failures = 0
    while restart.poll() is None:
        try:
            await xmpp.log_in(s, PEOPLE[log_ins % len(PEOPLE)], "secret")
        except (xmpp.XMPPError, OSError, asyncio.TimeoutError) as e:
            failures += 1
            last = e
        log_ins += 1
    said = restart.stdout.read()
    check(restart.returncode == 0 and "6 roles were restarted" in said, said)
    after = status(s)["roles"]
    check(all(after[r]["pid"] != before[r]["pid"] and after[r]["ready"] for r in before), f"{after}")
    check(log_ins >= 5, f"only {log_ins} log-ins were tried")
    # A stream that opens on a worker just as it ends is told so, and its client comes again: one for each worker at most.
    check(failures <= 3, f"{failures} of {log_ins} log-ins failed, the last with {last if failures else None}")
    print(f"      {log_ins} log-ins, {failures} told to come again")
    await all_hear(s, await everybody(s), "new")


TESTS = (load_spreads, people_on_all_workers_chat, a_frozen_worker_is_given_up_and_comes_back, a_worker_dies_alone, restart_serves_all_the_time)


def played(test):
    @functools.wraps(test)
    def run(server):
        asyncio.run(test(server))
    return run


def main():
    why = servers.BongsuWorkers.missing()
    if why:
        print(f"skip  {why}\n0 passed, 0 failed, {len(TESTS)} skipped")
        return 0
    failed = 0
    server = servers.BongsuWorkers()
    try:
        server.start()
        server.add_users({name: "secret" for name in PEOPLE})
        failed = play([played(t) for t in TESTS], server)
    finally:
        server.remove()
    print(f"{len(TESTS) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
