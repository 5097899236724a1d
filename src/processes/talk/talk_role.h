/* talk_role.h: the messenger as a role.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "role.h"

extern struct role talk_role;
