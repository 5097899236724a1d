/* own.c: see own.h. Web's database is SQLite wherever the others are: it tells what is on this machine's disk.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "web/own.h"
#include "check.h"
#include "files/export.h"
#include "wire/jid.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum err write_files(const char *database, const char *folder, struct str owner, const char *url, const char *dir, struct arena *a,
                            struct str *why)
{
    struct db_settings        s = { .path = database };
    struct files_export_count count = { 0 };
    struct blobs              blobs = { -1, -1 };
    struct db_conn           *c = NULL;
    enum err                  e = db_conn_open(&s, false, &c, a, why);

    if (!e)
        e = blobs_open_copy(&blobs, folder, false, a, why);
    if (!e)
        e = files_export_write(c, &blobs, owner, str_of(url), dir, &count);
    blobs_close(&blobs);
    db_conn_close(&c);
    if (!e && count.missing)
        fprintf(stderr, "bongsu: %lld files of the account are not on this machine; index.json has their links\n", (long long)count.missing);
    return e;
}

bool own_asked(int argc, char **argv, int *status)
{
    struct arena a;
    struct str   owner, why = STR_NULL;
    enum err     e = OK;

    if (argc != 9 || strcmp(argv[1], "--own") != 0 || strcmp(argv[2], "export") != 0)
        return false;
    arena_init(&a);
    if (access(argv[3], F_OK) == 0)     /* else no file was ever uploaded */
        e = jid_prep_local(&a, str_of(argv[5]), &owner);
    if (!e && access(argv[3], F_OK) == 0)
        e = write_files(argv[3], argv[6], owner, argv[7], argv[8], &a, &why);
    *status = check_tell(e, "the files of the account", why);
    arena_done(&a);
    return true;
}
