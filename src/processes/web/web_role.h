/* web_role.h: HTTPS as a role: the app's files, and how clients find the WebSocket.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "role.h"

extern struct role web_role;
