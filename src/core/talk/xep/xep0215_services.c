/* XEP-0215 External Service Discovery 1.0.0: where calls find STUN and TURN, and credentials that are good
 * for a few hours. They are what coturn's use-auth-secret expects: the name is "expiry:who", the password its
 * HMAC-SHA1 under the secret that both share, so nothing has to be told to the relay. `who` is no address:
 * the relay's log must not say who calls whom. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "crypto/digest.h"
#include "talk/feature.h"
#include "wire/base64.h"
#include <stdio.h>

#define NS_SERVICES "urn:xmpp:extdisco:2"

static const struct service {
    const char *type, *transport, *port; /* the setting of its port */
    bool restricted;
} services[] = {
    {"stun", "udp", "turn.port", false},
    {"turn", "udp", "turn.port", true},
    {"turn", "tcp", "turn.port", true},
    {"turns", "tcp", "turn.tls_port", true},
};

static const char *setting(const struct session *s, const char *name)
{
    return settings_text(s->talk->settings, name);
}

static bool offers(const struct session *s, const struct service *v)
{
    return *setting(s, "turn.host") && settings_int(s->talk->settings, v->port) &&
           (!v->restricted || *setting(s, "turn.secret"));
}

/* The same name for an account all day, so that a relay can bound what one person uses. */
static void put_credentials(struct session *s, struct buf *b)
{
    int64_t expires_us = clock_us() + settings_int(s->talk->settings, "turn.lifetime") * 1000;
    struct str secret = str_of(setting(s, "turn.secret"));
    uint8_t mac[DIGEST_BYTES_MAX], who[DIGEST_BYTES_MAX];
    char time[CLOCK_TEXT_BYTES], name[64], hex[17];
    int n;

    hmac(DIGEST_SHA256, secret, s->jid.bare, who);
    *hex_write(hex, who, 8) = '\0';
    n = snprintf(name, sizeof name, "%lld:%s", (long long)(expires_us / 1000000), hex);
    hmac(DIGEST_SHA1, secret, str_make(name, (size_t)n), mac);
    buf_printf(b, " restricted='true' username='%s' password='", name);
    base64_put(b, str_make((const char *)mac, digest_bytes(DIGEST_SHA1)));
    BUF_LIT(b, "' expires='");
    buf_put_str(b, clock_format(expires_us / 1000000 * 1000000, time));
    buf_put_c(b, '\'');
}

static void put_service(struct session *s, struct buf *b, const struct service *v)
{
    BUF_LIT(b, "<service");
    xml_put_attr(b, "type", str_of(v->type));
    xml_put_attr(b, "host", str_of(setting(s, "turn.host")));
    buf_printf(b, " port='%lld' transport='%s'", (long long)settings_int(s->talk->settings, v->port),
               v->transport);
    if (v->restricted)
        put_credentials(s, b);
    BUF_LIT(b, "/>");
}

/* Relays cost: only for accounts of ours. */
static bool may_have(const struct session *s)
{
    return s->person != NULL;
}

static enum err services_get(struct session *s, const struct stanza *iq)
{
    struct str type = xml_attr(iq->payload, "type");
    struct buf *b;

    if (!may_have(s))
        return ERR_DENIED;
    b = talk_scratch(s->talk);
    BUF_LIT(b, "<services xmlns='" NS_SERVICES "'");
    if (type.len)
        xml_put_attr(b, "type", type);
    buf_put_c(b, '>');
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
        if (offers(s, &services[i]) && (!type.len || str_is(type, services[i].type)))
            put_service(s, b, &services[i]);
    BUF_LIT(b, "</services>");
    return iq_result_str(s, iq, buf_str(b));
}

static bool fits(struct session *s, const struct service *v, const struct xml_node *want)
{
    struct str port = xml_attr(want, "port"), transport = xml_attr(want, "transport");
    uint64_t number;

    if (!offers(s, v) || !v->restricted || !str_is(xml_attr(want, "type"), v->type) ||
        !str_eq_nocase(xml_attr(want, "host"), str_of(setting(s, "turn.host"))))
        return false;
    if (port.len &&
        (!str_to_u64(port, &number) || (int64_t)number != settings_int(s->talk->settings, v->port)))
        return false;
    return !transport.len || str_is(transport, v->transport);
}

/* §3.3. */
static enum err credentials_get(struct session *s, const struct stanza *iq)
{
    const struct xml_node *want = xml_child(iq->payload, "service", NS_SERVICES);
    struct buf *b;
    int found = 0;

    if (!may_have(s))
        return ERR_DENIED;
    if (!want || !xml_attr(want, "host").len || !xml_attr(want, "type").len)
        return iq_error_condition(s, iq, "modify", "bad-request", "name the service: its host and type");
    b = talk_scratch(s->talk);
    BUF_LIT(b, "<credentials xmlns='" NS_SERVICES "'>");
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
        if (fits(s, &services[i], want)) {
            put_service(s, b, &services[i]);
            found++;
        }
    BUF_LIT(b, "</credentials>");
    return found ? iq_result_str(s, iq, buf_str(b)) : ERR_NOT_FOUND;
}

static const struct iq_handler service_iqs[] = {
    {"services", NS_SERVICES, IQ_TO_SERVER, services_get, NULL},
    {"credentials", NS_SERVICES, IQ_TO_SERVER, credentials_get, NULL},
    {0},
};
static const char *const service_disco[] = {NS_SERVICES, NULL};

const struct feature xep0215_services = {
    .spec = "XEP-0215 1.0.0",
    .title = "External Service Discovery",
    .note = "STUN and TURN with credentials that expire",
    .disco_server = service_disco,
    .iqs = service_iqs,
};
