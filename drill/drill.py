#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""drill.py: `bongsu drill`: loses sites on purpose, under people who chat, and counts what they lost.

Builds three sites on this machine as network namespaces (lab.py), lets people chat on all of them (people.py), and
takes one fault after the other, each many times:

  everybody home and chatting → the fault → wait → all quiet: count → mend → three copies again → home → all quiet: count

The count is checker.py's, from what the clients know. Ends with one table and `N passed, N failed, N skipped`; a row
fails when something was lost, came twice or out of order, somebody stayed out, or an aim of rows.py was missed
(--counts: aims in seconds are told and not judged). Needs root and /dev/net/tun. --faults names: {faults}.
"""
import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crowd                                                                # noqa: E402
import measures                                                             # noqa: E402
import rows                                                                 # noqa: E402
import storm                                                                # noqa: E402
import table                                                                # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77                    # exit status: it could not run here
BEFORE_S, SETTLE_S, HOLD_S_MAX, HEALTHY_S = 2.0, 30.0, 45.0, 120.0
FRESH_S = 1.0                   # acknowledgements younger than this show that writes flow
PEOPLE = "people"               # the namespace of the people outside
GROUP_WRITES_S = 0.5            # in each group, a message so often
SLOW_TOLD_MAX = 8               # messages that waited longer than they may, of one round
INSIDERS = 2                    # people in each site's own network, cut off with it
SHORT = {"cut-primary": 2}      # times in the short form; others once


def say(text):
    print(text, file=sys.stderr, flush=True)


def name_of(site, i, inside=False):
    return f"{'inside' if inside else 'p'}{i}-{site}"


def plan_people(place, count):
    """Everybody, as people.py wants them: about 60 messages a second in all. Each has a friend at each site; some have
    one inside a site besides, that is cut off with it."""
    sites, interval = place.sites, count / 60
    homes = {s: [name_of(s, i) for i in range(count // len(sites))] for s in sites}
    inside = {s: [name_of(s, i, True) for i in range(INSIDERS)] for s in sites}

    def outsider(site, i):
        turn = sites.index(site)
        order = sites[turn:] + sites[:turn]
        friends = [homes[site][(i + 1) % len(homes[site])]] + [homes[o][i] for o in order[1:]]
        if i < len(sites):
            friends.append(inside[sites[i]][turn % INSIDERS])
        return {"name": homes[site][i], "addresses": [[s, *place.address(s)] for s in order], "friends": friends,
                "interval": interval, "net": place.net(PEOPLE)}

    def insider(site, i):
        after = sites[(sites.index(site) + 1) % len(sites)]
        friends = [inside[site][(i + 1) % INSIDERS], homes[site][0], homes[after][1 % len(homes[after])]]
        return {"name": inside[site][i], "addresses": [[site, *place.address(site)]], "friends": friends,
                "interval": 2 * interval, "net": place.net(site)}

    return [outsider(s, i) for s in sites for i in range(len(homes[s]))] + [insider(s, i) for s in sites for i in range(INSIDERS)]


def plan_groups(place, count, size):
    """Rooms of so many people each, spread over the sites, who write nothing but into their room."""
    sites = place.sites

    def member(room, i):
        turn = i % len(sites)
        return {"name": f"{room}-{i}", "addresses": [[s, *place.address(s)] for s in sites[turn:] + sites[:turn]], "friends": [room],
                "interval": size * GROUP_WRITES_S, "net": place.net(PEOPLE), "room": room}

    return [member(f"group{g}", i) for g in range(count) for i in range(size)]


class Drill:
    def __init__(self, place, args):
        self.place, self.args, self.rng, self.stormy = place, args, random.Random(args.seed), False
        people = plan_people(place, args.people)
        self.chatting = [p["name"] for p in people]
        people += plan_groups(place, args.groups, args.group_size)
        self.homes = {p["name"]: p["addresses"][0][0] for p in people}
        self.outside = [p["name"] for p in people if len(p["addresses"]) > 1]
        self.members = {}
        for p in people:
            if "room" in p:
                self.members.setdefault(p["room"], set()).add(p["name"])
        place.add_users(list(self.homes))
        self.crowd = crowd.Crowd(place.directory, {"domain": place.domain, "ca": place.ca, "net": place.net(PEOPLE), "people": people})

    def living_at(self, site, outside=True):
        return {n for n, s in self.homes.items() if s == site and (n in self.outside or not outside)}

    def begin(self):
        out = self.crowd.start(60)
        if out:
            raise crowd.CrowdError(f"{len(out)} could not get in: " + " ".join(out[:12]))

    # ---- the parts of a round ----

    def sites_for(self, row):
        """The site it happens to, and another."""
        primary = self.place.primary()
        others = [s for s in self.place.sites if s != primary]
        self.rng.shuffle(others)
        if row.where == "standby":
            return others
        if row.where == "any" and self.rng.random() < 2 / 3:
            return [others[0], primary]
        return [primary, others[0]]

    def those_at(self, site):
        """Who is there just now, wherever they live: somebody may have changed sites since the last fault."""
        where = self.crowd.where()
        astray = sorted(n for n in self.outside if where[n] != self.homes[n])
        if astray:
            say("  not at home: " + ", ".join(f"{n} is {'at ' + where[n] if where[n] else 'out'}" for n in astray))
        return {n for n in self.outside if where[n] == site}

    def flowing(self, people):
        newest = max((e[1] for e in self.crowd.events if e[0] == "a" and e[2] in people), default=0)
        return time.monotonic() - newest < FRESH_S

    def hold(self, row, site, gone, since, gale):
        """As long as the fault is to last, and until writes flow and the dead site's people are in; the time then."""
        alive = set(self.outside) - gone
        while True:
            time.sleep(0.5)
            where = self.crowd.where()
            over = time.monotonic() - since
            moved = not row.dead or all(where[n] not in (None, site) for n in gone)
            if gale and not gale.over():
                continue
            if over > HOLD_S_MAX or over > row.hold_s and moved and self.flowing(alive):
                return time.monotonic()

    def quiet(self, names):
        """(whether everything is acknowledged and shown, those who are in and can be asked what they saw)"""
        self.crowd.talk(False)
        left, unseen = self.crowd.settle(sorted(names), SETTLE_S)
        if left or unseen:
            say(f"  not settled: {' '.join(left) or '-'}; not shown: {len(unseen)} {unseen[:4]}")
        return not left and not unseen, names - set(left)

    def count(self, reading, present):
        """`reading`: [(owner, site)]."""
        unread = self.crowd.archives([[n, s, *self.place.address(s)] for n, s in reading])
        for why in unread:
            say(f"  not read: {why}")
        verdict = self.crowd.checker.judge(reading, present)
        for kind in verdict.KINDS:
            for sentence in getattr(verdict, kind)[:5]:
                say(f"  {kind}: {sentence}")
        return verdict

    def felt(self, row, site, gone, since, until):
        """What the people on surviving sites noticed, and when those of the dead one (`gone`) were back."""
        events = self.crowd.events
        alive = set(self.outside) - gone
        back = measures.back_after(events, gone, since)
        for name in sorted(n for n in gone if back.get(n) is None):
            say(f"  {name} did not get in again: " + ("; ".join(measures.tries(events, name, since)) or "nothing was tried"))
        limit = row.aim.live_max
        for words in measures.live_slow(events, alive, since, until, limit)[:SLOW_TOLD_MAX] if limit else ():
            say(f"  {words}")
        resumed, bound = measures.entries([e for e in events if e[2] in self.outside], since, until)
        return {"live": measures.live_pause(events, alive, since, until), "ack": measures.ack_pause(events, alive, since, until),
                "back": max((b for b in back.values() if b is not None), default=None),
                "in": all(back.get(n) is not None for n in gone),
                "group": measures.room_pause(events, {r: m & alive for r, m in self.members.items()}, since, until),
                "put_out": sum(e[0] == "go" for e in events),
                "dropped": len(measures.dropped(events, alive, since, until)), "resumed": resumed, "bound": bound,
                "others_p99": None}

    def after_fault(self, row, site):
        """Counts while the site is away."""
        away = self.living_at(site, outside=False) - set(self.outside) if row.dead else set()
        standing = [s for s in self.place.sites if not (row.dead and s == site)]
        settled, present = self.quiet(set(self.homes) - away)
        reading = [(n, standing[i % len(standing)]) for i, n in enumerate(sorted(self.chatting))] + self.rooms_at(standing)
        return settled, self.count(reading, present)

    def rooms_at(self, sites):
        """A room has one archive, whichever site tells it."""
        return [(room, s) for room in sorted(self.members) for s in sites]

    def after_heal(self):
        """Counts when everybody is home again."""
        left = self.crowd.home(self.outside, SETTLE_S)
        if left:
            say("  not home: " + " ".join(left))
        time.sleep(1)
        settled, present = self.quiet(set(self.homes))
        return settled and not left, self.count([(n, self.homes[n]) for n in self.chatting] + self.rooms_at(self.place.sites), present)

    def mend(self, row, sites):
        """Seconds until three copies stream again, or None."""
        since = time.monotonic()
        row.end(self.place.lab, *sites)
        healthy = self.place.wait_healthy(HEALTHY_S)
        return time.monotonic() - since if healthy else None

    def gather(self, site):
        """The storm's people, made at the first time."""
        if not self.stormy:
            self.place.add_users(storm.names(self.args.storm))
            self.stormy = True
        return storm.Storm(self.place, site, self.args.storm)

    def felt_storm(self, told, gale, alive, since):
        r = gale.result
        told["back"] = max(told["back"] or 0, r["max_ms"] / 1000)
        told["in"] = told["in"] and r["back"] == r["clients"]
        told["others_p99"] = measures.percentile(measures.live_waits(self.crowd.events, alive, since, since + r["max_ms"] / 1000), 0.99)
        told["storm"] = r
        say(f"  storm: {r['back']} of {r['clients']} back, p50 {r['p50_ms'] / 1000:.1f} s, p99 {r['p99_ms'] / 1000:.1f} s, max "
            f"{r['max_ms'] / 1000:.1f} s, {r['resumed']} resumed, {r['bound']} bound anew, {r['failures']} attempts failed {r.get('reasons') or ''}; "
            f"the others' p99 {told['others_p99']:.3f} s")

    def round(self, row):
        """One fault and its end; a dict for table.Line."""
        broken, gale = [], None
        if not self.place.wait_healthy(HEALTHY_S):
            broken.append("the sites were not healthy before it began")
        self.crowd.talk(True)
        time.sleep(BEFORE_S)
        self.crowd.forget()
        sites = self.sites_for(row)
        if row.storm:
            gale = self.gather(sites[0])
            self.crowd.forget()
        gone = self.those_at(sites[0]) if row.dead else set()
        since = time.monotonic()
        row.begin(self.place.lab, *sites)
        if gale:
            gale.go()
        until = self.hold(row, sites[0], gone, since, gale)
        settled, before = self.after_fault(row, sites[0])
        told = self.felt(row, sites[0], gone, since, until)
        if gale:
            self.felt_storm(told, gale, set(self.outside) - gone, since)
            gale.stop()
        self.crowd.talk(True)
        home_s = self.mend(row, sites)
        settled_again, after = self.after_heal()
        unread = before.unread + after.unread
        return {"fault": row.name, "site": sites[0], "before": before.counts(), "after": after.counts(), **told, "home_s": home_s,
                "settled": settled and settled_again and not unread, "broken": broken, "repeats": after.repeats,
                "messages": after.messages, "acked": after.acked,
                "sentences": [f"{k}: {x}" for v in (before, after) for k in v.KINDS for x in getattr(v, k)] + unread}

    def play(self, row, times):
        done = []
        for i in range(times):
            done.append(self.round(row))
            say(f"{row.name} {i + 1}/{times} at {done[-1]['site']}: " + short(done[-1]))
        return table.Line(row, done)

    def stop(self):
        self.crowd.stop()


def short(r):
    def s(value):
        return "never" if value is None else f"{value:.2f} s"
    bad = {k: r["before"][k] + r["after"][k] for k in r["before"]}
    return (f"live {s(r['live'])}, " + (f"groups {s(r['group'])}, " if r["group"] is not None else "") + f"ack {s(r['ack'])}, back {s(r['back']) if r['back'] or not r['in'] else '-'}, "
            f"dropped {r['dropped']}, " + (f"found outside their room {r['put_out']}, " if r["put_out"] else "") + f"three copies after {s(r['home_s'])}, "
            + ("clean" if not any(bad.values()) else " ".join(f"{k} {n}" for k, n in bad.items())))


# ---- the whole drill ----

def cannot():
    """Why it cannot run here, or None."""
    if os.geteuid() != 0:
        return "the drill makes network namespaces: it needs root"
    if not os.path.exists("/dev/net/tun"):
        return "the drill joins its sites over TAP devices: it needs /dev/net/tun"
    missing = [p for p in ("ip", "etcd", "nats-server", "haproxy", "patroni") if not shutil.which(p, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    return f"these programs are missing: {' '.join(missing)}; tools/packages.site lists the packages" if missing else None


def choose(args):
    """[(row, times)]"""
    named = args.faults.split(",") if args.faults else [r.name for r in rows.ROWS if not args.short or r.short]
    unknown = [n for n in named if not rows.row(n)]
    if unknown:
        sys.exit(f"there is no fault {', '.join(unknown)}; there are {', '.join(r.name for r in rows.ROWS)}")
    chosen = [rows.row(n) for n in named]
    if args.short:
        return [(r, SHORT.get(r.name, 1)) for r in chosen]
    return [(r, args.cuts if r.name == "cut-primary" and args.cuts else args.times or r.times) for r in chosen]


def write_document(path, lines, facts, what):
    """Between the marks of `path` stands the last result; that of groups has its own."""
    begin, end = f"<!-- {what} -->\n", f"<!-- end of {what} -->"
    with open(path) as f:
        text = f.read()
    head, rest = text[:text.index(begin) + len(begin)], text[text.index(end):]
    misses = [f"- {l.row.name}: {m}" for l in lines for m in l.misses() + l.slow()]
    with open(path, "w") as f:
        f.write(head + facts + "\n\n" + table.markdown(lines) + "\n\n" + ("\n".join(["Missed:", "", *misses, ""]) if misses else "")
                + rest)


def facts(args, lines, began):
    last = [l.rounds[-1] for l in lines if l.rounds]
    return (f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {args.people} people and {INSIDERS} inside each site, "
            + (f"{args.groups} groups of {args.group_size}, a message every {GROUP_WRITES_S:g} s in each, " if args.groups else "") + f"{args.delay:g} ms one way "
            f"between sites, {args.workers} talk workers a site, {max((r['messages'] for r in last), default=0)} messages, "
            f"{max((r['acked'] for r in last), default=0)} acknowledged, {(time.monotonic() - began) / 60:.0f} minutes.")


def report(args, lines, began):
    print(table.plain(lines) + "\n\n" + table.EXPLAINED)
    for line in lines:
        for miss in line.misses():
            print(f"not ok  {line.row.name}: {miss}")
        for miss in line.slow():
            print(f"{'slow' if args.counts else 'not ok'}  {line.row.name}: {miss}")
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"facts": facts(args, lines, began), "rounds": [r for l in lines for r in l.rounds]}, f, indent=1)
    if args.write:
        write_document(args.write, lines, facts(args, lines, began), "groups" if args.groups else "result")


def run(place, chosen, args):
    """The lines that came to be, and whether the drill itself broke."""
    lines, began, drill = [], time.monotonic(), None
    try:
        drill = Drill(place, args)
        drill.begin()
        for row, times in chosen:
            lines.append(drill.play(row, times))
    except crowd.CrowdError as e:
        print(f"not ok  the drill broke: {e}")
    finally:
        if drill:
            drill.stop()
        report(args, lines, began)
    return lines


def end_by_signal(number, frame):
    sys.exit(128 + number)      # with all that is to be undone


def arguments(words=None):
    p = argparse.ArgumentParser(prog="bongsu drill", formatter_class=argparse.RawDescriptionHelpFormatter,
                                description=__doc__.replace("{faults}", ", ".join(r.name for r in rows.ROWS)))
    p.add_argument("--short", action="store_true", help="each fault once or twice")
    p.add_argument("--counts", action="store_true", help="judge what was lost, twice or out of order; not how long it took")
    p.add_argument("--cuts", type=int, metavar="N", help="how often the primary's site is cut off (100)")
    p.add_argument("--times", type=int, metavar="N", help="how often each other fault is taken")
    p.add_argument("--faults", metavar="A,B,C", help="only these, in this order")
    p.add_argument("--delay", type=float, default=0.5, metavar="MS", help="one way between sites (0.5)")
    p.add_argument("--workers", type=int, default=1, metavar="N", help="talk processes a site (1)")
    p.add_argument("--people", type=int, default=24, metavar="N", help="who chat, on all sites together (24)")
    p.add_argument("--groups", type=int, default=0, metavar="N", help="rooms, whose members write into them besides (0)")
    p.add_argument("--group-size", type=int, default=50, metavar="N", help="people in each, spread over the sites (50)")
    p.add_argument("--storm", type=int, default=5000, metavar="N", help="people of the storm (5000)")
    p.add_argument("--seed", default="bongsu", help="of the choices that are left to chance")
    p.add_argument("--keep", action="store_true", help="leave the files of the sites")
    p.add_argument("--json", metavar="FILE", help="every round, for programs")
    p.add_argument("--write", metavar="FILE", help="put the result into this document (docs/drill.md)")
    return p.parse_args(words)


def main():
    args = arguments()
    chosen = choose(args)
    why = cannot()
    if why:
        print(f"bongsu drill: {why}\n0 passed, 0 failed, {len(chosen)} skipped")
        return SKIPPED
    import place                # only now: it needs the laboratory's modules
    signal.signal(signal.SIGTERM, end_by_signal)
    directory = tempfile.mkdtemp(prefix="bongsu-drill-")
    os.chmod(directory, 0o755)
    lines = []
    try:
        with place.Place(directory, args.delay, args.workers) as sites:
            lines = run(sites, chosen, args)
    except (place.PlaceError, KeyboardInterrupt) as e:
        print(f"not ok  {e or 'interrupted'}")
    finally:
        if args.keep:
            print(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    passed = sum(not l.misses() and (args.counts or not l.slow()) for l in lines)
    print(f"{passed} passed, {len(chosen) - passed} failed, 0 skipped")
    return 0 if passed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
