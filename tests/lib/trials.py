# SPDX-License-Identifier: AGPL-3.0-or-later
"""trials.py: what a list of trials needs: a failure in words, and a loop that tells how each went.

    def name_is_kept(server):
        \"\"\"What must be true.\"\"\"
        check(server.name == "town", server.name)

    failed = play([name_is_kept], server)
"""
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
