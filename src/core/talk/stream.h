/* stream.h: bytes to stanzas and stream headers (RFC 6120 §4, RFC 7395): the
 * side of a session that faces the connection.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/session.h"

void stream_accept(struct talk *t, int fd, enum talk_transport how);   /* TCP and direct TLS */
void websocket_accept(struct talk *t, int fd, enum talk_transport door);                        /* websocket.c */
void websocket_init(struct talk *t);
/* A session on a connection that speaks WebSocket from here; it has been admitted. `masked`: by its frames (RFC 6455 §5.3). */
struct session *websocket_begin(struct talk *t, struct conn *c, bool secure, bool masked);

/* True when one more connection from this address is welcome; it is counted then, until stream_conn_gone. */
bool stream_admit(struct talk *t, struct conn *c);
void stream_conn_gone(struct talk *t, struct conn *c);
extern const struct conn_handlers stream_refused_handlers;   /* for a conn nobody listens to */
extern const struct conn_handlers websocket_handlers;        /* arg: struct session */
void stream_adopt(struct session *s);            /* our handlers on s->conn */
void stream_release(struct conn *c);             /* the conn drains without a session */
/* A new stream on the same connection, after TLS or SASL (RFC 6120 §4.3.3). */
void stream_restart(struct session *s);
void stream_send_features(struct session *s);
void stream_write_error(struct session *s, const char *condition, const char *text);
void stream_write_error_xml(struct session *s, const char *conditions);
void stream_write_close(struct session *s);
/* One element of depth 1, parsed. Used by both framings. */
void stream_element(struct session *s, const struct xml_node *n);
/* The client's stream header: checks it, answers with ours. `open`: its attributes. */
void stream_opened(struct session *s, const struct xml_node *open);
bool stream_rate_spent(struct session *s, size_t bytes);   /* true: stop reading until the next second */
void stream_tick(struct session *s, int64_t now_ms);
/* Session-level writes that other files share (session.c). */
void session_write(struct session *s, struct str xml);
void session_write_stanza(struct session *s, struct str stanza);
void session_send_unheld(struct session *s, struct str stanza);   /* past XEP-0352 */
void session_name(struct session *s, struct jid *j);
void session_link(struct session *s);
void session_free(struct session *s);
