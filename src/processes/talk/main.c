/* main.c: bongsu-talk: XMPP over TCP, WebSocket and BOSH. Links the messenger and the asking side of ident;
 * no account and no password is in here.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <string.h>
#include "check.h"
#include "talk/feature.h"
#include "talk/own.h"
#include "talk/talk_role.h"

/* For `bongsu doap`: only this program knows the features. */
static int print_doap(void)
{
    struct buf out;

    buf_init(&out, 0);
    features_print_doap(&out);
    fwrite(out.p, 1, out.len, stdout);
    buf_done(&out);
    return 0;
}

int main(int argc, char **argv)
{
    int status;

    if (argc == 2 && strcmp(argv[1], "--doap") == 0)
        return print_doap();
    if (check_asked(argc, argv, "talk", features_migrations(), &status))
        return status;
    if (own_asked(argc, argv, &status))
        return status;
    return role_main(&talk_role, argc, argv);
}
