/* prepare.c: see prepare.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "keeper/prepare.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "common.h"

static enum err say(struct buf *report, int errnum, const char *what, const char *path)
{
    buf_printf(report, "%s \"%s\": %s\n", what, path, strerror(errnum));
    return err_from_errno(errnum);
}

/* ---- the user ---- */

enum err prepare_user(struct settings *s, struct buf *report)
{
    const char    *user = settings_text(s, "user"), *dir = settings_text(s, "data_dir");
    struct passwd *pw;
    struct stat    st;

    if (geteuid() != 0)
        return settings_set(s, "user", STR(""), report);      /* nothing to give up */
    if (*user) {
        if (getpwnam(user))
            return OK;
        buf_printf(report, "there is no user \"%s\" on this machine: make it (adduser --system --group %s), or change the setting "
                           "user\n", user, user);
        return ERR_NOT_FOUND;
    }
    if (stat(dir, &st) != 0 || st.st_uid == 0)
        return OK;                                            /* root's own folder: the roles stay root */
    pw = getpwuid(st.st_uid);
    if (!pw) {
        buf_printf(report, "data_dir \"%s\" belongs to nobody known (uid %u)\n", dir, (unsigned)st.st_uid);
        return ERR_NOT_FOUND;
    }
    return settings_set(s, "user", str_of(pw->pw_name), report);
}

enum err prepare_give(const struct settings *s, const char *path)
{
    const char    *user = settings_text(s, "user");
    struct passwd *pw = *user && geteuid() == 0 ? getpwnam(user) : NULL;

    /* Never through a link: the roles' user can write where this is done by root. */
    return pw && lchown(path, pw->pw_uid, pw->pw_gid) != 0 ? err_from_errno(errno) : OK;
}

/* ---- folders ---- */

static bool is_ours(const struct settings *s, const struct stat *st)
{
    const char    *user = settings_text(s, "user");
    struct passwd *pw = *user ? getpwnam(user) : NULL;

    return st->st_uid == geteuid() || (pw && st->st_uid == pw->pw_uid);
}

static enum err make_dir(const struct settings *s, const char *name, struct buf *report)
{
    const char *path = settings_text(s, name);
    struct stat st;

    if (mkdir(path, 0700) == 0)
        return prepare_give(s, path);
    if (errno != EEXIST)
        return say(report, errno, "could not make the folder", path);
    if (stat(path, &st) != 0)
        return say(report, errno, "could not read the folder", path);
    if (!S_ISDIR(st.st_mode)) {
        buf_printf(report, "%s \"%s\" is not a folder\n", name, path);
        return ERR_INVALID;
    }
    if (!is_ours(s, &st)) {
        buf_printf(report, "%s \"%s\" belongs to somebody else\n", name, path);
        return ERR_DENIED;
    }
    /* The sockets and the settings in force are in there: nobody else's business. */
    if (st.st_mode & 077 && chmod(path, 0700) != 0)
        return say(report, errno, "could not close to others the folder", path);
    return OK;
}

static enum err run_dir_fits(const struct settings *s, struct buf *report)
{
    const char *path = settings_text(s, "run_dir");
    size_t      room = sizeof ((struct sockaddr_un *)0)->sun_path - sizeof "/control.sock";

    if (strlen(path) <= room)
        return OK;
    buf_printf(report, "run_dir \"%s\" is too long for the sockets in it: at most %zu bytes\n", path, room);
    return ERR_LIMIT;
}

enum err prepare_lock(const char *data_dir, int *fd)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/lock", data_dir) >= (int)sizeof path)
        return ERR_LIMIT;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return err_from_errno(errno);
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return OK;
    close(*fd);
    *fd = -1;
    return errno == EWOULDBLOCK ? ERR_EXISTS : err_from_errno(errno);
}

static enum err take_lock(const struct settings *s, struct buf *report)
{
    const char *dir = settings_text(s, "data_dir");
    static int  lock = -1;            /* until the process ends */
    enum err    e = prepare_lock(dir, &lock);

    if (e == ERR_EXISTS)
        buf_printf(report, "a server (or a tool) works on \"%s\" already; `bongsu status` looks, `bongsu stop` stops it\n", dir);
    else if (e)
        buf_printf(report, "could not lock \"%s/lock\": %s\n", dir, err_info(e)->sentence);
    return e;
}

static enum err find_certificate(const struct settings *s, struct buf *report)
{
    const char *path = settings_text(s, "tls.certificate");

    if (*path == '\0' || access(path, R_OK) == 0)
        return OK;
    buf_printf(report, "there is no certificate at \"%s\" (tls.certificate): `bongsu cert` makes one to try with\n", path);
    return ERR_NOT_FOUND;
}

enum err prepare_all(struct settings *s, struct buf *report)
{
    enum err e = prepare_user(s, report);

    if (!e)
        e = run_dir_fits(s, report);
    if (!e)
        e = make_dir(s, "data_dir", report);
    if (!e)
        e = make_dir(s, "run_dir", report);
    if (!e)
        e = take_lock(s, report);
    return e ? e : find_certificate(s, report);
}

/* ---- settings for the roles ---- */

static enum err write_whole(const char *path, struct str text)
{
    int  fd;
    bool ok;

    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    ok = fd >= 0;
    while (ok && text.len) {
        ssize_t n = write(fd, text.p, text.len);

        ok = n > 0;
        if (ok)
            text = str_make(text.p + n, text.len - (size_t)n);
    }
    if (fd >= 0)
        close(fd);
    return ok ? OK : err_from_errno(errno);
}

enum err prepare_settings_file(const struct settings *s, struct arena *a, struct str *path, struct buf *report)
{
    struct str fresh = common_run_path(s, a, PREPARE_SETTINGS_NAME ".new");
    struct buf text;
    enum err   e;

    *path = common_run_path(s, a, PREPARE_SETTINGS_NAME);
    buf_init(&text, 0);
    settings_write(s, &text);
    e = write_whole(fresh.p, buf_str(&text));
    buf_done(&text);
    if (!e)
        e = prepare_give(s, fresh.p);
    if (!e && rename(fresh.p, path->p) != 0)
        e = err_from_errno(errno);
    if (e)
        buf_printf(report, "could not write \"%s\": %s\n", path->p, err_info(e)->sentence);
    return e;
}

static void keep_fixed(const struct settings *old, struct settings *fresh, struct buf *report)
{
    for (const struct setting *const *table = all_settings; *table; table++)
        for (const struct setting *row = *table; row->name; row++) {
            const char *was = settings_text(old, row->name);

            if (row->reloads || strcmp(was, settings_text(fresh, row->name)) == 0)
                continue;
            buf_printf(report, "%s is taken up at the next start only\n", row->name);
            settings_set(fresh, row->name, str_of(was), report);
        }
}

enum err prepare_reload(const char *config, struct settings **current, struct arena *a, struct buf *report)
{
    struct settings *fresh;
    struct str       path;
    enum err         e = common_load(config, &fresh, report);

    if (e)
        return e;
    e = prepare_user(fresh, report);
    if (!e) {
        keep_fixed(*current, fresh, report);
        e = prepare_settings_file(fresh, a, &path, report);
    }
    if (e) {
        settings_free(&fresh);
        return e;
    }
    settings_free(current);
    *current = fresh;
    return OK;
}
