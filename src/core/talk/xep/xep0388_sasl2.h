/* xep0388_sasl2.h: what Bind2 and FAST add inside <authenticate/> and <success/>.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/login.h"

/* xep0386_bind2.c: binds as asked and appends <bound/>. ERR_NOT_FOUND: no <bind/> was asked for. */
enum err bind2_run(struct session *s, const struct xml_node *authenticate, struct buf *out);
void     bind2_put_inline(struct session *s, struct buf *out);

/* xep0484_fast.c: reads <request-token/> and <fast/> into `start`. */
void fast_read(const struct xml_node *authenticate, struct sasl_start *start);
void fast_put_token(const struct sasl_answer *a, struct buf *out);
void fast_put_inline(struct session *s, struct buf *out);
