#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""Breaks the messenger under a stream of messages and counts what is missing.

  crash.py --mode kill --breaks 300     SIGKILL to talk at random moments
  crash.py --mode write                 the n-th commit fails, for n = 1, 2, 3, …
  crash.py --mode powercut              at the n-th sync unsynced writes are dropped and talk dies
  crash.py --mode full                  the disk is full for a while

Each client numbers its messages to each friend, keeps what is not acknowledged
(XEP-0198), resumes after a break, and sends again with the same origin-id what was
not counted. At the end every client reads its archive. Must be 0: acknowledged
messages missing from either archive, messages seen twice, out of order, or never.
"""
import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import server as servers                                                    # noqa: E402
import xmpp                                                                 # noqa: E402

NS_SM, NS_MAM, NS_RSM = "urn:xmpp:sm:3", "urn:xmpp:mam:2", "http://jabber.org/protocol/rsm"
CLIENT = "{jabber:client}"


class Outgoing:
    def __init__(self, to, number, origin):
        self.to, self.number, self.origin = to, number, origin
        self.count = None           # its XEP-0198 number on the current stream; None: not sent on it


class Client:
    def __init__(self, server, name, friends, window, rng):
        self.server, self.name, self.friends, self.window, self.rng = server, name, friends, window, rng
        self.unacked = []           # Outgoing, in order
        self.sent = {f: 0 for f in friends}
        self.acked = set()          # (to, number)
        self.seen = {f: 0 for f in friends}
        self.faults = []            # what must not happen, in words
        self.refused = 0
        self.refusals = {}          # condition: how often
        self.resumed = self.rebound = 0
        self.id = None              # of the resumable stream
        self.sm_in = self.sm_out = 0
        self.stream = None
        self.sending = True
        self.run_task = None

    # ---- hearing ----
    def hears(self, item):
        if item is xmpp.GONE or item is xmpp.CLOSE:
            return False
        if item.tag == f"{{{NS_SM}}}a":
            self.take_h(int(item.get("h")))
            return True
        if item.tag == CLIENT + "message":
            self.take_message(item)
            return True
        return item.tag == CLIENT + "presence"

    def take_h(self, h):
        while self.unacked and self.unacked[0].count is not None and self.unacked[0].count <= h:
            o = self.unacked.pop(0)
            self.acked.add((o.to, o.number))

    def take_message(self, m):
        body = m.find(CLIENT + "body")
        if m.get("type") == "error":
            self.take_refusal(m)
            return
        if body is None:
            return
        sender, number = body.text.split()
        number = int(number)
        if number == self.seen[sender] + 1:
            self.seen[sender] = number
        elif number <= self.seen[sender]:
            self.faults.append(f"twice: {self.name} saw {sender} {number} again after {self.seen[sender]}")
        else:
            self.faults.append(f"order: {self.name} saw {sender} {number} after {self.seen[sender]}")
            self.seen[sender] = number

    def take_refusal(self, m):
        """The server said that it could not store it: it is ours again."""
        to, number = m.get("id").split(".")[1:3]
        self.refused += 1
        condition = m.find(CLIENT + "error")[0].tag.rpartition("}")[2]
        self.refusals[condition] = self.refusals.get(condition, 0) + 1
        o = next((u for u in self.unacked if u.to == to and u.number == int(number)), None)
        if o is None:
            o = Outgoing(to, int(number), m.get("id"))
            self.unacked.insert(0, o)
        self.acked.discard((to, int(number)))
        o.count = None

    # ---- saying ----
    def write(self, text):
        self.stream.sm_out = 0
        self.stream.send_raw(text)

    def stanza(self, text):
        self.sm_out += 1
        self.write(text)

    def say(self, o):
        self.stanza(f"<message to='{o.to}@{self.server.domain}' type='chat' id='{o.origin}'>"
                    f"<body>{self.name} {o.number}</body><origin-id xmlns='urn:xmpp:sid:0' id='{o.origin}'/></message>")
        o.count = self.sm_out
        self.write(f"<r xmlns='{NS_SM}'/>")

    async def talk(self):
        """Sends while the stream lives."""
        while self.stream and not self.gone():
            for o in self.unacked:
                if o.count is None:
                    self.say(o)
            if self.sending and len(self.unacked) < self.window:
                to = self.rng.choice(self.friends)
                self.sent[to] += 1
                o = Outgoing(to, self.sent[to], f"{self.name}.{to}.{self.sent[to]}")
                self.unacked.append(o)
                self.say(o)
            await asyncio.sleep(self.rng.random() * 0.01)

    def gone(self):
        return any(i is xmpp.GONE or i is xmpp.CLOSE for i in self.stream.items)

    # ---- coming and going ----
    async def connect(self):
        stream, features = await xmpp.connect(self.server, "tls")
        await xmpp.authenticate(stream, features, self.name, "secret-" + self.name)
        await xmpp.open_stream(stream, self.server.domain)
        stream.sm_acks = True
        for o in self.unacked:
            o.count = o.count if self.id else None
        if self.id and await self.resume(stream):
            self.resumed += 1
            return
        await xmpp.bind(stream, "phone")
        self.rebound += 1
        self.stream = stream
        stream.hears = self.hears
        stream.send_raw(f"<enable xmlns='{NS_SM}' resume='true'/>")
        enabled = await stream.take_where(lambda i: i.tag == f"{{{NS_SM}}}enabled", 10)
        if enabled is None:
            raise xmpp.XMPPError("stream management was not enabled")
        stream.sm, stream.sm_in = True, 0
        self.id, self.sm_out = enabled.get("id"), 0
        for o in self.unacked:
            o.count = None
        self.stanza("<presence/>")

    async def resume(self, stream):
        stream.sm, stream.sm_in = True, self.sm_in
        old, self.stream = self.stream, stream
        stream.hears = self.hears
        stream.send_raw(f"<resume xmlns='{NS_SM}' previd='{self.id}' h='{self.sm_in}'/>")
        answer = await stream.take_where(lambda i: i.tag in (f"{{{NS_SM}}}resumed", f"{{{NS_SM}}}failed"), 15)
        if answer is None:
            self.stream = old
            raise xmpp.XMPPError("a resumption was not answered")
        if answer.get("h"):
            self.take_h(int(answer.get("h")))
            self.sm_out = int(answer.get("h"))
        self.stream = stream
        for o in self.unacked:
            o.count = None
        if answer.tag.endswith("failed"):
            self.id = None
            stream.sm = False
            return False
        return True

    async def live(self):
        while True:
            try:
                await self.connect()
                await self.talk()
            except (OSError, xmpp.XMPPError, asyncio.TimeoutError, EOFError):
                pass
            if self.stream:
                self.sm_in = self.stream.sm_in
                self.stream.link.abort()
            await asyncio.sleep(0.02 + self.rng.random() * 0.1)

    # ---- the end ----
    def idle(self):
        return not self.unacked

    async def archive(self):
        """Everything the archive holds: {(from, to): [number…]} and how often each was met."""
        stream = await xmpp.log_in(self.server, self.name, "secret-" + self.name, "reader", "tls")
        found, after = {}, ""
        while True:
            page = []
            stream.hears = lambda i: (page.append(i) or True) if i is not xmpp.GONE and i is not xmpp.CLOSE and \
                i.tag == CLIENT + "message" else False
            answer = await stream.ask("set", f"<query xmlns='{NS_MAM}'><set xmlns='{NS_RSM}'><max>100</max>{after}</set></query>",
                                      seconds=30)
            fin = answer.find(f"{{{NS_MAM}}}fin")
            for m in page:
                inner = m.find(f".//{{urn:xmpp:forward:0}}forwarded/{CLIENT}message")
                body = inner.find(CLIENT + "body").text.split() if inner is not None else ["", 0]
                key = (body[0], inner.get("to").split("@")[0], int(body[1]))
                found[key] = found.get(key, 0) + 1
            if fin is None or fin.get("complete") == "true" or not page:
                break
            last = fin.find(f"{{{NS_RSM}}}set/{{{NS_RSM}}}last").text
            after = f"<after>{last}</after>"
        stream.link.abort()
        return found


# ---- breaking ----

def talk_pid(server):
    out = subprocess.run(["pgrep", "-P", str(server.process.pid), "-f", "talk"], capture_output=True, text=True).stdout
    pids = [int(p) for p in out.split()]
    return pids[0] if pids else None


async def break_by_kill(server, args, rng):
    nodes = getattr(server, "nodes", None)      # several messengers: one of them
    done = 0
    while done < args.breaks:
        await asyncio.sleep(args.pause * (0.3 + rng.random()))
        pid = talk_pid(rng.choice(nodes) if nodes else server)
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
                done += 1
            except ProcessLookupError:
                pass
    return done


async def break_by_waiting(server, args, rng):
    """The breaks are in the server's environment; count its deaths or failures by its log."""
    await asyncio.sleep(args.seconds)
    done = count_in_log(server, args.sign)
    if args.mode == "powercut":     # the rest of the test happens on a machine that stays up
        del os.environ["BONGSU_POWERCUT"]
        await asyncio.get_running_loop().run_in_executor(None, server.restart)
    return done


def count_in_log(server, sign):
    with open(server.log, errors="replace") as f:
        return sum(sign in line for line in f)


async def break_by_full_disk(server, args, rng):
    data = os.path.join(server.dir, "data")
    done = 0
    for _ in range(args.breaks):
        await asyncio.sleep(2)
        filler = os.path.join(data, "filler")
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"\0" * 65536)
            except OSError:
                pass
        await asyncio.sleep(4)
        os.unlink(filler)
        await asyncio.sleep(3)
        done += 1
    return done


MODES = {
    # mode: (environment, break, window)
    "kill": ({}, break_by_kill, 5),
    "write": ({"BONGSU_FAULT": ""}, break_by_waiting, 1),
    "powercut": ({"BONGSU_POWERCUT": ""}, break_by_waiting, 5),
    "full": ({}, break_by_full_disk, 1),
}


async def settle(clients, seconds):
    """Everything acknowledged and everything arrived."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all(c.idle() for c in clients) and all(
                f.seen[c.name] == c.sent[f.name] for c in clients for f in clients if f is not c and f.name in c.sent):
            return True
        await asyncio.sleep(0.1)
    return False


async def run(server, args):
    rng = random.Random(args.seed)
    names = [f"c{i}" for i in range(args.clients)]
    environment, breaker, window = MODES[args.mode]
    clients = [Client(server, n, [f for f in names if f != n], args.window or window, random.Random(f"{args.seed}{n}"))
               for n in names]
    for c in clients:
        c.run_task = asyncio.ensure_future(c.live())
    await asyncio.sleep(1)
    breaks = await breaker(server, args, rng)
    for c in clients:
        c.sending = False
    settled = await settle(clients, 60)
    for c in clients:
        c.run_task.cancel()
    await asyncio.sleep(0.2)
    never = [f"never: {f.name} saw {c.name} only up to {f.seen[c.name]} of {c.sent[f.name]}"
             for c in clients for f in clients if f is not c and f.seen[c.name] != c.sent[f.name]]
    archives = {c.name: await c.archive() for c in clients}
    missing = [f"missing: {c.name} to {to} number {n} in the archive of {owner}"
               for c in clients for (to, n) in sorted(c.acked) for owner in (c.name, to)
               if archives[owner].get((c.name, to, n), 0) != 1]
    return clients, breaks, settled, never, missing


def report(args, clients, breaks, settled, never, missing):
    faults = [f for c in clients for f in c.faults]
    twice = [f for f in faults if f.startswith("twice")]
    order = [f for f in faults if f.startswith("order")]
    print(f"mode {args.mode}: {breaks} breaks, {len(clients)} clients, {sum(sum(c.sent.values()) for c in clients)} messages, "
          f"{sum(len(c.acked) for c in clients)} acknowledged, {sum(c.refused for c in clients)} refused, "
          f"{sum(c.resumed for c in clients)} resumed, {sum(c.rebound for c in clients)} bound anew")
    refusals = {k: sum(c.refusals.get(k, 0) for c in clients) for c in clients for k in c.refusals}
    if refusals:
        print("refused: " + ", ".join(f"{k} {n}" for k, n in sorted(refusals.items())))
    checks = [("acknowledged messages missing from an archive", missing), ("messages seen twice", twice),
              ("messages out of order", order), ("messages that never arrived", never)]
    failed = 0
    for what, found in checks:
        print(f"{'ok     ' if not found else 'not ok '} {what}: {len(found)}")
        for line in found[:10]:
            print("        " + line)
        failed += bool(found)
    if not settled:
        print("        (not everything was acknowledged and delivered when the time was up)")
    enough = breaks >= args.breaks_least
    print(f"{'ok     ' if enough else 'not ok '} breaks that really happened: {breaks}, at least {args.breaks_least} expected")
    failed += not enough
    if args.mode in ("write", "full"):
        told = sum(c.refused for c in clients) > 0
        print(f"{'ok     ' if told else 'not ok '} the senders were told")
        failed += not told
    print(f"{len(checks) + 1 + (args.mode in ('write', 'full')) - failed} passed, {failed} failed, 0 skipped")
    return failed


def prepare(args, server):
    """What the mode needs before the server starts; returns what undoes it, or a reason to skip."""
    if args.mode == "write":
        args.sign = "db.unhealthy"
        server.extra_environment = {"BONGSU_FAULT": ",".join(f"db.commit={n}:io" for n in range(40, 40 + 15 * 23, 23))}
    elif args.mode == "powercut":
        args.sign = "proc.died"
        server.extra_environment = {"BONGSU_POWERCUT": str(args.nth), "BONGSU_FAULT_ROLE": "talk"}
    elif args.mode == "full":
        data = os.path.join(server.dir, "data")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=777", "tmpfs", data], capture_output=True, text=True)
        if done.returncode:
            return None, f"a small disk could not be mounted: {done.stderr.strip()}"
        return (lambda: subprocess.run(["umount", "-l", data])), None
    return (lambda: None), None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mode", choices=MODES, default="kill")
    p.add_argument("--breaks", type=int, default=0, help="how many (kill: 300, full: 3)")
    p.add_argument("--clients", type=int, default=12)
    p.add_argument("--window", type=int, default=0, help="messages in flight per client")
    p.add_argument("--pause", type=float, default=0.5, help="kill: seconds between kills, about")
    p.add_argument("--seconds", type=float, default=30, help="write, powercut: how long")
    p.add_argument("--nth", type=int, default=150, help="powercut: at which sync of each life")
    p.add_argument("--seed", default="bongsu")
    args = p.parse_args()
    args.breaks = args.breaks or {"kill": 300, "full": 3}.get(args.mode, 0)
    args.breaks_least = args.breaks or 5
    why = servers.Bongsu.missing()
    if why:
        print(f"skipped: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    server = servers.Bongsu()
    undo, why = prepare(args, server)
    if why:
        server.remove()
        print(f"skipped: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    try:
        os.environ["BONGSU_BACKOFF_MS_MAX"] = "50"
        os.environ.update(getattr(server, "extra_environment", {}))
        server.start()
        server.add_users({f"c{i}": f"secret-c{i}" for i in range(args.clients)})
        return 1 if report(args, *asyncio.run(run(server, args))) else 0
    finally:
        server.stop()
        undo()
        server.remove()


if __name__ == "__main__":
    sys.exit(main())
