# SPDX-License-Identifier: AGPL-3.0-or-later
"""faults.py: what can befall the sites of a laboratory; the base of lab.Lab, so each is a method of it."""
import contextlib
import fcntl
import glob
import os
import shutil
import signal
import time

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
DISK = "/var/lib/bongsu/postgresql"


def namespace_processes(inode, but=()):
    found = []
    for path in glob.glob("/proc/[0-9]*"):
        try:
            if os.stat(path + "/ns/net").st_ino == inode and int(path[6:]) not in but:
                found.append(int(path[6:]))
        except OSError:
            pass
    return found


def signal_all(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_namespace(inode, but=()):
    """All at once: stopped first, so that none sees another go."""
    for _ in range(100):
        pids = namespace_processes(inode, but)
        if not pids:
            return
        signal_all(pids, signal.SIGSTOP)
        signal_all(pids, signal.SIGKILL)
        time.sleep(0.02)


class Faults:
    def cut(self, site):
        """All its links, silently; people cannot reach it either."""
        self.net(f"cut {site}")

    def heal(self, site):
        self.net(f"heal {site}")

    def cut_link(self, a, b):
        self.net(f"cut {a} {b}")

    def heal_link(self, a, b):
        self.net(f"heal {a} {b}")

    def loss(self, percent):
        self.net(f"loss {percent}")

    def kill_site(self, site):
        """SIGKILL to every process of it at once; the network is alive and answers with resets."""
        p = self.places[site]
        kill_namespace(p.inode, (p.holder.pid,))
        p.manager.wait()
        p.started = p.frozen = False

    def burn(self, site):
        """The machine and all its data are gone; an empty one stands in its place, switched on."""
        if self.places[site].started:
            self.kill_site(site)
        points = ["/var/lib/bongsu/postgresql", "/var/lib/bongsu", "/etc/bongsu", "/etc/systemd/system", "/run/bongsu", "/usr/lib/bongsu/deploy"]
        self.exec(site, ["umount", *points])
        for part in ("var", "etc", "systemd", "disk"):
            path = os.path.join(self.dir, site, part)
            shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.unlink(path)
        self.machine(site)
        self.power_on(site)

    def freeze(self, site):
        p = self.places[site]
        p.frozen = True
        for _ in range(3):              # children of a process that was forking
            signal_all(p.processes(), signal.SIGSTOP)

    def thaw(self, site):
        p = self.places[site]
        signal_all(p.processes(), signal.SIGCONT)
        p.frozen = False

    def fill_disk(self, site):
        """PostgreSQL's file system has not a block left."""
        path = self.places[site].root(DISK + "/ballast")
        with open(path, "wb") as f:
            for size in (1 << 20, 4096):
                while True:
                    free = os.fstatvfs(f.fileno())
                    take = free.f_bavail * free.f_frsize // size * size
                    if not take:
                        break
                    try:
                        os.posix_fallocate(f.fileno(), os.fstat(f.fileno()).st_size, take)
                    except OSError:
                        break

    def free_disk(self, site):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.places[site].root(DISK + "/ballast"))

    def stick_disk(self, site):
        """Whatever writes to PostgreSQL's file system waits, as on a disk that answers no more."""
        self._freeze_disk(site, FIFREEZE)
        self.places[site].stuck = True

    def unstick_disk(self, site):
        if self.places[site].stuck:
            self._freeze_disk(site, FITHAW)
            self.places[site].stuck = False

    def _freeze_disk(self, site, request):
        fd = os.open(self.places[site].root(DISK), os.O_RDONLY)
        try:
            fcntl.ioctl(fd, request, 0)
        finally:
            os.close(fd)

    def stop_postgres(self, site):
        """PostgreSQL alone ends at once; everything around it lives."""
        postmaster = self.places[site].root(DISK + "/data/postmaster.pid")
        os.kill(int(open(postmaster).readline()), signal.SIGQUIT)

    def kill_nats(self, site):
        self.systemctl(site, "kill", "--signal=KILL", "bongsu-nats")
        self.systemctl(site, "stop", "bongsu-nats")

    def start_nats(self, site):
        self.systemctl(site, "start", "bongsu-nats")

    def wipe_etcd(self, site):
        """It dies and its data is gone."""
        self.systemctl(site, "kill", "--signal=KILL", "bongsu-etcd")
        for path in glob.glob(self.places[site].root("/var/lib/bongsu/etcd/*")):
            shutil.rmtree(path, ignore_errors=True)

    def mend(self):
        """Undoes every fault, whichever there are, and waits until all is well; returns the seconds."""
        self.loss(0)
        for i, site in enumerate(self.names):
            self.heal(site)
            for other in self.names[i + 1:]:
                self.heal_link(site, other)
            self.unstick_disk(site)
            self.free_disk(site)
            if self.places[site].frozen:
                self.thaw(site)
            if not self.places[site].started:
                self.start_site(site)
            self.start_nats(site)
        return self.wait_healthy(90)
