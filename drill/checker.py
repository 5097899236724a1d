# SPDX-License-Identifier: AGPL-3.0-or-later
"""checker.py: decides what was lost, came twice or came out of order, from what the clients know; no server is asked.

It reads the journals of people.py event by event (take), keeps for each person the conversation as a real client
would show it, and judges when everybody has settled and the archives have been read:

  lost    acknowledged, and missing in the sender's archive, in the recipient's, or before the recipient's eyes
  twice   the same message two times in one archive, or shown two times though its stanza-id was compared
  order   two messages from one to another, in the wrong order in an archive or on the screen
  id      a message came live with another stanza-id than the archive gives it, or with none

In a room every member has a screen of its own for it, also the one who wrote, and each member counts; what is shown must be in the order of
the room's archive, whoever wrote it, and every site must tell the same archive.

A client shows what comes live, and leaves out what has a stanza-id that it has shown. After binding anew it puts
what it catches up with in front of what has come live since. Deliveries that this hides are counted: `repeats`.
A message is a key (from, to, number); the order is that in which they were handed over. One that the server refused
has no place in it any more: later ones may have been kept before it was sent again.
"""
import collections
import json


class Screen:
    """What one person sees, in order."""

    def __init__(self):
        self.shown = {}             # key: how often
        self.by_id = {}             # stanza-id: key
        self.newest = {}            # (from, to): rank of the newest message shown
        self.waiting = None         # [(id, key)] that came live during a catch-up
        self.live_ids = {}          # key: the ids it came live with
        self.line = []              # keys, as shown
        self.repeats = 0


class Verdict:
    """Sentences by kind; a sentence begins with the message."""
    KINDS = ("lost", "twice", "order", "id")

    def __init__(self):
        self.lost, self.twice, self.order, self.id = [], [], [], []
        self.unread = []            # archives that could not be read
        self.repeats = 0            # deliveries hidden by their stanza-id
        self.messages = self.acked = 0

    def counts(self):
        return {k: len(getattr(self, k)) for k in self.KINDS}

    def good(self):
        return not any(self.counts().values()) and not self.unread


class Checker:
    def __init__(self, rooms=None):
        self.rooms = rooms or {}                    # name: its members
        self.open = set()                           # acknowledged in a room, and not yet on every member's screen
        self.rank, self.ranks = {}, 0               # key: its place in the order
        self.acked = {}                             # key: (time, site)
        self.refused = set()                        # at some time
        self.screens = collections.defaultdict(Screen)
        self.faults = {k: [] for k in Verdict.KINDS}    # found on the way, not yet told
        self.told = set()                           # a message that stays lost is told once
        self.given_up = set()                       # never shown, and told
        self.archives = {}                          # (owner, site): the last reading
        self.handlers = {"s": self.sent, "a": self.counted, "e": self.was_refused, "l": self.live,
                         "c": self.caught, "b": self.back, "k": self.caught_up, "h": self.read,
                         "gl": self.room_live, "gc": self.room_caught, "gb": self.room_back, "gk": self.room_caught_up}

    def take(self, event):
        handler = self.handlers.get(event[0])
        if handler:
            handler(*event[1:])

    # ---- the sender's side ----

    def sent(self, t, me, to, n, site):
        self.ranks += 1
        self.rank[(me, to, n)] = self.ranks

    def counted(self, t, me, to, n, site):
        self.acked[(me, to, n)] = (t, site)
        if to in self.rooms:
            self.open.add((me, to, n))

    def was_refused(self, t, me, to, n, condition):
        """An error is an answer, so h counts it: it stands for "not kept"."""
        self.acked.pop((me, to, n), None)
        self.open.discard((me, to, n))
        self.refused.add((me, to, n))

    def out_of_order(self, key, newest):
        """`newest`: {(from, to): rank}; the key takes its place there."""
        if key in self.refused:
            return False
        rank, before = self.rank.get(key, 0), newest.get(key[:2], 0)
        newest[key[:2]] = max(rank, before)
        return rank < before

    # ---- the recipient's side ----

    def back(self, t, me, site, how):
        screen = self.screens[me]
        if how == "bound" and screen.waiting is None:
            screen.waiting = []

    def live(self, t, me, sender, n, stanza_id, site):
        self.came_live(self.screens[me], (sender, me, n), stanza_id)

    def came_live(self, screen, key, stanza_id):
        screen.live_ids.setdefault(key, []).append(stanza_id)
        if not stanza_id:
            self.faults["id"].append(f"{name(key)} came live without a stanza-id")
        if screen.waiting is not None:
            screen.waiting.append((stanza_id, key))
        else:
            self.show(screen, stanza_id, key)

    def caught(self, t, me, sender, n, stanza_id, site):
        self.show(self.screens[me], stanza_id, (sender, me, n))

    def caught_up(self, t, me):
        self.show_what_waited(self.screens[me])

    def show_what_waited(self, screen):
        waiting, screen.waiting = screen.waiting or [], None
        for stanza_id, key in waiting:
            self.show(screen, stanza_id, key)

    def show(self, screen, stanza_id, key):
        before = screen.by_id.get(stanza_id) if stanza_id else None
        if before is not None:
            screen.repeats += 1
            if before != key:
                self.faults["id"].append(f"{name(key)} came with the stanza-id of {name(before)}")
            return
        if stanza_id:
            screen.by_id[stanza_id] = key
        screen.line.append(key)
        screen.shown[key] = screen.shown.get(key, 0) + 1
        if screen.shown[key] > 1:
            self.faults["twice"].append(f"{name(key)} was shown again under another stanza-id")
            return
        if self.out_of_order(key, screen.newest):
            self.faults["order"].append(f"{name(key)} was shown behind a later one")

    # ---- a member's side of a room; a screen for each ----

    def room_back(self, t, me, room, site):
        screen = self.screens[(me, room)]
        if screen.waiting is None:
            screen.waiting = []

    def room_live(self, t, me, room, sender, n, stanza_id, site):
        self.came_live(self.screens[(me, room)], (sender, room, n), stanza_id)

    def room_caught(self, t, me, room, sender, n, stanza_id, site):
        self.show(self.screens[(me, room)], stanza_id, (sender, room, n))

    def room_caught_up(self, t, me, room):
        self.show_what_waited(self.screens[(me, room)])

    # ---- the archives ----

    def read(self, t, owner, site, found):
        self.archives[(owner, site)] = found

    def judge_archive(self, verdict, owner, site, found):
        where = f"in the archive of {owner} at {site}"
        times, newest, live = collections.Counter(), {}, self.screens[owner].live_ids if owner not in self.rooms else {}
        for stanza_id, sender, to, n in found:
            key = (sender, to, n)
            times[key] += 1
            if times[key] > 1:
                verdict.twice.append(f"{name(key)} stands {times[key]} times {where}")
                continue
            if self.out_of_order(key, newest):
                verdict.order.append(f"{name(key)} stands behind a later one {where}")
            for seen in live.get(key, ()) if to == owner else ():
                if seen and seen != stanza_id:
                    verdict.id.append(f"{name(key)} came live as {seen} and is {stanza_id} {where}")
        return times

    def judge_members(self, verdict, room, found):
        """What each saw, against the room's archive: the order, whoever wrote, and the ids."""
        places = {(sender, to, n): (place, stanza_id) for place, (stanza_id, sender, to, n) in enumerate(found)}
        for member in self.rooms[room]:
            screen, newest = self.screens[(member, room)], (-1, None)
            for key in screen.line:
                place = places.get(key, (-1, None))[0]
                if 0 <= place < newest[0]:
                    verdict.order.append(f"{name(key)} was shown to {member} behind {name(newest[1])}, which is later in the room")
                if place > newest[0]:
                    newest = (place, key)
            for key, ids in screen.live_ids.items():
                verdict.id += [f"{name(key)} came live to {member} as {i} and is {places[key][1]} in the room" for i in ids
                               if i and key in places and i != places[key][1]]

    def judge_rooms(self, verdict, readings):
        for room in self.rooms:
            told = {site: found for (owner, site), found in readings.items() if owner == room}
            if told:
                self.judge_members(verdict, room, told[min(told)])      # the others must be the same
            if len({json.dumps(f) for f in told.values()}) > 1:
                verdict.order.append(f"the archive of {room} is not the same at {', '.join(map(str, sorted(told)))}")

    def hidden_from(self, key, present):
        """Members who are in, and before whose eyes it has not come."""
        def shows(screen):
            return key in screen.shown or any(k == key for _, k in screen.waiting or ())
        return [m for m in self.rooms[key[1]] if m in present and not shows(self.screens[(m, key[1])])]

    def missing_in_room(self, key, held, present):
        archives = [f"the archive of {o} at {s}" for o, s in held if o == key[1] and not held[(o, s)][key]]
        return archives, [f"what {m} saw" for m in (self.hidden_from(key, present) if key in self.open else ())]

    def missing(self, key, held, present):
        """Where an acknowledged message should be and is not: ([archives], [screens]), in words."""
        archives = [f"the archive of {o} at {s}" for o, s in held if o in key[:2] and not held[(o, s)][key]]
        screen = self.screens[key[1]]
        hidden = key[1] in present and key not in screen.shown and all(k != key for _, k in screen.waiting or ())
        return archives, [f"what {key[1]} saw"] if hidden else []

    def judge_lost(self, verdict, held, present):
        for key, (t, site) in self.acked.items():
            in_room = key[1] in self.rooms
            archives, screens = (self.missing_in_room if in_room else self.missing)(key, held, present)
            # a person's message is one, wherever it is missing; a room's is one for each who should have it
            for places in [[p] for p in archives + screens] if in_room else [archives + screens]:
                kind = (key, *places) if in_room else (key, bool(archives), bool(screens))
                if places and kind not in self.told:
                    self.told.add(kind)
                    self.given_up |= {key} if screens else set()
                    verdict.lost.append(f"{name(key)}, acknowledged at {t:.3f} by {site}, is missing in " + ", ".join(places))

    def judge(self, expected, present):
        """With the readings since the last time. `expected`: (owner, site) that should have been read;
        `present`: who is in and settled, so that everything acknowledged must have reached their screens."""
        verdict, held = Verdict(), {}
        readings, self.archives = self.archives, {}
        verdict.unread = sorted(f"{o} at {s}" for o, s in set(expected) - set(readings))
        for (owner, site), found in readings.items():
            held[(owner, site)] = self.judge_archive(verdict, owner, site, found)
        self.judge_rooms(verdict, readings)
        self.close_rooms()
        self.judge_lost(verdict, held, present)
        for kind, found in self.faults.items():
            setattr(verdict, kind, found + [f for f in getattr(verdict, kind) if f not in self.told])
            self.told.update(getattr(verdict, kind))
            self.faults[kind] = []
        verdict.repeats = sum(s.repeats for s in self.screens.values())
        verdict.messages, verdict.acked = len(self.rank), len(self.acked)
        return verdict

    def unseen(self, present):
        """Acknowledged, and not yet before the eyes of a recipient who is in; those given up as lost left out."""
        self.close_rooms()
        return [k for k in self.acked if k[1] in present and k not in self.screens[k[1]].shown and k not in self.given_up] + \
            [k for k in self.open if k not in self.given_up and self.hidden_from(k, present)]

    def close_rooms(self):
        """What every member has seen needs no more looking."""
        self.open -= {k for k in self.open if all(k in self.screens[(m, k[1])].shown for m in self.rooms[k[1]])}


def name(key):
    return f"{key[0]} to {key[1]} number {key[2]}"


class Tail:
    """The new events of a journal, each time it is asked; a line that is not finished waits."""

    def __init__(self, path):
        self.file, self.rest = open(path), ""

    def read(self):
        text = self.rest + self.file.read()
        whole = text.rfind("\n") + 1
        self.rest = text[whole:]
        return [json.loads(line) for line in text[:whole].splitlines()]
