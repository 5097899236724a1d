/* xep0431_fulltext.h: the field of an archive query that holds words.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/str.h"

#define NS_FULLTEXT "urn:xmpp:fulltext:0"
/* The name as the XEP writes it, and the one that clients have been using since before it. */
#define FULLTEXT_FIELDS "<field type='text-single' var='{" NS_FULLTEXT "}fulltext'/><field type='text-single' var='withtext'/>"

bool fulltext_is_field(struct str var);
