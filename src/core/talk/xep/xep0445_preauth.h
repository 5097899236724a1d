/* xep0445_preauth.h: making an account with an invitation.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/session.h"

/* <preauth/> on a stream that has not logged in. */
enum err preauth_early(struct session *s, const struct stanza *iq);
