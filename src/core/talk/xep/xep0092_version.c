/* XEP-0092 Software Version 1.1: name and version; the operating system stays unsaid (§5).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

#define NS_VERSION "jabber:iq:version"

static enum err version_get(struct session *s, const struct stanza *iq)
{
    return iq_result(s, iq, "<query xmlns='" NS_VERSION "'><name>Bongsu</name><version>" BONGSU_VERSION "</version></query>");
}

static const struct iq_handler version_iqs[] = { { "query", NS_VERSION, IQ_TO_SERVER | IQ_FROM_GUEST, version_get, NULL }, { 0 } };
static const char *const       version_disco[] = { NS_VERSION, NULL };

const struct feature xep0092_version = {
    .spec = "XEP-0092 1.1",
    .title = "Software Version",
    .disco_server = version_disco,
    .iqs = version_iqs,
};
