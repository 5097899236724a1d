#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""runbooks.py: follows docs/runbooks to the letter: every block that says where it is run, in order, while a writer counts.

    ```sh at=seoul      at that site; at=each: at all sites, one after the other, with the following `each` blocks; at=desk: where `site init` is run
"""
import fnmatch
import itertools
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(TOP, "drill")]
import lab as labs                                                          # noqa: E402
from run import BACKUP, Trial, cannot, check, count, play           # noqa: E402

BLOCK = re.compile(r"^```sh at=(\w+)\n(.*?)^```$", re.M | re.S)
SITES = ["seoul", "busan", "daejeon"]
STEP_S = 200


def blocks(page):
    """[(where, commands)]"""
    found = BLOCK.findall(open(os.path.join(TOP, "docs/runbooks", page)).read())
    check(found, f"{page} has nothing to run")
    return found


def copy(lab, line):
    """scp -r FOLDER/. root@ADDRESS:/etc/bongsu/"""
    _, _, source, target = line.split()
    address, path = target.removeprefix("root@").split(":")
    place = next(p for p in lab.places.values() if p.address == address)
    copy_below(os.path.join(lab.dir, source), place.root(path))


def copy_below(source, target):
    """As scp does it: what is there keeps its owner and rights."""
    new = not os.path.exists(target)
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        for name in os.listdir(source):
            copy_below(os.path.join(source, name), os.path.join(target, name))
    else:
        shutil.copyfile(source, target)
    if new:
        shutil.copymode(source, target)


def at_desk(lab, commands):
    for line in commands.splitlines():
        if line.startswith("scp "):
            copy(lab, line)
        else:
            done = subprocess.run(["sh", "-e", "-c", line], cwd=lab.dir, text=True, capture_output=True)
            check(done.returncode == 0, f"{line}: {done.stdout}{done.stderr}")


def with_lab_names(lab, text, **variables):
    for i, name in enumerate(SITES, 1):
        text = text.replace(f"10.0.{i}.1", lab.places[f"s{i}"].address).replace(name, f"s{i}")
    for name, value in variables.items():
        text = text.replace(f"${name}", value)
    return text


def follow(lab, page, **variables):
    """Runs the page's blocks; consecutive `each` blocks go through all sites as one."""
    for where, group in itertools.groupby(blocks(page), key=lambda b: b[0]):
        commands = with_lab_names(lab, "".join(c for _, c in group), **variables)
        if where == "desk":
            at_desk(lab, commands)
            continue
        for site in lab.names if where == "each" else [with_lab_names(lab, where)]:
            print(f"     {page} at {site}: {len(commands.splitlines())} commands", flush=True)
            lab.exec(site, ["sh", "-e", "-c", commands], timeout=STEP_S)


def desk(lab):
    """The desk's folder, as the pages call its parts."""
    for link, target in ("sites", lab.made), ("deploy", os.path.join(TOP, "deploy")):
        if not os.path.islink(os.path.join(lab.dir, link)):
            os.symlink(target, os.path.join(lab.dir, link))


def add_a_site(lab):
    t = Trial(lab, "add")
    t.write()
    lab.machine("s3")
    lab.power_on("s3")
    follow(lab, "add-a-site.md")
    for name in ("s1", "s2", "s3"):
        lab.learn(name)
    pause = t.judge(5)
    return f"pause {pause:.2f} s, whole after {t.judge_healed():.1f} s"


def replace_a_machine(lab):
    t = Trial(lab, "replace")
    victim = "s2"
    t.others = [n for n in lab.names if n not in (victim, t.primary)] or t.others
    t.write(avoid=[victim])
    lab.burn(victim)
    time.sleep(1)
    follow(lab, "replace-a-machine.md")
    pause = t.judge(8)
    return f"pause {pause:.2f} s, whole after {t.judge_healed():.1f} s"


def upgrade(lab):
    t = Trial(lab, "upgrade")
    t.write()
    follow(lab, "upgrade.md")
    pause = t.judge(6)
    return f"longest pause {pause:.2f} s, whole after {t.judge_healed():.1f} s"


def restore(lab):
    """A table that was dropped is back, and what was written after the chosen time is not."""
    lab.sql(lab.primary(), "CREATE TABLE precious AS SELECT generate_series(1, 1000) n")
    lab.exec("s1", [BACKUP, "full"], timeout=180)
    lab.sql(lab.primary(), "INSERT INTO precious VALUES(1001)")
    time.sleep(1.5)
    moment = str(lab.sql(lab.primary(), "SELECT now()")[0][0])
    time.sleep(1.5)
    lab.sql(lab.primary(), "DROP TABLE precious")
    lab.sql(lab.primary(), "SELECT pg_switch_wal()")
    time.sleep(2)
    follow(lab, "restore.md", TIME=moment)
    lab.wait_healthy(90)
    for site in lab.names:
        check(lab.sql(site, "SELECT count(*) FROM precious") == [(1001,)], f"the table at {site} is not as it was at {moment}")
    return "1001 of 1001 rows back at three sites"


PAGES = [add_a_site, replace_a_machine, upgrade, restore]


def main():
    pattern = sys.argv[1] if len(sys.argv) > 1 else "*"
    chosen = [p for p in PAGES if fnmatch.fnmatch(p.__name__, pattern)]
    if cannot(chosen):
        return 77
    first = 2 if add_a_site in chosen else 3
    with labs.Lab(os.environ.get("LAB_DIR"), sites=first, sites_max=3, settings={"backup.sites": "s1 s2"}, backup=True) as lab:
        desk(lab)
        passed, failed = play(chosen, lab, lambda lab: False)       # each page begins where the one before it ended
    return count(chosen, passed, failed)


if __name__ == "__main__":
    sys.exit(main())
