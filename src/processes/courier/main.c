/* main.c: bongsu-courier: other servers. The only program that connects to strangers.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "check.h"
#include "courier/courier_role.h"
#include "courier/service.h"

int main(int argc, char **argv)
{
    int status;

    if (check_asked(argc, argv, "courier", courier_migrations(), &status))
        return status;
    return role_main(&courier_role, argc, argv);
}
