#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""run.py: all real clients of this folder, one after the other: run.py [--server NAME]"""
import glob
import os
import re
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))
total = [0, 0, 0]
for script in sorted(glob.glob(os.path.join(here, "with_*.py"))):
    try:
        done = subprocess.run(["/usr/bin/python3", script, *sys.argv[1:]], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, timeout=300)
        lines = done.stdout.rstrip("\n").split("\n")
    except subprocess.TimeoutExpired as e:
        lines = [(e.stdout or b"").decode(errors="replace"), f"FAIL  {os.path.basename(script)}: took more than 300 s"]
    counts = re.fullmatch(r"(\d+) passed, (\d+) failed, (\d+) skipped", lines[-1])
    print("\n".join(lines[:-1] if counts else lines), flush=True)
    for i in range(3):
        total[i] += int(counts[i + 1]) if counts else (i == 1)
print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
sys.exit(1 if total[1] else 0)
