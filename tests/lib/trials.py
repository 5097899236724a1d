# SPDX-License-Identifier: AGPL-3.0-or-later
"""trials.py: what a list of trials needs: a failure in words, and a loop that tells how each went.

    def name_is_kept(server):
        \"\"\"What must be true.\"\"\"
        check(server.name == "town", server.name)

    failed = play([name_is_kept], server)

Or one proof that has a server to itself, and tells what it counted:

    sys.exit(alone(servers.Bongsu, ("alice", "bob"), lambda server: f"{asyncio.run(write(server))} messages came"))
"""
import argparse
import sys
import traceback


class Failure(Exception):
    """What is not as it must be, in words; anything else that is raised comes with its traceback."""


def check(true, what):
    if not true:
        raise Failure(what)


def play(trials, *arguments):
    """Calls each with `arguments`; how many failed."""
    failed = 0
    for trial in trials:
        try:
            trial(*arguments)
            print(f"ok    {trial.__doc__}", flush=True)
        except Exception as e:
            failed += 1
            print(f"FAIL  {trial.__doc__}\n      {type(e).__name__}: {e}", flush=True)
            if not isinstance(e, Failure):
                traceback.print_exc(file=sys.stdout)
    return failed


def times(about, default, name="rounds"):
    """How many: --rounds, or `default`. `about`: the docstring of the proof."""
    parser = argparse.ArgumentParser(description=about.split("\n\n")[0])
    parser.add_argument(f"--{name}", type=int, default=default)
    return vars(parser.parse_args())[name]


SKIPPED = 77                    # the exit status of a proof that cannot run here


def alone(kind, people, prove, prepare=lambda server: None):
    """`prove(server)` gives what is proved, in words. People have the password secret-NAME. Returns the exit status."""
    why = kind.missing()
    if why:
        print(f"skip  {why}\n0 passed, 0 failed, 1 skipped")
        return SKIPPED
    server = kind()
    try:
        prepare(server)
        server.add_users({name: f"secret-{name}" for name in people})
        server.start()
        print(f"ok    {prove(server)}\n1 passed, 0 failed, 0 skipped")
    except Failure as e:
        print(f"FAIL  {e}\n{server.tail()[-1500:]}\n0 passed, 1 failed, 0 skipped")
        return 1
    finally:
        server.remove()
    return 0


def on_each(kinds, trials):
    """Plays them on a server of each kind, which the first trial starts. Returns the exit status, the counts told."""
    failed = count = skipped = 0
    for kind in kinds:
        why = kind.missing()
        if why:
            print(f"skip  {kind.name}: {why}")
            skipped += len(trials)
            continue
        print(f"-- {kind.name}")
        server = kind()
        try:
            failed += play(trials, server)
            count += len(trials)
        finally:
            server.remove()
    print(f"{count - failed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0
