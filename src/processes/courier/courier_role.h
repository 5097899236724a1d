/* courier_role.h: courier as a role.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "role.h"

extern struct role courier_role;
