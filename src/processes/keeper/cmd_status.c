/* cmd_status.c: status, top, reload, restart and stop: asking the running server.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "keeper/cli.h"
#include "keeper/cluster.h"
#include "keeper/prepare.h"

/* The answer to a command without arguments; NULL: it has been said why not. */
static json_t *ask(const struct settings *s, const char *command)
{
    json_t  *answer;
    enum err e = cli_ask(s, json_pack("{s:s}", "command", command), &answer);

    if (e == ERR_UNAVAILABLE)
        cli_fail("no server runs with these settings (nobody answers in \"%s\"); `bongsu serve` starts one",
                 settings_text(s, "run_dir"));
    if (e) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}

static int64_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* 93784000 → "1d 2h" */
static const char *span(int64_t ms, char out[32])
{
    int64_t s = ms / 1000;

    if (s >= 86400)
        snprintf(out, 32, "%" PRId64 "d %" PRId64 "h", s / 86400, s / 3600 % 24);
    else if (s >= 3600)
        snprintf(out, 32, "%" PRId64 "h %" PRId64 "m", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(out, 32, "%" PRId64 "m %" PRId64 "s", s / 60, s % 60);
    else
        snprintf(out, 32, "%" PRId64 "s", s);
    return out;
}

/* ---- status ---- */

static bool all_ready(const json_t *answer)
{
    const json_t *role;
    const char   *name;

    json_object_foreach(json_object_get(answer, "roles"), name, role)
        if (!json_is_true(json_object_get(role, "ready")))
            return false;
    return true;
}

/* Ready, and safe where that can be asked. */
static int verdict(const json_t *answer)
{
    const json_t *cluster = json_object_get(answer, "cluster");

    return all_ready(answer) && (!cluster || json_is_true(json_object_get(cluster, "safe"))) ? CLI_OK : CLI_FAILED;
}

static void print_roles(const json_t *answer)
{
    json_t     *role;
    const char *name;
    char        up[32];

    printf("%-8s %8s %9s %9s  %s\n", "role", "pid", "up", "restarts", "state");
    json_object_foreach(json_object_get(answer, "roles"), name, role)
        printf("%-8s %8" PRId64 " %9s %9" PRId64 "  %s\n", name, number(role, "pid"), span(number(role, "up_ms"), up),
               number(role, "restarts"), json_string_value(json_object_get(role, "says")));
}

/* 93784000 → "93.8 MB" */
static const char *size(int64_t bytes, char out[32])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
    double                   n = (double)bytes;
    int                      unit = 0;

    while (n >= 1000 && unit < 5) {
        n /= 1000;
        unit++;
    }
    snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
    return out;
}

static void print_files(const json_t *files)
{
    char bytes[32], on_disk[32];

    printf("%" PRId64 " files, %s (%s on the disk); %" PRId64 " are being uploaded", number(files, "count"),
           size(number(files, "bytes"), bytes), size(number(files, "bytes_on_disk"), on_disk), number(files, "coming"));
    if (number(files, "owed"))
        printf("; %" PRId64 " have yet to go to another site", number(files, "owed"));
    printf("\n");
}

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

static void print_domains(const json_t *courier)
{
    json_t *d, *domains = json_object_get(courier, "domains");
    size_t  i;
    int64_t left = number(courier, "domains_waiting") - (int64_t)json_array_size(domains);
    char    waited[32];

    json_array_foreach(domains, i, d)
        printf("  %-32s %8" PRId64 " wait, the first for %s%s\n", json_string_value(json_object_get(d, "domain")), number(d, "waiting"),
               span(number(d, "oldest_ms"), waited), json_is_true(json_object_get(d, "away")) ? "; it cannot be reached" : "");
    if (left > 0)
        printf("  and %" PRId64 " more\n", left);
}

static void print_courier(const json_t *courier)
{
    int64_t waiting = number(courier, "waiting"), domains = number(courier, "domains_waiting"), push = number(courier, "push_waiting");
    char    waited[32];

    if (json_is_true(json_object_get(courier, "federation")))
        printf("other servers: %" PRId64 " connections out, %" PRId64 " in; ", number(courier, "connections_out"), number(courier, "connections_in"));
    else
        printf("other servers: off; ");
    printf("%" PRId64 " message%s wait%s", waiting, plural(waiting), waiting == 1 ? "s" : "");
    if (waiting)
        printf(" for %" PRId64 " domain%s, the first for %s", domains, plural(domains), span(number(courier, "oldest_ms"), waited));
    printf("; %" PRId64 " notification%s wait%s to be pushed; disk: %s\n", push, plural(push), push == 1 ? "s" : "",
           json_string_value(json_object_get(courier, "disk")));
    print_domains(courier);
}

static int print_status(const json_t *answer)
{
    const json_t *files = json_object_get(answer, "files"), *courier = json_object_get(answer, "courier");
    const json_t *talk = json_object_get(answer, "talk"), *cluster = json_object_get(answer, "cluster");

    printf("Bongsu %s, %s\n\n", json_string_value(json_object_get(answer, "version")),
           json_string_value(json_object_get(answer, "domain")));
    print_roles(answer);
    if (talk)
        printf("\n%" PRId64 " sessions; disk: %s; %" PRId64 " writes wait; %" PRId64 " commits since the start\n",
               number(talk, "sessions"), json_string_value(json_object_get(talk, "disk")), number(talk, "commits_waiting"),
               number(talk, "batches"));
    if (files)
        print_files(files);
    if (courier)
        print_courier(courier);
    if (cluster)
        cluster_print(cluster);
    return verdict(answer);
}

int cmd_status(struct invocation *v)
{
    struct settings *s;
    json_t          *answer;
    int              status = CLI_FAILED;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    answer = ask(s, "status");
    if (answer && common_is_clustered(s))
        cluster_judge(s, answer);
    if (answer && cli_value(v, "--json")) {
        json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
        printf("\n");
        status = verdict(answer);
    } else if (answer) {
        status = print_status(answer);
    }
    json_decref(answer);
    settings_free(&s);
    return status;
}

/* ---- top: counters per second, gauges as they are ---- */

/* Rows of one role: "name value" of its OpenMetrics text; a counter's is compared with the screen before. */
static void print_metrics(const char *role, const char *text, const char *before, int64_t passed_ms)
{
    printf("\n%s\n", role);
    while (text && *text) {
        const char *end = strchr(text, '\n'), *value = end ? memrchr(text, ' ', (size_t)(end - text)) : NULL;
        size_t      key = value ? (size_t)(value - text) + 1 : 0;
        bool        counter = value && memmem(text, key, "_total", 6);
        const char *was = before && key ? memmem(before, strlen(before), text, key) : NULL;
        int64_t     now = value ? strtoll(value, NULL, 10) : 0;

        if (*text != '#' && value && counter)
            printf("  %-52.*s %14" PRId64 " %10.1f/s\n", (int)key - 1, text, now,
                   was && passed_ms > 0 ? (double)(now - strtoll(was + key - 1, NULL, 10)) * 1000 / (double)passed_ms : 0.0);
        else if (*text != '#' && value)
            printf("  %-52.*s %14" PRId64 "\n", (int)key - 1, text, now);
        text = end ? end + 1 : NULL;
    }
}

static int screen(const json_t *status, const json_t *metrics, const json_t *before, int64_t passed_ms)
{
    const char *role;
    json_t     *text;
    int         all = print_status(status);

    json_object_foreach(json_object_get(metrics, "metrics"), role, text)
        print_metrics(role, json_string_value(text),
                      json_string_value(json_object_get(json_object_get(before, "metrics"), role)), passed_ms);
    fflush(stdout);
    return all;
}

int cmd_top(struct invocation *v)
{
    struct settings *s;
    json_t          *before = NULL, *status, *metrics;
    int64_t          before_ms = 0;
    int              result = CLI_FAILED;
    bool             once = cli_value(v, "--once");

    if (cli_settings(v, &s))
        return CLI_FAILED;
    for (;;) {
        int64_t now_ms = clock_mono_ms();

        status = ask(s, "status");
        metrics = status ? ask(s, "metrics") : NULL;
        if (!metrics) {
            json_decref(status);
            result = CLI_FAILED;
            break;
        }
        if (!once)
            printf("\033[H\033[2J");
        result = screen(status, metrics, before, now_ms - before_ms);
        json_decref(before);
        json_decref(status);
        before = metrics;
        before_ms = now_ms;
        if (once)
            break;
        sleep(1);
    }
    json_decref(before);
    settings_free(&s);
    return result;
}

/* ---- reload, restart, stop ---- */

int cmd_reload(struct invocation *v)
{
    struct settings *s;
    json_t          *answer;
    const char      *text;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    answer = ask(s, "reload");
    settings_free(&s);
    if (!answer)
        return CLI_FAILED;
    text = json_string_value(json_object_get(answer, "text"));
    if (text && *text)
        printf("%s\n", text);
    printf("reloaded\n");
    json_decref(answer);
    return CLI_OK;
}

int cmd_restart(struct invocation *v)
{
    struct settings *s;
    json_t          *answer;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    answer = ask(s, "restart");
    settings_free(&s);
    if (!answer)
        return CLI_FAILED;
    printf("%s\n", json_string_value(json_object_get(answer, "text")));
    json_decref(answer);
    return CLI_OK;
}

int cmd_stop(struct invocation *v)
{
    struct settings *s;
    struct timespec  pause = { .tv_nsec = 50 * 1000 * 1000 };
    json_t          *answer;
    int              lock = -1;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    answer = ask(s, "stop");
    if (!answer) {
        settings_free(&s);
        return CLI_FAILED;
    }
    json_decref(answer);
    /* The lock goes with the last of the keeper. */
    for (int i = 0; i < 600 && prepare_lock(settings_text(s, "data_dir"), &lock) == ERR_EXISTS; i++)
        nanosleep(&pause, NULL);
    settings_free(&s);
    if (lock < 0)
        return cli_fail("the server was told to stop and still runs after 30 s");
    printf("stopped\n");
    return CLI_OK;
}
