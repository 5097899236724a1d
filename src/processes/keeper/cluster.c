/* cluster.c: see cluster.h. What Patroni's REST interface gives: https://patroni.readthedocs.io/en/latest/rest_api.html
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "keeper/cluster.h"
#include <stdarg.h>
#include <stdio.h>
#include "keeper/fetch.h"
#include "wire/json.h"

enum { STALLED_MS = 1000 };     /* a commit that is on its way so long is held up; others are just on their way */

struct site {
    struct fetch patroni, cluster, config;
};

struct verdict {
    const struct settings *settings;
    json_t                *out;         /* "cluster" */
    json_t                *reasons;
    struct site            sites[CLUSTER_SITES_MAX];
    int                    count, answering;
};

static void because(struct verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void because(struct verdict *v, const char *fmt, ...)
{
    char    line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    json_array_append_new(v->reasons, json_string(line));
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

/* ---- asking ---- */

static void ask_sites(struct verdict *v)
{
    static const char *const paths[] = { "/patroni", "/cluster", "/config" };
    struct fetch             all[CLUSTER_SITES_MAX * 3] = { 0 };
    struct str               rest = str_of(settings_text(v->settings, "sites.patroni"));

    while (rest.len && v->count < CLUSTER_SITES_MAX) {
        struct str base = str_trim(str_split(&rest, ','));

        for (int i = 0; i < 3; i++)
            all[v->count * 3 + i] = (struct fetch){ .base = base, .path = paths[i] };
        v->count++;
    }
    fetch_all(all, v->count * 3, settings_text(v->settings, "bus.ca"), CLUSTER_ASK_MS);
    for (int i = 0; i < v->count; i++) {
        v->sites[i] = (struct site){ all[i * 3], all[i * 3 + 1], all[i * 3 + 2] };
        v->answering += v->sites[i].patroni.answer != NULL;
    }
}

static void sites_done(struct verdict *v)
{
    for (int i = 0; i < v->count; i++) {
        json_decref(v->sites[i].patroni.answer);
        json_decref(v->sites[i].cluster.answer);
        json_decref(v->sites[i].config.answer);
    }
}

/* ---- judging ---- */

static void judge_number(struct verdict *v)
{
    if (!v->count)
        because(v, "sites.patroni is empty: name Patroni's REST address at each site there, so that the cluster can be looked at");
    else if (v->count < CLUSTER_SITES_NEEDED)
        because(v, "sites.patroni names %d sites, and only three or more outlive the loss of one: add a site", v->count);
    for (int i = 0; i < v->count; i++)
        if (!v->sites[i].patroni.answer)
            because(v, "Patroni at %.*s does not answer (%s): bring that site back, for the loss of one more may stop all writing",
                    STR_ARG(v->sites[i].patroni.base), v->sites[i].patroni.why);
}

static bool is_older(const char *version, const int than[3])
{
    int got[3] = { 0 };

    if (sscanf(version, "%d.%d.%d", &got[0], &got[1], &got[2]) < 1)
        return true;
    for (int i = 0; i < 3; i++)
        if (got[i] != than[i])
            return got[i] < than[i];
    return false;
}

/* 3.0.2 and older let the old primary overwrite the new one's key when its site comes back. */
static void judge_versions(struct verdict *v)
{
    static const int needed[3] = { 3, 0, 3 };

    for (int i = 0; i < v->count; i++) {
        const char *version = text(json_object_get(v->sites[i].patroni.answer, "patroni"), "version");

        if (v->sites[i].patroni.answer && is_older(version, needed))
            because(v, "Patroni at %.*s is %s, which loses acknowledged messages when a lost site comes back: install 3.0.3 or newer",
                    STR_ARG(v->sites[i].patroni.base), *version ? version : "of an unknown version");
    }
}

static bool is_quorum(const json_t *config)
{
    const json_t *parameters = json_object_get(json_object_get(config, "postgresql"), "parameters");
    const char   *names = text(parameters, "synchronous_standby_names");

    return strcmp(text(config, "synchronous_mode"), "quorum") == 0 || strncmp(names, "ANY ", 4) == 0
           || strncmp(names, "any ", 4) == 0;
}

static const char *mode_of(const json_t *config)
{
    const json_t *mode = json_object_get(config, "synchronous_mode");

    return json_is_string(mode) ? json_string_value(mode) : json_is_true(mode) ? "on, for one chosen site" : "off";
}

static void judge_commit(struct verdict *v)
{
    for (int i = 0; i < v->count; i++) {
        const json_t *config = v->sites[i].config.answer;

        if (!config)
            continue;
        if (!is_quorum(config))
            because(v, "commits are not kept by a majority of the sites (synchronous_mode is %s): "
                       "`patronictl edit-config -s synchronous_mode=quorum` mends it", mode_of(config));
        return;                         /* it is one for all sites */
    }
    if (v->answering)
        because(v, "no site tells how commits are kept (GET /config): look at Patroni's log");
}

static bool is_leader(const json_t *member)
{
    return strstr(text(member, "role"), "leader") != NULL;
}

static void judge_primary(struct verdict *v)
{
    const char *name = NULL;

    for (int i = 0; i < v->count; i++) {
        json_t *member;
        size_t  at;

        json_array_foreach(json_object_get(v->sites[i].cluster.answer, "members"), at, member) {
            if (!is_leader(member))
                continue;
            if (name && strcmp(name, text(member, "name")) != 0)
                because(v, "the sites do not agree which one is the primary (%s or %s): look at etcd, and at the network between them",
                        name, text(member, "name"));
            if (name)
                continue;
            name = text(member, "name");
            json_object_set_new(v->out, "primary", json_string(name));
            json_object_set_new(v->out, "primary_host", json_string(text(member, "host")));
        }
    }
    if (!name && v->answering)
        because(v, "no site is the primary: writing waits until one is chosen. If that takes longer than a minute, look at Patroni's log");
}

/* As one site tells it; which one does not matter, for they read the same etcd. */
static const json_t *cluster_of(const struct verdict *v)
{
    for (int i = 0; i < v->count; i++)
        if (v->sites[i].cluster.answer)
            return v->sites[i].cluster.answer;
    return NULL;
}

static void judge_members(struct verdict *v)
{
    const json_t *cluster = cluster_of(v), *members = json_object_get(cluster, "members");
    json_t       *member;
    size_t        i;

    if (!cluster)
        return;
    if (json_is_true(json_object_get(cluster, "pause")))
        because(v, "the fail-over is switched off (Patroni is paused): `patronictl resume` switches it on");
    if (json_array_size(members) < CLUSTER_SITES_NEEDED)
        because(v, "the database has %zu copies, and three are needed: start PostgreSQL at the missing sites", json_array_size(members));
    json_array_foreach(members, i, member) {
        const char *state = text(member, "state");

        json_array_append_new(json_object_get(v->out, "members"),
                              json_pack("{s:s,s:s,s:s,s:s}", "name", text(member, "name"), "host", text(member, "host"), "role",
                                        text(member, "role"), "state", state));
        if (!is_leader(member) && strcmp(state, "streaming") != 0)
            because(v, "the copy at %s does not follow the primary (it is %s): if it does not by itself within minutes, "
                       "`patronictl reinit` makes it anew", text(member, "name"), *state ? state : "in an unknown state");
    }
}

/* What our own processes see. */
static void judge_ourselves(struct verdict *v, const json_t *answer)
{
    const json_t *talk = json_object_get(answer, "talk"), *stalled = json_object_get(talk, "stalled_ms");
    const json_t *worker;
    const char   *name;

    if (stalled) {
        json_object_set_new(v->out, "commits_flow", json_boolean(json_integer_value(stalled) < STALLED_MS));
        if (json_integer_value(stalled) >= STALLED_MS)
            because(v, "no commit has gone through for %.1f s: what is written meanwhile waits, and is not acknowledged",
                    (double)json_integer_value(stalled) / 1000);
    }
    if (json_object_get(talk, "bus_connected"))
        json_object_set(v->out, "bus_connected", json_object_get(talk, "bus_connected"));
    json_object_foreach(json_object_get(answer, "workers"), name, worker)
        if (json_is_true(json_object_get(worker, "shared")) && json_is_false(json_object_get(worker, "bus_connected")))
            because(v, "%s has no connection to NATS, so people here do not hear at once from those on other machines: "
                       "look at nats-server at this site", name);
}

void cluster_judge(const struct settings *s, json_t *answer)
{
    struct verdict v = { .settings = s, .out = json_object(), .reasons = json_array() };

    json_object_set_new(v.out, "site", json_string(settings_text(s, "site")));
    json_object_set_new(v.out, "members", json_array());
    ask_sites(&v);
    judge_number(&v);
    judge_versions(&v);
    judge_commit(&v);
    judge_primary(&v);
    judge_members(&v);
    judge_ourselves(&v, answer);
    sites_done(&v);
    json_object_set_new(v.out, "safe", json_boolean(json_array_size(v.reasons) == 0));
    json_object_set_new(v.out, "reasons", v.reasons);
    json_object_set_new(answer, "cluster", v.out);
}

/* ---- for people ---- */

void cluster_print(const json_t *cluster)
{
    const json_t *flow = json_object_get(cluster, "commits_flow"), *bus = json_object_get(cluster, "bus_connected"), *reason;
    const char   *site = text(cluster, "site"), *primary = text(cluster, "primary");
    size_t        i;

    printf("\nsite %s; primary: %s%s%s%s%s%s\n", *site ? site : "without a name", *primary ? primary : "unknown",
           *primary ? " (" : "", *primary ? text(cluster, "primary_host") : "", *primary ? ")" : "",
           !flow ? "" : json_is_true(flow) ? "; commits flow" : "; commits wait",
           !bus ? "" : json_is_true(bus) ? "; NATS connected" : "; NATS not connected");
    printf("safe: %s\n", json_is_true(json_object_get(cluster, "safe")) ? "yes" : "no");
    json_array_foreach(json_object_get(cluster, "reasons"), i, reason)
        printf("  - %s\n", json_string_value(reason));
}
