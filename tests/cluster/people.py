#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""people.py: the drill's people and their judge against one machine, whose talk process is killed under them.

The judge's self-test comes first: who does not find a forged loss proves nothing by finding none.
"""
import argparse
import os
import random
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(TOP, "tests/lib"), os.path.join(TOP, "drill")]
import crowd                                                                # noqa: E402
import server as servers                                                    # noqa: E402


def talk_pid(server):
    out = subprocess.run(["pgrep", "-P", str(server.process.pid), "-f", "talk"], capture_output=True, text=True).stdout
    return int(out.split()[0]) if out.split() else None


def break_it(server, args, rng):
    done = 0
    while done < args.breaks:
        time.sleep(args.pause * (0.5 + rng.random()))
        pid = talk_pid(server)
        if pid:
            os.kill(pid, signal.SIGKILL)
            done += 1
    return done


def chat(server, args):
    """(checker's verdict, who is not settled, breaks, the crowd)."""
    names = [f"p{i}" for i in range(args.people)]
    friends = {n: [names[(i + step) % len(names)] for step in (1, 2, 5)] for i, n in enumerate(names)}
    server.add_users({n: "secret-" + n for n in names})
    people = [{"name": n, "addresses": [["here", "127.0.0.1", server.tls_port]], "friends": friends[n], "interval": args.interval}
              for n in names]
    everybody = crowd.Crowd(server.dir, {"domain": server.domain, "ca": server.ca, "people": people, "amnesia": args.amnesia})
    try:
        out = everybody.start()
        if out:
            raise crowd.CrowdError("could not get in: " + " ".join(out))
        everybody.talk(True)
        breaks = break_it(server, args, random.Random(args.seed))
        everybody.talk(False)
        left = everybody.settle(names, 60)
        everybody.archives([[n, "here", "127.0.0.1", server.tls_port] for n in names])
        return everybody.checker.judge([(n, "here") for n in names], set(names)), left, breaks, everybody
    finally:
        everybody.stop()


def report(verdict, left, breaks, everybody):
    resumed = sum(1 for e in everybody.events if e[0] == "b" and e[4] == "resumed")
    bound = sum(1 for e in everybody.events if e[0] == "b" and e[4] == "bound")
    print(f"{breaks} kills, {len(everybody.names)} people, {verdict.messages} messages, {verdict.acked} acknowledged, "
          f"{resumed} resumed, {bound} bound anew, {verdict.repeats} deliveries hidden by their stanza-id")
    checks = [("acknowledged messages missing from an archive or a screen", verdict.lost), ("messages twice", verdict.twice),
              ("messages out of order", verdict.order), ("live with another stanza-id than the archive's", verdict.id),
              ("archives that could not be read", verdict.unread), ("people who did not settle", left[0]),
              ("acknowledged messages that were never shown", left[1])]
    for what, found in checks:
        print(f"{'ok     ' if not found else 'not ok '} {what}: {len(found)}" + "".join(f"\n        {f}" for f in found[:10]))
    return sum(bool(found) for _, found in checks), len(checks)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--breaks", type=int, default=20)
    p.add_argument("--pause", type=float, default=1.0, help="seconds between kills, about")
    p.add_argument("--people", type=int, default=12)
    p.add_argument("--interval", type=float, default=0.1, help="seconds between a person's messages")
    p.add_argument("--amnesia", type=float, default=0.3, help="share of resumptions that are bound to fail")
    p.add_argument("--seed", default="bongsu")
    args = p.parse_args()
    judged = subprocess.run([sys.executable, os.path.join(TOP, "drill/test_checker.py")])
    why = servers.Bongsu.missing()
    if why or judged.returncode:
        print(f"{'skipped: ' + why if why else 'the judge is blind'}\n0 passed, {int(not why)} failed, {int(bool(why))} skipped")
        return 1 if judged.returncode else 0
    os.environ["BONGSU_BACKOFF_MS_MAX"] = "50"
    server = servers.Bongsu()
    try:
        server.start()
        failed, checks = report(*chat(server, args))
    except (crowd.CrowdError, servers.ServerError) as e:
        print(f"not ok  {e}")
        failed, checks = 1, 1
    finally:
        server.remove()
    print(f"{checks - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
