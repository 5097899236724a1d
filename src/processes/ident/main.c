/* main.c: bongsu-ident: accounts and log-ins. The only program that links the identity database.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "check.h"
#include "id/accounts.h"
#include "ident/ident_role.h"
#include "ident/own.h"

int main(int argc, char **argv)
{
    int status;

    if (check_asked(argc, argv, "ident", id_migrations, &status))
        return status;
    if (own_asked(argc, argv, &status))
        return status;
    return role_main(&ident_role, argc, argv);
}
