/* main.c: bongsu-web: HTTPS, and the files that people upload. Links neither messages nor accounts: it cannot read one if it wanted to.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "check.h"
#include "files/catalog.h"
#include "web/own.h"
#include "web/web_role.h"

int main(int argc, char **argv)
{
    int status;

    if (check_asked(argc, argv, "web", catalog_migrations, &status))
        return status;
    if (own_asked(argc, argv, &status))
        return status;
    return role_main(&web_role, argc, argv);
}
