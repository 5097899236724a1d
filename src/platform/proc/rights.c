/* rights.c: what a role gives up before it reads its first byte from a stranger: its
 * user, new privileges, core dumps, and every system call it does not need.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/log.h"
#include "proc/proc.h"
#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

/* ---- the user ---- */

static enum err become(const char *name)
{
    const struct passwd *u;
    int death_signal = 0;
    pid_t parent = getppid();

    errno = 0;
    u = getpwnam(name);
    if (!u) {
        LOG_ERROR("proc.user", LF_Z("user", name), LF_Z("why", errno ? strerror(errno) : "there is no such user"));
        return ERR_NOT_FOUND;
    }
    prctl(PR_GET_PDEATHSIG, &death_signal);
    if (initgroups(name, u->pw_gid) != 0 || setresgid(u->pw_gid, u->pw_gid, u->pw_gid) != 0
        || setresuid(u->pw_uid, u->pw_uid, u->pw_uid) != 0) {
        LOG_ERROR("proc.user", LF_Z("user", name), LF_Z("why", strerror(errno)));
        return ERR_DENIED;
    }
    /* The kernel forgets the death signal when the user changes (prctl(2)). */
    if (death_signal) {
        prctl(PR_SET_PDEATHSIG, death_signal);
        if (getppid() != parent)
            exit(1);
    }
    return OK;
}

/* ---- the filter ---- */

#ifdef HAVE_SECCOMP

/* What glibc, threads, OpenSSL and the loop need, whatever the role. */
static const char *const always[] = {
    "accept", "accept4", "brk", "clock_getres", "clock_gettime", "clock_nanosleep", "close", "close_range", "dup", "dup2",
    "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd",
    "eventfd2", "exit", "exit_group", "fcntl", "fstat", "futex", "futex_waitv", "getcwd", "getegid", "geteuid", "getgid",
    "getgroups", "getpeername", "getpgrp", "getpid", "getppid", "getrandom", "getresgid", "getresuid", "getrlimit",
    "getrusage", "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid", "lseek", "madvise", "membarrier",
    "mlock", "mmap", "mprotect", "mremap", "munlock", "munmap", "nanosleep", "newfstatat", "pipe", "pipe2", "poll",
    "ppoll", "pread64", "preadv", "preadv2", "pselect6", "pwrite64", "pwritev", "pwritev2", "read", "readv",
    "recvfrom", "recvmmsg", "recvmsg", "restart_syscall", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
    "rt_sigreturn", "rt_sigtimedwait", "sched_getaffinity", "sched_getparam", "sched_getscheduler", "sched_yield",
    "select", "sendfile", "sendmmsg", "sendmsg", "sendto", "set_robust_list", "set_tid_address", "setsockopt", "shutdown",
    "sigaltstack", "signalfd", "signalfd4", "statx", "sysinfo", "time", "timerfd_create", "timerfd_gettime",
    "timerfd_settime", "times", "uname", "write", "writev", NULL,
};

/* SQLite, uploads, logs: which directories, the file system and its owner decide. */
static const char *const files[] = {
    "access", "chmod", "copy_file_range", "creat", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchmod",
    "fchmodat", "fchown", "fdatasync", "flock", "fstatfs", "fsync", "ftruncate", "getdents", "getdents64", "link",
    "linkat", "lstat", "mkdir", "mkdirat", "open", "openat", "readlink", "readlinkat", "rename", "renameat", "renameat2",
    "rmdir", "stat", "statfs", "sync_file_range", "truncate", "umask", "unlink", "unlinkat", "utimensat", NULL,
};

static const char *const connecting[] = { "connect", NULL };

/* A socket file is made, given its mode, and replaced when stale. */
static const char *const listening[] = {
    "bind", "listen", "connect", "umask", "chmod", "fchmod", "fchmodat", "unlink", "unlinkat", "stat", "lstat", NULL,
};

static int allow_all(scmp_filter_ctx ctx, const char *const *names)
{
    int rc = 0;

    for (; *names && rc == 0; names++) {
        int nr = seccomp_syscall_resolve_name(*names);

        /* Not every architecture has every call. */
        if (nr != __NR_SCMP_ERROR && nr >= 0)
            rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
    }
    return rc;
}

static int allow_arg(scmp_filter_ctx ctx, int nr, unsigned at, uint64_t value)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1, SCMP_CMP64(at, SCMP_CMP_EQ, value));
}

/* Calls that are harmless with some arguments only. */
static int allow_narrow(scmp_filter_ctx ctx)
{
    static const int prctls[] = { PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_PDEATHSIG, PR_GET_PDEATHSIG,
                                  PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE };
    int rc = 0;

    for (size_t i = 0; i < sizeof prctls / sizeof prctls[0] && rc == 0; i++)
        rc = allow_arg(ctx, SCMP_SYS(prctl), 0, (uint64_t)prctls[i]);
    /* Threads yes, processes no. clone3 hides its flags behind a pointer: "not there" makes glibc use clone. */
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    /* Signals to itself: abort, and the fault points' SIGKILL. */
    if (rc == 0)
        rc = allow_arg(ctx, SCMP_SYS(kill), 0, (uint64_t)getpid());
    if (rc == 0)
        rc = allow_arg(ctx, SCMP_SYS(tgkill), 0, (uint64_t)getpid());
    if (rc == 0)
        rc = allow_arg(ctx, SCMP_SYS(prlimit64), 0, 0);      /* its own limits only */
    if (rc == 0)
        rc = allow_arg(ctx, SCMP_SYS(ioctl), 1, FIONREAD);
    if (rc == 0)
        rc = allow_arg(ctx, SCMP_SYS(ioctl), 1, FIONBIO);
    return rc;
}

static int allow_sockets(scmp_filter_ctx ctx, unsigned rights)
{
    int rc = 0;

    if (rights & (PROC_MAY_CONNECT | PROC_MAY_LISTEN | PROC_MAY_REACH))
        rc = allow_arg(ctx, SCMP_SYS(socket), 0, AF_UNIX);
    if (rc == 0 && rights & (PROC_MAY_LISTEN | PROC_MAY_REACH))
        rc = allow_arg(ctx, SCMP_SYS(socket), 0, AF_INET);
    if (rc == 0 && rights & (PROC_MAY_LISTEN | PROC_MAY_REACH))
        rc = allow_arg(ctx, SCMP_SYS(socket), 0, AF_INET6);
    if (rc == 0 && rights & (PROC_MAY_CONNECT | PROC_MAY_REACH))    /* libcurl's resolver thread wakes it so; BOSH sessions */
        rc = allow_arg(ctx, SCMP_SYS(socketpair), 0, AF_UNIX);
    if (rc == 0 && rights & (PROC_MAY_CONNECT | PROC_MAY_REACH))
        rc = allow_all(ctx, connecting);
    if (rc == 0 && rights & PROC_MAY_LISTEN)
        rc = allow_all(ctx, listening);
    return rc;
}

/* Refused calls fail with EPERM and do not kill: a library's odd call then costs a feature, not the service. */
static int filter_load(unsigned rights)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc;

    if (!ctx)
        return -ENOMEM;
    /* Threads that run already are bound too. */
    rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = allow_all(ctx, always);
    if (rc == 0)
        rc = allow_narrow(ctx);
    if (rc == 0 && rights & PROC_MAY_FILES)
        rc = allow_all(ctx, files);
    if (rc == 0)
        rc = allow_sockets(ctx, rights);
    if (rc == 0)
        rc = seccomp_load(ctx);
    seccomp_release(ctx);
    return rc;
}

static const char *filter(unsigned rights)
{
    int rc;

    if (UNDER_SANITIZER)
        return "built with a sanitizer";
    rc = filter_load(rights);
    return rc ? strerror(-rc) : NULL;
}

#else

static const char *filter(unsigned rights)
{
    return "built without libseccomp";
}

#endif

/* ---- what the header promises ---- */

enum err proc_drop(const char *user, unsigned rights)
{
    const char *why;
    enum err e;

    proc_rss_bytes();                /* opens its file while files can be opened */
    if (user && geteuid() == 0) {
        e = become(user);
        if (e)
            return e;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_from_errno(errno);
    why = filter(rights);
    if (why)
        LOG_WARN("proc.unfiltered", LF_Z("why", why));
    return OK;
}

void proc_title(const char *role)
{
    char title[16];                  /* the kernel's bound */

    snprintf(title, sizeof title, "bongsu: %s", role);
    prctl(PR_SET_NAME, title);
}

int64_t proc_rss_bytes(void)
{
    static int fd = -1;
    char text[128];
    long long total, resident;
    ssize_t n;

    if (fd < 0)
        fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    if (sscanf(text, "%lld %lld", &total, &resident) != 2)
        return 0;
    return resident * sysconf(_SC_PAGESIZE);
}

int proc_files_max(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return 1024;
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    getrlimit(RLIMIT_NOFILE, &r);
    return r.rlim_cur > 1048576 ? 1048576 : (int)r.rlim_cur;
}
