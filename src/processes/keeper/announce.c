/* announce.c: see announce.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "keeper/announce.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/log.h"
#include "common.h"

/* sd_notify(3) without its library: one datagram. */
static void tell_systemd(const char *state)
{
    const char        *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int                fd;

    if (!path || !*path || !str_copy(str_of(path), to.sun_path, sizeof to.sun_path))
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0';      /* an abstract name */
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
        LOG_WARN("keeper.notify", LF_Z("socket", path));
    close(fd);
}

static void put_door(const char *words, const char *value, const char *before, const char *after)
{
    if (*value)
        printf("%s%s%s%s", words, before, value, after);
}

void announce_ready(const struct settings *s)
{
    char       url[512];
    struct str web = door_first(s, "web.listen");

    snprintf(url, sizeof url, "wss://%s:%d/xmpp-websocket", settings_text(s, "domain"),
             door_port(door_first(s, "talk.listen_websocket")));
    printf("bongsu: ready: domain %s", settings_text(s, "domain"));
    put_door(", XMPP ", settings_text(s, "talk.listen"), "", "");
    put_door(", XMPP over TLS ", settings_text(s, "talk.listen_tls"), "", "");
    if (*settings_text(s, "talk.listen_websocket"))
        printf(", WebSocket %s", *settings_text(s, "web.websocket_url") ? settings_text(s, "web.websocket_url") : url);
    put_door(", BOSH ", settings_text(s, "talk.listen_bosh"), "", "");
    if (web.len)
        printf(", web https://%s:%d/", settings_text(s, "domain"), door_port(web));
    printf("\n");
    fflush(stdout);
    LOG_INFO("keeper.ready", LF_Z("domain", settings_text(s, "domain")));
    tell_systemd("READY=1");
}

void announce_stopping(void)
{
    LOG_INFO("keeper.stopping");
    tell_systemd("STOPPING=1");
}
