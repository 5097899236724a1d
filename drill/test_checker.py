#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""test_checker.py: the judge is judged: forged histories, each with one wrong thing, which must be found; and fair ones."""
import sys
import os

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import checker                                                              # noqa: E402
import measures                                                             # noqa: E402

KEYS = [("ann", "bob", n) for n in (1, 2, 3)]
EXPECTED = [("ann", 0), ("bob", 0)]


class History:
    """Ann wrote 1, 2, 3 to Bob, all was acknowledged, came live, and stands in both archives."""

    def __init__(self):
        self.checker, self.t = checker.Checker(), 100.0
        self.archive = [[f"id{n}", "ann", "bob", n] for n in (1, 2, 3)]
        self.of = {"ann": self.archive, "bob": list(self.archive)}

    def event(self, kind, *rest):
        self.t += 0.01
        self.checker.take([kind, self.t, *rest])

    def send(self, *numbers, acked=True):
        for n in numbers or (1, 2, 3):
            self.event("s", "ann", "bob", n, 0)
        for n in (numbers or (1, 2, 3)) if acked else ():
            self.event("a", "ann", "bob", n, 0)
        return self

    def live(self, *numbers):
        for n in numbers or (1, 2, 3):
            self.event("l", "bob", "ann", n, f"id{n}", 0)
        return self

    def judge(self, present=("ann", "bob")):
        for owner, found in self.of.items():
            self.event("h", owner, 0, found)
        return self.checker.judge(EXPECTED, set(present))


ROOM = {"town": ["ann", "bob", "cat"]}
SAID = [["i1", "ann", "town", 1], ["i2", "bob", "town", 1], ["i3", "ann", "town", 2]]


class RoomHistory:
    """Ann, Bob and Cat are in a room; Ann wrote twice and Bob between; all was acknowledged, and everybody saw it."""

    def __init__(self):
        self.checker, self.t, self.archives = checker.Checker(ROOM), 100.0, {0: list(SAID), 1: list(SAID)}

    def event(self, kind, *rest):
        self.t += 0.01
        self.checker.take([kind, self.t, *rest])
        return self

    def send(self, acked=True):
        for _, sender, room, n in SAID:
            self.event("s", sender, room, n, 0)
            if acked:
                self.event("a", sender, room, n, 0)
        return self

    def live(self, *places, members=ROOM["town"]):
        """The messages with these places in the archive come to `members`."""
        for member in members:
            for i in places or range(3):
                stanza_id, sender, room, n = SAID[i]
                self.event("gl", member, room, sender, n, stanza_id, 0)
        return self

    def judge(self, present=("ann", "bob", "cat")):
        for site, found in self.archives.items():
            self.event("h", "town", site, found)
        return self.checker.judge([("town", s) for s in (0, 1)], set(present))


def only(verdict, **wanted):
    """The counts are these, all others 0, and nothing is unread."""
    counts = {**{k: 0 for k in checker.Verdict.KINDS}, **wanted}
    assert verdict.counts() == counts and not verdict.unread, \
        f"{verdict.counts()} instead of {counts}: {verdict.lost + verdict.twice + verdict.order + verdict.id + verdict.unread}"


# ---- what must be found ----

def lost_acknowledgement_in_both_archives():
    h = History().send().live()
    h.of = {"ann": h.archive[:2], "bob": h.archive[:2]}
    only(h.judge(), lost=1)


def lost_in_the_recipients_archive_only():
    h = History().send().live()
    h.of["bob"] = h.archive[1:]
    only(h.judge(), lost=1)


def acknowledged_and_never_shown():
    h = History().send().live(1, 2)
    only(h.judge(), lost=1)


def counted_by_a_failed_resumption_and_lost():
    h = History().send(1, 2).live(1, 2)
    h.event("s", "ann", "bob", 3, 0)
    h.event("x", "ann", 0, "closed")
    h.event("a", "ann", "bob", 3, 1)            # <failed h='3'/>
    h.event("b", "ann", 1, "bound")
    h.of = {"ann": h.archive[:2], "bob": h.archive[:2]}
    only(h.judge(), lost=1)


def lost_only_after_the_heal():
    h = History().send().live()
    only(h.judge())
    h.of = {"ann": h.archive[1:], "bob": h.archive[1:]}
    only(h.judge(), lost=1)
    only(h.judge())                             # told once


def acknowledged_by_the_isolated_primary():
    h = History().send().live()
    h.event("s", "cut", "off", 1, 0)
    h.event("a", "cut", "off", 1, 0)
    h.of |= {"cut": [], "off": []}
    for owner, found in h.of.items():
        h.event("h", owner, 0, found)
    only(h.checker.judge([(o, 0) for o in h.of], {"ann", "bob"}), lost=1)


def twice_in_an_archive():
    h = History().send().live()
    h.of["ann"] = h.archive + [["id9", "ann", "bob", 2]]
    only(h.judge(), twice=1)


def shown_twice_under_two_ids():
    h = History().send().live(1, 2)
    h.event("l", "bob", "ann", 2, "other", 0)
    h.live(3)
    only(h.judge(), twice=1, id=1)


def live_and_again_in_the_catch_up_under_two_ids():
    h = History().send()
    for n in (1, 2):
        h.event("l", "bob", "ann", n, f"ahead{n}", 0)
    h.event("x", "bob", 0, "silence")
    h.event("b", "bob", 1, "bound")
    for n in (1, 2, 3):
        h.event("c", "bob", "ann", n, f"id{n}", 1)
    h.event("k", "bob")
    only(h.judge(), twice=2, id=2)


def swapped_in_an_archive():
    h = History().send().live()
    h.of["bob"] = [h.archive[1], h.archive[0], h.archive[2]]
    only(h.judge(), order=1)


def swapped_on_the_screen():
    only(History().send().live(1, 3, 2).judge(), order=1)


def live_before_an_older_one_of_the_catch_up():
    h = History().send().live(1)
    h.event("b", "bob", 1, "resumed")           # no catch-up is owed: what comes now is shown at once
    h.live(3)
    h.event("c", "bob", "ann", 2, "id2", 1)
    only(h.judge(), order=1)


def wrong_stanza_id():
    h = History().send().live(1, 2)
    h.event("l", "bob", "ann", 3, "id7", 0)
    only(h.judge(), id=1)


def no_stanza_id():
    h = History().send().live(1, 2)
    h.event("l", "bob", "ann", 3, "", 0)
    only(h.judge(), id=1)


def one_id_for_two_messages():
    h = History().send().live(1, 2)
    h.event("l", "bob", "ann", 3, "id2", 0)
    verdict = h.judge()
    assert verdict.lost and any("with the stanza-id of" in f for f in verdict.id), "a message that hides behind another's id"


def an_archive_that_could_not_be_read():
    h = History().send().live()
    del h.of["bob"]
    verdict = h.judge()
    assert verdict.unread and not verdict.good(), "an unread archive passed for a good one"


# ---- the same in a room ----

def lost_for_one_member():
    h = RoomHistory().send().live(members=["ann", "bob"]).live(0, 2, members=["cat"])
    only(h.judge(), lost=1)
    only(h.judge())                             # told once


def lost_for_each_member_counts_each():
    only(RoomHistory().send().live(0, 1).judge(), lost=3)


def lost_for_its_author():
    only(RoomHistory().send().live(members=["bob", "cat"]).live(1, 2, members=["ann"]).judge(), lost=1)


def lost_in_the_rooms_archive():
    h = RoomHistory().send().live()
    h.archives = {0: SAID[:2], 1: SAID[:2]}
    only(h.judge(), lost=2)                     # at each site


def lost_in_the_rooms_archive_after_the_heal():
    h = RoomHistory().send().live()
    only(h.judge())
    h.archives = {0: SAID[1:], 1: SAID[1:]}
    only(h.judge(), lost=2)


def a_members_archive_that_could_not_be_read():
    h = RoomHistory().send().live()
    del h.archives[1]
    assert h.judge().unread == ["town at 1"]


def twice_in_the_rooms_archive():
    h = RoomHistory().send().live()
    h.archives = {s: SAID + [["i4", "ann", "town", 1]] for s in (0, 1)}
    counts = h.judge().counts()
    assert counts["twice"] == 2, counts


def shown_twice_to_a_member():
    h = RoomHistory().send().live()
    h.event("gl", "cat", "town", "bob", 1, "other", 0)
    counts = h.judge().counts()
    assert counts["twice"] == 1 and counts["lost"] == 0, counts


def two_authors_swapped_for_one_member():
    only(RoomHistory().send().live(members=["ann", "bob"]).live(1, 0, 2, members=["cat"]).judge(), order=1)


def live_before_an_older_one_of_the_rooms_catch_up():
    h = RoomHistory().send().live(members=["ann", "bob"]).live(0, 2, members=["cat"])
    h.event("gc", "cat", "town", "bob", 1, "i2", 1)
    only(h.judge(), order=1)


def one_author_swapped_in_the_rooms_archive():
    h = RoomHistory().send().live()
    h.archives = {s: [SAID[2], SAID[1], SAID[0]] for s in (0, 1)}
    assert h.judge().order, "an archive that swaps one author's messages passed"


def two_sites_with_two_orders():
    h = RoomHistory().send().live()
    h.archives[1] = [SAID[1], SAID[0], SAID[2]]
    only(h.judge(), order=1)


def another_id_live_than_in_the_room():
    h = RoomHistory().send().live(members=["ann", "bob"]).live(0, 1, members=["cat"])
    h.event("gl", "cat", "town", "ann", 2, "i9", 0)
    only(h.judge(), id=1)


def a_fair_room():
    h = RoomHistory().send().live(members=["ann", "bob"]).live(0, members=["cat"])
    h.event("gb", "cat", "town", 1)
    h.live(2, members=["cat"])
    h.event("gc", "cat", "town", "bob", 1, "i2", 1).event("gc", "cat", "town", "ann", 2, "i3", 1).event("gk", "cat", "town")
    only(h.judge())
    assert not h.checker.unseen({"ann", "bob", "cat"}) and not h.checker.open


def a_member_who_is_away_has_seen_nothing_yet():
    h = RoomHistory().send().live(members=["ann", "bob"])
    only(h.judge(present=("ann", "bob")))
    assert len(h.checker.unseen({"ann", "bob", "cat"})) == 3 and not h.checker.unseen({"ann", "bob"})


def not_acknowledged_in_a_room_and_nowhere():
    h = RoomHistory().send(acked=False)
    h.archives = {0: [], 1: []}
    only(h.judge())


def a_groups_pause_is_that_of_its_slowest_member():
    events = [["s", 10.0, "ann", "town", 1, 0], ["gl", 10.1, "ann", "town", "ann", 1, "i", 0], ["gl", 10.4, "bob", "town", "ann", 1, "i", 0]]
    assert abs(measures.room_pause(events, {"town": {"ann", "bob"}}, 9, 15) - 0.4) < 1e-9
    assert abs(measures.room_pause(events, {"town": {"ann", "bob", "cat"}}, 9, 15) - 5.0) < 1e-9, "one that has not come counts to the end"
    assert measures.room_pause(events, {}, 9, 15) is None


# ---- what must not be found ----

def a_fair_history():
    only(History().send().live().judge())


def sent_again_after_a_break():
    h = History().send(1).live(1)
    h.event("s", "ann", "bob", 2, 0)
    h.event("x", "ann", 0, "closed")
    h.event("b", "ann", 1, "resumed")
    h.event("r", "ann", "bob", 2, 1)
    h.event("a", "ann", "bob", 2, 1)
    only(h.send(3).live(2, 3).judge())


def caught_up_in_front_of_what_came_live():
    h = History().send().live(1)
    h.event("x", "bob", 0, "silence")
    h.event("b", "bob", 1, "bound")
    h.live(3)
    h.event("c", "bob", "ann", 2, "id2", 1)
    h.event("c", "bob", "ann", 3, "id3", 1)
    h.event("k", "bob")
    verdict = h.judge()
    only(verdict)
    assert verdict.repeats == 1, f"a repeat under the same id: {verdict.repeats}"


def a_repeat_that_the_id_hides_is_counted_apart():
    verdict = History().send().live(1, 2, 2, 3).judge()
    only(verdict)
    assert verdict.repeats == 1, verdict.repeats


def unacknowledged_and_nowhere():
    h = History().send(1, 2).live(1, 2)
    h.send(3, acked=False)
    h.of = {"ann": h.archive[:2], "bob": h.archive[:2]}
    only(h.judge())


def refused_and_kept_later():
    h = History().send(1).live(1)
    h.event("s", "ann", "bob", 2, 0)
    h.event("s", "ann", "bob", 3, 0)
    h.event("a", "ann", "bob", 2, 0)            # counted, for the error is an answer
    h.event("e", "ann", "bob", 2, "resource-constraint")
    h.event("a", "ann", "bob", 3, 0)
    h.event("r", "ann", "bob", 2, 0)
    h.event("a", "ann", "bob", 2, 0)
    h.of["ann"] = h.of["bob"] = [h.archive[0], h.archive[2], h.archive[1]]
    only(h.live(3, 2).judge())


def a_recipient_who_is_away_has_seen_nothing_yet():
    only(History().send().live(1).judge(present=("ann",)))


def pauses_are_the_longest_waits():
    events = [["s", 10.0, "ann", "bob", 1, 0], ["l", 10.2, "bob", "ann", 1, "i", 0], ["a", 10.5, "ann", "bob", 1, 0],
              ["s", 11.0, "ann", "bob", 2, 0], ["x", 11.1, "cat", 0, "silence"], ["b", 12.1, "cat", 1, "resumed"]]
    assert abs(measures.live_pause(events, {"ann", "bob"}, 9, 15) - 4.0) < 1e-9, "one that has not come counts to the end"
    assert abs(measures.ack_pause(events[:3], {"ann", "bob"}, 9, 15) - 0.5) < 1e-9
    assert measures.back_after(events, {"cat", "ann"}, 9) == {"cat": 12.1 - 9}
    assert measures.tries(events, "cat", 9)[-1].startswith("3.1 s: in at "), measures.tries(events, "cat", 9)
    assert len(measures.dropped(events, {"cat"}, 9, 15)) == 1 and measures.entries(events, 9, 15) == (1, 0)


TESTS = (lost_acknowledgement_in_both_archives, lost_in_the_recipients_archive_only, acknowledged_and_never_shown,
         counted_by_a_failed_resumption_and_lost, lost_only_after_the_heal, acknowledged_by_the_isolated_primary,
         twice_in_an_archive, shown_twice_under_two_ids, live_and_again_in_the_catch_up_under_two_ids, swapped_in_an_archive,
         swapped_on_the_screen, live_before_an_older_one_of_the_catch_up, wrong_stanza_id, no_stanza_id,
         one_id_for_two_messages, an_archive_that_could_not_be_read, a_fair_history, sent_again_after_a_break,
         caught_up_in_front_of_what_came_live, a_repeat_that_the_id_hides_is_counted_apart, unacknowledged_and_nowhere,
         lost_for_one_member, lost_for_each_member_counts_each, lost_for_its_author, lost_in_the_rooms_archive,
         lost_in_the_rooms_archive_after_the_heal, a_members_archive_that_could_not_be_read, twice_in_the_rooms_archive, shown_twice_to_a_member,
         two_authors_swapped_for_one_member, live_before_an_older_one_of_the_rooms_catch_up, one_author_swapped_in_the_rooms_archive,
         two_sites_with_two_orders, another_id_live_than_in_the_room, a_fair_room, a_member_who_is_away_has_seen_nothing_yet,
         not_acknowledged_in_a_room_and_nowhere, a_groups_pause_is_that_of_its_slowest_member,
         refused_and_kept_later, a_recipient_who_is_away_has_seen_nothing_yet, pauses_are_the_longest_waits)


def main():
    failed = 0
    for test in TESTS:
        try:
            test()
            print("ok    " + test.__name__)
        except AssertionError as e:
            failed += 1
            print(f"FAIL  {test.__name__}: {e}")
    print(f"{len(TESTS) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
