/* cmd_drill.c: drill: hands over to drill/drill.py, with this program as the one to try.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "keeper/cli.h"

/* Installed, or in the tree whose build this program lies in (build/src/processes). */
static const char *const places[] = { "../share/bongsu/drill", "../../../drill" };

static struct str script(struct arena *a)
{
    struct str folder = cli_folder(a);

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct str path = arena_printf(a, "%s/%s/drill.py", folder.p, places[i]);

        if (access(path.p, R_OK) == 0)
            return path;
    }
    return STR_NULL;
}

int cmd_drill(struct invocation *v)
{
    const char  *words[3 + 2 * CLI_OPTIONS_MAX] = { "/usr/bin/python3" };
    int          n = 1;
    struct arena a;
    struct str   path;

    arena_init(&a);
    path = script(&a);
    if (!path.p) {
        arena_done(&a);
        return cli_fail("the drill is not installed: there is no drill/drill.py beside this program");
    }
    words[n++] = path.p;
    for (int i = 0; v->command->options[i].name; i++) {
        if (!v->values[i])
            continue;
        words[n++] = v->command->options[i].name;
        if (v->command->options[i].value)
            words[n++] = v->values[i];
    }
    setenv("BONGSU", arena_printf(&a, "%s/bongsu", cli_folder(&a).p).p, 0);
    execv("/usr/bin/python3", (char *const *)words);
    n = errno;
    arena_done(&a);
    return cli_fail("could not run /usr/bin/python3: %s", strerror(n));
}
