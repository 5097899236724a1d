/* main.c: bongsu-web: HTTPS. Links no database: it cannot read a message if it wanted to.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "web/web_role.h"

int main(int argc, char **argv)
{
    return role_main(&web_role, argc, argv);
}
