/* fuzz_settings.c: whatever is in a settings file, it is read or refused, and what is read writes back readable.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "proc/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct setting table[] = {
    { "text", SETTING_TEXT, "", 0, 0, false, "Text." },
    { "a.number", SETTING_INT, "5", -10, 1000, false, "A number." },
    { "a.size", SETTING_BYTES, "64k", 1, INT64_MAX, false, "A size." },
    { "a.time", SETTING_DURATION_MS, "10s", 0, INT64_MAX, false, "A time." },
    { "switch", SETTING_BOOL, "no", 0, 0, false, "A switch." },
    { "path", SETTING_PATH, "/", 0, 0, false, "A path." },
    { "listen", SETTING_ADDRESSES, "", 0, 0, false, "Addresses." },
    { 0 },
};
static const struct setting *const tables[] = { table, NULL };

static enum err load(struct settings *s, const void *p, size_t size, struct buf *report)
{
    int fd = memfd_create("settings", MFD_CLOEXEC);
    char path[64];
    enum err e;

    if (fd < 0 || write(fd, p, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    e = settings_load(s, path, report);
    close(fd);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *s, *again;
    struct buf report, out;

    buf_init(&report, 0);
    buf_init(&out, 0);
    if (settings_new(tables, &s) != OK || settings_new(tables, &again) != OK)
        abort();
    if ((load(s, data, size, &report) != OK) != (report.len > 0))
        abort();                     /* a refusal says why */
    settings_write(s, &out);
    buf_clear(&report);
    if (load(again, out.p, out.len, &report) != OK || settings_int(s, "a.time") != settings_int(again, "a.time"))
        abort();
    settings_free(&s);
    settings_free(&again);
    buf_done(&report);
    buf_done(&out);
    return 0;
}
