/* main.c: bongsu-ident: accounts and log-ins. The only program that links the identity database.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <string.h>
#include "check.h"
#include "id/accounts.h"
#include "ident/ident_role.h"

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--check") == 0)
        return check_database(argv[2], id_migrations);
    return role_main(&ident_role, argc, argv);
}
