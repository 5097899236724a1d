/* exports.c: see exports.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "web/exports.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKEN_CHARS = 43 };

static bool is_token(struct str s)
{
    if (s.len != TOKEN_CHARS)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-'
              || s.p[i] == '_'))
            return false;
    return true;
}

static int open_file(struct str token, const char *data_dir, int64_t *bytes)
{
    char        path[4096];
    struct stat st;
    int         fd;

    if (!is_token(token) || snprintf(path, sizeof path, "%s/exports/%.*s.zip", data_dir, STR_ARG(token)) >= (int)sizeof path)
        return -1;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &st) != 0) {
        close(fd);
        return -1;
    }
    *bytes = fd >= 0 ? st.st_size : 0;
    return fd;
}

bool exports_answer(struct http_exchange *x, struct str path, const char *data_dir)
{
    static const struct str prefix = { "/exports/", 9 };
    int64_t bytes;
    int     fd;

    if (!str_starts(path, prefix))
        return false;
    fd = open_file(str_make(path.p + prefix.len, path.len - prefix.len), data_dir, &bytes);
    if (fd < 0)
        http_answer(x, 404, STR("text/plain; charset=utf-8"), STR("Cache-Control: no-store\r\n"), STR("there is nothing here, or no longer\n"));
    else
        http_answer_file(x, 200, STR("application/zip"),
                         STR("Content-Disposition: attachment; filename=\"my-data.zip\"\r\nCache-Control: no-store\r\n"
                             "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
                             "Content-Security-Policy: default-src 'none'\r\n"), fd, 0, bytes);
    return true;
}
