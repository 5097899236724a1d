#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""run.py: strangers and bad clients against a real server, while two friends chat.

    tests/hostile/run.py                    # all; the server is build/src/processes/bongsu, or $BONGSU
    tests/hostile/run.py bad_frames         # some
    FUZZ_SECONDS=600 SEED=7 tests/hostile/run.py random_bytes
"""
import asyncio
import logging
import os
import re
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import doors                                                                # noqa: E402
import login                                                                # noqa: E402
import slow                                                                 # noqa: E402
import words                                                                # noqa: E402
from enemy import Failure, Town, check, servers                             # noqa: E402

SAMPLE = (r"([a-zA-Z_:][\w:]*)(?:\{(?:\w+=\"(?:[^\"\\\n]|\\.)*\",?)*\})? "
          r"(-?[0-9.e+-]+|[+-]Inf|NaN)(?: [0-9.]+)?")

# ---- at the end ----


async def friends_lost_nothing(t):
    """every message of the friends arrived and was answered, in order, through all of this"""
    await t.friends.round_trip_seen()
    await t.friends.stop()
    f = t.friends
    check(not f.faults, "; ".join(f.faults[:5]))
    check(f.seen >= f.answered >= f.sent - 1 and f.sent > 1, f"{f.sent} sent, {f.seen} arrived, {f.answered} answered")
    check(not f.alice.breaches and not f.bob.breaches, f"{(f.alice.breaches + f.bob.breaches)[:3]}")
    print(f"      ({f.answered} messages answered, the slowest after {f.worst_ms} ms)")


async def metrics_parse(t):
    """the metrics page is OpenMetrics"""
    text = await t.metrics()
    check(text.endswith("# EOF\n"), "no # EOF at the end")
    kinds = {}
    for line in text.splitlines()[:-1]:
        meta = re.fullmatch(r"# (TYPE|HELP|UNIT) ([a-zA-Z_:][\w:]*) (.+)", line)
        if meta and meta[1] == "TYPE":
            check(meta[2] not in kinds, f"{meta[2]} has two types")
            kinds[meta[2]] = meta[3]
            continue
        if meta:
            continue
        sample = re.fullmatch(SAMPLE, line)
        check(sample, f"no sample: {line}")
        base = re.sub(r"_(total|count|sum|bucket|created|info)$", "", sample[1])
        family = next((f for f in (sample[1], base) if f in kinds), None)
        check(family, f"{sample[1]} has no type")
        check(kinds[family] != "counter" or sample[1].endswith(("_total", "_created")), f"the counter {line} has no _total")
    check(len(kinds) > 10, f"only {len(kinds)} families")


async def log_keeps_secrets(t):
    """the log holds no message text, no password and no token"""
    text = t.log()
    check(len(text) > 1000, "the log is empty")
    for secret in t.secrets:
        for form in (secret, secret.encode().hex()):
            at = text.find(form)
            check(at < 0, f"the log says {text[max(0, at - 100):at + 40]!r}")


async def nobody_died(t):
    """no process of the server died, and none complained of a mistake of its own"""
    text = t.log()
    for sign in ("proc.died", "Sanitizer", "runtime error", "Assertion", "assertion"):
        check(sign not in text, f"{sign}: {text[max(0, text.find(sign) - 200):text.find(sign) + 1500]}")
    check(t.server.process.poll() is None, "the keeper ended")


LAST = (metrics_parse, friends_lost_nothing, log_keeps_secrets, nobody_died)


class Results:
    def __init__(self):
        self.passed = self.failed = 0

    async def run(self, town, test):
        try:
            await test(town)
            self.passed += 1
            print(f"ok    {test.__name__}: {test.__doc__}", flush=True)
        except Exception as e:
            self.failed += 1
            print(f"not ok {test.__name__}: {test.__doc__}\n      {type(e).__name__}: {str(e)[:1500]}", flush=True)
            if not isinstance(e, Failure):
                traceback.print_exc(file=sys.stdout)


async def play(town, tests, waiting, results):
    # Connections that we broke ourselves are no news.
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    await town.friends.start()
    patient = [asyncio.ensure_future(results.run(town, test)) for test in waiting]
    for test in tests:
        await results.run(town, test)
    await asyncio.gather(*patient)
    for test in LAST:
        await results.run(town, test)


def main():
    tests = slow.TESTS + words.TESTS + login.TESTS + doors.TESTS
    waiting = slow.TESTS_WAITING + doors.TESTS_WAITING      # mostly sleep: all at once, beside the others
    only = sys.argv[1:]
    if only:
        tests, waiting = ([t for t in some if t.__name__ in only] for some in (tests, waiting))
    why = servers.Bongsu.missing()
    if why:
        print(f"skip  {why}\n0 passed, 0 failed, {len(tests) + len(waiting) + len(LAST)} skipped")
        return 0
    town, results = Town(), Results()
    try:
        town.server.start()
        asyncio.run(play(town, tests, waiting, results))
    finally:
        town.server.remove()
    print(f"{results.passed} passed, {results.failed} failed, 0 skipped")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
