# SPDX-License-Identifier: AGPL-3.0-or-later
"""table.py: rounds of one fault become a line of the table, and a judgement of it."""
from checker import Verdict
from measures import percentile


class Line:
    """`rounds`: dicts of before, after (Verdict.counts()), live, ack, back (seconds or None for never), dropped,
    settled (bool), home_s (None: three copies did not stream again in time), others_p99, faults (sentences)."""

    def __init__(self, row, rounds):
        self.row, self.rounds = row, rounds
        self.before = {k: sum(r["before"].get(k, 0) for r in rounds) for k in Verdict.KINDS}
        self.after = {k: sum(r["after"].get(k, 0) for r in rounds) for k in Verdict.KINDS}

    def numbers(self, key):
        return [r[key] for r in self.rounds if r.get(key) is not None]

    def slow(self):
        """The aims in seconds that were missed, in words."""
        aim, out = self.row.aim, []
        for what, key, share, limit in (("live text paused", "live", 1, aim.live_max), ("acknowledgements, median", "ack", .5, aim.ack_median),
                                        ("acknowledgements, p99", "ack", .99, aim.ack_p99), ("acknowledgements", "ack", 1, aim.ack_max),
                                        ("people back", "back", 1, aim.back_max), ("the others' p99", "others_p99", 1, aim.others_p99)):
            value = percentile(self.numbers(key), share)
            if limit is not None and value is not None and value > limit:
                out.append(f"{what} {value:.2f} s, aimed for {limit:g}")
        return out

    def misses(self):
        """What fails the row whatever the time it took, in words."""
        out = []
        for when, counts in (("before the heal", self.before), ("after it", self.after)):
            out += [f"{n} {'wrong stanza-ids' if k == 'id' else k} {when}" for k, n in counts.items() if n]
        for key, what in (("settled", "not everything was acknowledged and shown"), ("in", "somebody did not get in again")):
            bad = sum(not r[key] for r in self.rounds)
            if bad:
                out.append(f"{what} ({bad} of {len(self.rounds)} times)")
        never = sum(r["home_s"] is None for r in self.rounds)
        if never:
            out.append(f"three copies did not stream again ({never} of {len(self.rounds)} times)")
        out += [f for r in self.rounds for f in r["broken"]]
        return out

    def cells(self):
        return [self.row.name, str(len(self.rounds)), *(f"{self.before[k]}/{self.after[k]}" for k in Verdict.KINDS),
                three(self.numbers("live")), three(self.numbers("group")), three(self.numbers("ack")), two(self.numbers("back")),
                str(sum(r["dropped"] for r in self.rounds)), two(self.numbers("home_s")),
                f"{sum(r['resumed'] for r in self.rounds)}/{sum(r['bound'] for r in self.rounds)}",
                "FAIL" if self.misses() else "slow" if self.slow() else "ok"]


HEAD = ["fault", "times", "lost", "twice", "order", "ids", "live text paused", "groups paused", "next acknowledgement", "back", "dropped",
        "three copies", "resumed/bound", ""]
EXPLAINED = """\
lost, twice, order, ids: before the heal / after it. Pauses in seconds, median / p99 / max over the rounds of each round's
longest: live text between people on surviving sites; the same in their groups; from a send to its acknowledgement there. back: until all people
of the dead site are in elsewhere, median / max. dropped: connections that people on surviving sites lost. three copies: from
the heal until all three databases stream again, median / max. resumed/bound: how people came in again."""


def seconds(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def three(values):
    return " / ".join(seconds(percentile(values, p)) for p in (0.5, 0.99, 1)) if values else "-"


def two(values):
    return " / ".join(seconds(percentile(values, p)) for p in (0.5, 1)) if values else "-"


def plain(lines):
    rows = [HEAD] + [l.cells() for l in lines]
    wide = [max(len(r[i]) for r in rows) for i in range(len(HEAD))]
    return "\n".join("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, wide))).rstrip() for r in rows)


def markdown(lines):
    head = [h or "aims" for h in HEAD]
    rows = [head, ["---"] + ["---:"] * (len(HEAD) - 1)] + [l.cells() for l in lines]
    return "\n".join("| " + " | ".join(r) + " |" for r in rows)
