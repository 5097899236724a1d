"""measure.py: what a server costs, read from outside through /proc.
SPDX-License-Identifier: AGPL-3.0-or-later"""
import os
import re
import shutil
import signal
import subprocess
import time


def descendants(root):
    """The process and all below it, as a list of pids."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = open(f"/proc/{name}/stat").read()
            except OSError:
                continue
            parent = int(stat[stat.rindex(")") + 2:].split()[1])
            children.setdefault(parent, []).append(int(name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return found


def cpu_ns(pid):
    """CPU time of all threads of a process, ended ones included: the clock of
    clock_getcpuclockid(3). /proc/PID/task/*/schedstat says the same, but
    forgets threads that have ended."""
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)
    except OSError:
        return 0


class Cpu:
    """CPU time of a server between two readings. A process that ends in
    between takes its time along, so its last reading is kept."""

    def __init__(self, root):
        self.root = root
        self.start = {pid: cpu_ns(pid) for pid in descendants(root)}

    def spent_ns(self):
        now = {pid: cpu_ns(pid) for pid in descendants(self.root)}
        return sum(ns - self.start.get(pid, 0) for pid, ns in now.items())


def busy_ns():
    """CPU time of the whole machine, idle and waiting for disks left out."""
    ticks = [int(n) for n in open("/proc/stat").readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) * 10**9 // os.sysconf("SC_CLK_TCK")


def memory_bytes(root):
    """Proportional set size: shared pages are divided among their users."""
    total = 0
    for pid in descendants(root):
        try:
            text = open(f"/proc/{pid}/smaps_rollup").read()
        except OSError:
            continue
        match = re.search(r"^Pss:\s+(\d+) kB", text, re.M)
        total += int(match.group(1)) * 1024 if match else 0
    return total


class Syncs:
    """Counts the calls that make data durable, with strace."""

    calls = "fsync,fdatasync,sync_file_range,msync,syncfs"

    def __init__(self, root, directory):
        self.path = os.path.join(directory, "strace.out")
        pids = [arg for pid in descendants(root) for arg in ("-p", str(pid))]
        self.process = subprocess.Popen(
            ["strace", "-f", "-q", "-e", "trace=" + self.calls, "-o", self.path] + pids,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)

    @staticmethod
    def available():
        return shutil.which("strace") is not None

    def count(self):
        """Calls finished so far; None if strace could not attach."""
        if self.process.poll() is not None:
            return None
        with open(self.path) as f:
            return sum(1 for line in f if re.search(r"\) += 0", line))

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
