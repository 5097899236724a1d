/* cluster.h: is the cluster safe: would the loss of any one site lose nothing that was acknowledged? Patroni at every
 * site is asked; the verdict does not rest on what our own processes believe.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <jansson.h>
#include "common.h"

enum { CLUSTER_SITES_MAX = 16, CLUSTER_SITES_NEEDED = 3, CLUSTER_ASK_MS = 1000 };

/* Adds "cluster" to the server's answer: { site, primary, primary_host, commits_flow, bus_connected, members, safe, reasons }.
 * `reasons` are sentences that say what to do, none if it is safe. Takes CLUSTER_ASK_MS at most. */
void cluster_judge(const struct settings *s, json_t *answer);
void cluster_print(const json_t *cluster);
