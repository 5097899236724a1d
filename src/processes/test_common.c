/* test_common.c: where settings come from, and which doors they open.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/test.h"
#include "common.h"

static const char *write_file(struct test *t, struct arena *a, const char *text)
{
    const char *path = arena_printf(a, "%s/bongsu.conf", test_dir(t)).p;
    FILE       *f = fopen(path, "w");

    CHECK(t, f && fputs(text, f) >= 0);
    if (f)
        fclose(f);
    return path;
}

struct loaded {
    struct arena     a;
    struct buf       report;
    struct settings *s;
    enum err         e;
};

static struct loaded load(struct test *t, const char *text)
{
    struct loaded l = { .s = NULL };

    arena_init(&l.a);
    buf_init(&l.report, 0);
    l.e = common_load(write_file(t, &l.a, text), &l.s, &l.report);
    return l;
}

static void loaded_done(struct loaded *l)
{
    settings_free(&l->s);
    buf_done(&l->report);
    arena_done(&l->a);
}

static bool says(const struct loaded *l, const char *words)
{
    return l->report.len && memmem(l->report.p, l->report.len, words, strlen(words));
}

static void relative_paths_are_below_data_dir(struct test *t)
{
    struct loaded l = load(t, "data_dir = /var/x\ntls.key = /etc/k.pem\n");

    if (CHECK_OK(t, l.e)) {
        CHECK_STR(t, "/var/x/run", str_of(settings_text(l.s, "run_dir")));
        CHECK_STR(t, "/var/x/certificate.pem", str_of(settings_text(l.s, "tls.certificate")));
        CHECK_STR(t, "/etc/k.pem", str_of(settings_text(l.s, "tls.key")));
    }
    loaded_done(&l);
}

static void what_no_row_can_say_is_said(struct test *t)
{
    struct loaded l = load(t, "domain =\nlog.level = loud\n");

    CHECK_INT(t, ERR_INVALID, l.e);
    CHECK(t, says(&l, "domain cannot be empty"));
    CHECK(t, says(&l, "log.level cannot be \"loud\""));
    CHECK(t, l.s == NULL);
    loaded_done(&l);
}

/* What a role would refuse at its start, told by `bongsu config check` already. */
static void what_no_role_would_take_is_told(struct test *t)
{
    static const struct { const char *settings, *says; } bad[] = {
        { "domain = a b", "domain cannot be \"a b\"" },
        { "domain = https://town.example", "domain cannot be" },
        { "ident.passkey_rp = https://town.example", "ident.passkey_rp cannot be" },
        { "ident.passkey_origins = ftp://x", "ident.passkey_origins cannot have \"ftp://x\"" },
        { "ident.passkey_origins = https://a.example, https://b.example/", "cannot have \"https://b.example/\"" },
        { "ident.passkey_origins = https://a.example:443", "cannot have" },
        { "ident.passkey_origins = https://a.example:", "cannot have" },
        { "ident.passkey_origins = https://A.example", "cannot have" },
        { "ident.passkey_origins = https://", "cannot have" },
        { "ident.passkey_origins = https://a.example,,https://b.example", "cannot have \"\"" },
        { "ident.passkey_origins = http://town.example", "http:// only at localhost" },
        { "db.server = host='", "connection string" },
        { "bus.servers = nats://10.0.1.1:4222", "db.server is not" },
        { "db.server = host=10.0.1.1\nbus.servers = nats://one.example:4222", "bus.servers names \"nats://one.example:4222\"" },
        { "files.peers = one.example:5280", "files.peers cannot have" },
        { "web.listen_local = 0.0.0.0:5281", "can be reached from other machines" },
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct loaded l = load(t, bad[i].settings);

        CHECK_INT(t, ERR_INVALID, l.e);
        CHECK(t, says(&l, bad[i].says));
        loaded_done(&l);
    }
}

static void what_roles_take_is_good(struct test *t)
{
    static const char *const good[] = {
        "domain = 마을.example", "domain = 127.0.0.1", "ident.passkey_rp = xn--h32b11f.example",
        "ident.passkey_origins = https://a.example, https://town.example:5280", "ident.passkey_origins = http://localhost:5281, http://localhost",
        "db.server = host=10.0.1.1,10.0.2.1 dbname=bongsu\nbus.servers = nats://10.0.1.1:4222, nats://[fd00::2]:4222",
        "files.peers = 10.0.1.1:5280, [fd00::2]:5280", "web.listen_local = 127.0.0.1:5281, [::1]:5281",
    };

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct loaded l = load(t, good[i]);

        CHECK_OK(t, l.e);
        CHECK_STR(t, "", buf_str(&l.report));
        loaded_done(&l);
    }
}

static void the_environment_overrides(struct test *t)
{
    struct loaded l;

    setenv("BONGSU_DOMAIN", "town.example", 1);
    l = load(t, "domain = other.example\n");
    unsetenv("BONGSU_DOMAIN");
    if (CHECK_OK(t, l.e))
        CHECK_STR(t, "town.example", str_of(settings_text(l.s, "domain")));
    loaded_done(&l);
}

static void a_named_file_must_be_there(struct test *t)
{
    struct settings *s = NULL;
    struct buf       report;

    buf_init(&report, 0);
    CHECK_INT(t, ERR_NOT_FOUND, common_load("/nowhere/bongsu.conf", &s, &report));
    CHECK(t, report.len > 0 && s == NULL);
    buf_done(&report);
}

static void what_is_decided_reads_the_same(struct test *t)
{
    struct loaded    l = load(t, "domain = town.example\ndata_dir = /var/x\ntalk.listen = 127.0.0.1:1, [::1]:2\n");
    struct settings *again = NULL;
    struct buf       text, second;

    buf_init(&text, 0);
    buf_init(&second, 0);
    if (CHECK_OK(t, l.e)) {
        settings_write(l.s, &text);
        buf_put_c(&text, '\0');
        if (CHECK_OK(t, common_load_decided(write_file(t, &l.a, text.p), &again, &l.report))) {
            settings_write(again, &second);
            buf_put_c(&second, '\0');
            CHECK_STR(t, text.p, str_of(second.p));
        }
    }
    settings_free(&again);
    buf_done(&text);
    buf_done(&second);
    loaded_done(&l);
}

static void doors_are_named_and_counted(struct test *t)
{
    struct loaded  l = load(t, "talk.listen = 127.0.0.1:0, 127.0.0.1:0\ntalk.listen_tls = 127.0.0.1:0\n"
                               "talk.listen_websocket =\ntalk.metrics_listen =\n");
    struct proc_fd fds[PROC_FDS_MAX];
    int            count = 0;

    if (CHECK_OK(t, l.e) && CHECK_OK(t, doors_open(l.s, "talk", fds, PROC_FDS_MAX, &count, &l.a, &l.report))
        && CHECK_INT(t, 3, count)) {
        CHECK_STR(t, "starttls0", str_of(fds[0].name));
        CHECK_STR(t, "starttls1", str_of(fds[1].name));
        CHECK_STR(t, "tls0", str_of(fds[2].name));
    }
    for (int i = 0; i < count; i++)
        close(fds[i].fd);
    count = PROC_FDS_MAX - 2;
    CHECK_INT(t, ERR_LIMIT, doors_open(l.s, "talk", fds, PROC_FDS_MAX, &count, &l.a, &l.report));
    for (int i = PROC_FDS_MAX - 2; i < count; i++)
        close(fds[i].fd);
    loaded_done(&l);
}

static void ports_are_read(struct test *t)
{
    CHECK_INT(t, 5222, door_port(STR("0.0.0.0:5222")));
    CHECK_INT(t, 443, door_port(STR("[::1]:443")));
    CHECK_INT(t, 0, door_port(STR("unix:/x")));
    CHECK_INT(t, 0, door_port(STR("")));
}

static void workers_need_a_cluster(struct test *t)
{
    struct loaded alone = load(t, "talk.workers = 2\n"), half = load(t, "talk.workers = 2\ndb.server = host=10.0.1.1\n");
    struct loaded both = load(t, "talk.workers = 2\ndb.server = host=10.0.1.1\nbus.servers = nats://10.0.1.1:4222\n");

    CHECK_INT(t, ERR_INVALID, alone.e);
    CHECK(t, says(&alone, "talk.workers cannot be 2"));
    CHECK_INT(t, ERR_INVALID, half.e);
    if (CHECK_OK(t, both.e))
        CHECK(t, common_is_clustered(both.s) && common_talk_workers(both.s) == 2);
    loaded_done(&alone);
    loaded_done(&half);
    loaded_done(&both);
}

static void workers_have_numbers(struct test *t)
{
    CHECK_INT(t, 1, common_worker_number("talk"));
    CHECK_INT(t, 2, common_worker_number("talk2"));
    CHECK_INT(t, 16, common_worker_number("talk16"));
    CHECK_INT(t, 0, common_worker_number("talk17"));
    CHECK_INT(t, 0, common_worker_number("talkative"));
    CHECK_INT(t, 0, common_worker_number("ident"));
}

static void a_further_worker_has_its_own_metrics(struct test *t)
{
    struct loaded  l = load(t, "talk.listen = 127.0.0.1:0\ntalk.metrics_listen = 127.0.0.1:20300\n");
    struct sockaddr_in at;
    socklen_t      size = sizeof at;
    struct proc_fd fds[PROC_FDS_MAX];
    int            count = 0;

    CHECK_OK(t, doors_open(l.s, "talk3", fds, PROC_FDS_MAX, &count, &l.a, &l.report));
    if (l.report.len) {
        test_skip(t, "port 20302 is taken");
    } else if (CHECK_INT(t, 1, count)) {
        CHECK_STR(t, "metrics0", str_of(fds[0].name));
        CHECK(t, getsockname(fds[0].fd, (struct sockaddr *)&at, &size) == 0);
        CHECK_INT(t, 20302, ntohs(at.sin_port));
        close(fds[0].fd);
    }
    loaded_done(&l);
}

static void a_door_may_be_the_first_worker_s_alone(struct test *t)
{
    CHECK(t, door_is_alone("bosh0"));
    CHECK(t, !door_is_alone("websocket0"));
    CHECK(t, !door_is_alone("metrics0"));
}

TEST_MAIN(TEST(relative_paths_are_below_data_dir), TEST(what_no_row_can_say_is_said), TEST(what_no_role_would_take_is_told),
          TEST(what_roles_take_is_good), TEST(the_environment_overrides),
          TEST(a_named_file_must_be_there), TEST(what_is_decided_reads_the_same), TEST(doors_are_named_and_counted),
          TEST(ports_are_read),
          TEST(workers_need_a_cluster), TEST(workers_have_numbers), TEST(a_further_worker_has_its_own_metrics),
          TEST(a_door_may_be_the_first_worker_s_alone))
