# SPDX-License-Identifier: AGPL-3.0-or-later
"""measures.py: how long a fault was felt, from the events of people.py between two moments. Times in seconds."""


def live_arrivals(events, people, since, until):
    """[(sent, arrived, from, to)], both ends among `people`; one that had not come at the end counts up to there."""
    sent = {(e[2], e[3], e[4]): e[1] for e in events if e[0] == "s" and e[2] in people and e[3] in people and since <= e[1] < until}
    arrived = {}
    for e in events:
        if e[0] in "lc" and e[2] in people:
            arrived.setdefault((e[3], e[2], e[4]), e[1])
    return [(t, arrived.get(key, until), key[0], key[1]) for key, t in sent.items()]


def live_waits(events, people, since, until):
    """Times from a send to its arrival."""
    return [arrived - sent for sent, arrived, _, _ in live_arrivals(events, people, since, until)]


def live_slow(events, people, since, until, limit):
    """Those that waited for longer than that, in words."""
    return [f"{a} to {b}: written {sent - since:.2f} s after the fault, there {arrived - sent:.2f} s later"
            for sent, arrived, a, b in sorted(live_arrivals(events, people, since, until)) if arrived - sent > limit]


def live_pause(events, people, since, until):
    """The longest of them. For a pair that writes evenly that is the largest gap beyond its interval, and more exact:
    whoever wrote at the beginning of the pause has waited for all of it."""
    return max(live_waits(events, people, since, until), default=0.0)


def room_pause(events, members, since, until):
    """The longest time from a send into a room to its arrival on the screen of a member; `members`: {room: those who count}. As above."""
    sent = {(e[2], e[3], e[4]): e[1] for e in events if e[0] == "s" and e[2] in members.get(e[3], ()) and since <= e[1] < until}
    arrived = {}
    for e in events:
        if e[0] in ("gl", "gc") and e[2] in members.get(e[3], ()):
            arrived.setdefault((e[4], e[3], e[5]), {}).setdefault(e[2], e[1])
    return max((arrived.get(key, {}).get(m, until) - t for key, t in sent.items() for m in members[key[1]]), default=None)


def ack_pause(events, people, since, until):
    """The longest time from a first send to the acknowledgement, among `people`."""
    sent = {(e[2], e[3], e[4]): e[1] for e in events if e[0] == "s" and e[2] in people and since <= e[1] < until}
    acked = {(e[2], e[3], e[4]): e[1] for e in events if e[0] == "a"}
    return max((acked.get(key, until) - t for key, t in sent.items()), default=0.0)


def back_after(events, people, since):
    """{name: seconds until in again after the loss, or None}. Who lost nothing is not in it."""
    lost, back = set(), {}
    for e in events:
        if e[1] < since or e[2] not in people:
            continue
        if e[0] == "x" and e[4] != "home":
            lost.add(e[2])
            back.pop(e[2], None)
        elif e[0] == "b" and e[2] in lost:
            back.setdefault(e[2], e[1] - since)
    return {n: back.get(n) for n in lost}


def tries(events, name, since):
    """What one person went through, in words."""
    words = {"x": "lost {3} ({4})", "f": "{3} failed ({4}, {5} s)", "b": "in at {3}"}
    return [f"{e[1] - since:.1f} s: " + words[e[0]].format(*e) for e in events if e[2] == name and e[0] in words and e[1] >= since]


def dropped(events, people, since, until):
    """Connections that `people` lost or gave up."""
    return [e for e in events if e[0] == "x" and e[4] != "home" and e[2] in people and since <= e[1] < until]


def entries(events, since, until):
    """(resumed, bound anew)."""
    how = [e[4] for e in events if e[0] == "b" and since <= e[1] < until]
    return how.count("resumed"), how.count("bound")


def percentile(values, share):
    """The value that `share` of the others do not exceed; None for none."""
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else None
