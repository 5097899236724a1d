/* control.h: the local control socket: a person's command to a running
 * server. One request line of JSON, one answer, then end; the socket is 0600.
 *
 *   {"command":"user.add","user":"alice","password":"…"}  →  {"ok":true,"text":"…", …}
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <jansson.h>
#include "base/err.h"
#include "net/loop.h"

enum { CONTROL_LINE_BYTES_MAX = 1024 * 1024, CONTROL_ANSWER_BYTES_MAX = 16 * 1024 * 1024 };

struct control;
struct control_request;
/* Answer once with control_answer, now or later; `command` and `args` (the whole request) live until then. */
typedef void control_fn(void *arg, struct control_request *rq, const char *command, const json_t *args);
enum err control_listen(struct loop *l, const char *socket_path, control_fn *fn, void *arg, struct control **out);
void     control_free(struct control **c);
void     control_answer(struct control_request *rq, enum err e, json_t *answer /* stolen, may be NULL */);
/* The tool's side, blocking. OK: an answer came, look at its "ok"; it is yours to json_decref.
 * ERR_UNAVAILABLE: no server is running there. */
enum err control_call(const char *socket_path, const json_t *request, int timeout_ms, json_t **answer);
