/* test_settings.c: settings are read, refused in plain words, and written out again.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include "base/test.h"
#include "proc/settings.h"

static const struct setting talk_table[] = {
    { "talk.archive_days", SETTING_INT, "365", 0, 36500, true, "How long messages are kept." },
    { "talk.stanza_bytes_max", SETTING_BYTES, "256k", 10000, 1048576, false, "The largest stanza." },
    { "talk.idle", SETTING_DURATION_MS, "5m", 1000, 86400000, true, "When a silent stream is closed." },
    { 0 },
};
static const struct setting main_table[] = {
    { "domain", SETTING_TEXT, "localhost", 0, 0, false, "The domain of the addresses." },
    { "listen", SETTING_ADDRESSES, "0.0.0.0:5222, [::]:5222", 0, 0, false, "Where clients connect." },
    { "data", SETTING_PATH, "/var/lib/bongsu", 0, 0, false, "Where data lies." },
    { "log.json", SETTING_BOOL, "no", 0, 0, true, "Whether log lines are JSON." },
    { 0 },
};
static const struct setting *const tables[] = { main_table, talk_table, NULL };

static struct settings *fresh(struct test *t, struct buf *report)
{
    struct settings *s = NULL;

    CHECK_OK(t, settings_new(tables, &s));
    buf_init(report, 0);
    return s;
}

static void gone(struct settings *s, struct buf *report)
{
    settings_free(&s);
    buf_done(report);
}

static const char *file_with(struct test *t, const char *text)
{
    static char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/bongsu.conf", test_dir(t));
    f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    return path;
}

static bool says(const struct buf *report, const char *words)
{
    return report->p && memmem(report->p, report->len, words, strlen(words));
}

static void defaults_hold(struct test *t)
{
    struct buf report;
    struct settings *s = fresh(t, &report);

    CHECK_STR(t, "localhost", str_of(settings_text(s, "domain")));
    CHECK_INT(t, 365, settings_int(s, "talk.archive_days"));
    CHECK_INT(t, 262144, settings_int(s, "talk.stanza_bytes_max"));
    CHECK_INT(t, 300000, settings_int(s, "talk.idle"));
    CHECK(t, !settings_bool(s, "log.json"));
    gone(s, &report);
}

static void a_file_is_read(struct test *t)
{
    struct buf report;
    struct settings *s = fresh(t, &report);

    CHECK_OK(t, settings_load(s, file_with(t, "# my town\n\n domain = town.example \r\ntalk.idle=2500ms\nlog.json = yes\n"
                                              "talk.idle = 1h\ntalk.stanza_bytes_max = 1M"), &report));
    CHECK_STR(t, "town.example", str_of(settings_text(s, "domain")));
    CHECK_INT(t, 3600000, settings_int(s, "talk.idle"));
    CHECK_INT(t, 1048576, settings_int(s, "talk.stanza_bytes_max"));
    CHECK(t, settings_bool(s, "log.json"));
    gone(s, &report);
}

static void every_mistake_is_told(struct test *t)
{
    struct buf report;
    struct settings *s = fresh(t, &report);

    CHECK_INT(t, ERR_INVALID, settings_load(s, file_with(t, "talk.archive_dyas = 3\narchive_days = 3\nnonsense\n"
                                                            "talk.idle = 10\ntalk.idle = 2d\nlog.json = maybe\n"
                                                            "listen = 5222\nlisten = [::]:99999\ntalk.archive_days = 9e9\n"
                                                            "domain = \xff\nwholly.unlike.anything = 1\n"), &report));
    CHECK(t, says(&report, "bongsu.conf:1: there is no setting \"talk.archive_dyas\"; did you mean \"talk.archive_days\"?\n"));
    CHECK(t, says(&report, "bongsu.conf:2: there is no setting \"archive_days\"; did you mean \"talk.archive_days\"?\n"));
    CHECK(t, says(&report, "bongsu.conf:3: this is neither a comment nor \"name = value\"\n"));
    CHECK(t, says(&report, "bongsu.conf:4: talk.idle cannot be \"10\"; write a time like 250ms, 10s, 5m, 2h or 1d\n"));
    CHECK(t, says(&report, "bongsu.conf:5: talk.idle cannot be 2d; it goes from 1s to 1d\n"));
    CHECK(t, says(&report, "bongsu.conf:6: log.json cannot be \"maybe\"; write yes or no\n"));
    CHECK(t, says(&report, "bongsu.conf:7: ") && says(&report, "bongsu.conf:8: ") && says(&report, "bongsu.conf:9: "));
    CHECK(t, says(&report, "bongsu.conf:10: the value of domain must be UTF-8"));
    CHECK(t, says(&report, "bongsu.conf:11: there is no setting \"wholly.unlike.anything\"\n"));
    CHECK_INT(t, 365, settings_int(s, "talk.archive_days"));
    gone(s, &report);
}

static void an_absent_file_is_told(struct test *t)
{
    struct buf report;
    struct settings *s = fresh(t, &report);

    CHECK_INT(t, ERR_NOT_FOUND, settings_load(s, "/nonexistent/bongsu.conf", &report));
    CHECK(t, says(&report, "could not open settings \"/nonexistent/bongsu.conf\": No such file or directory"));
    gone(s, &report);
}

static void the_environment_overrides(struct test *t)
{
    char a[] = "BONGSU_TALK_ARCHIVE_DAYS=7", b[] = "BONGSU_LOG_JSON=on", c[] = "BONGSU_FAULT=db.write=1", d[] = "HOME=/";
    char bad[] = "BONGSU_TALK_IDLE=soon";
    char *good_env[] = { a, b, c, d, NULL }, *bad_env[] = { bad, NULL };
    struct buf report;
    struct settings *s = fresh(t, &report);

    CHECK_OK(t, settings_load_env(s, good_env, &report));
    CHECK_INT(t, 7, settings_int(s, "talk.archive_days"));
    CHECK(t, settings_bool(s, "log.json"));
    CHECK_INT(t, ERR_INVALID, settings_load_env(s, bad_env, &report));
    CHECK(t, says(&report, "environment BONGSU_TALK_IDLE: talk.idle cannot be \"soon\""));
    gone(s, &report);
}

static void the_sample_documents_and_loads(struct test *t)
{
    struct buf report, sample;
    struct settings *s = fresh(t, &report);

    buf_init(&sample, 0);
    settings_sample(tables, &sample);
    CHECK(t, says(&sample, "# How long messages are kept.\n# From 0 to 36500. Taken up by a running server on reload.\n"
                           "#talk.archive_days = 365\n"));
    CHECK(t, says(&sample, "# From 1s to 1d."));
    for (size_t i = 0; i + 1 < sample.len; i++)      /* remove the # of each setting */
        if ((i == 0 || sample.p[i - 1] == '\n') && sample.p[i] == '#' && sample.p[i + 1] != ' ')
            sample.p[i] = ' ';
    buf_put_c(&sample, '\0');
    CHECK_OK(t, settings_load(s, file_with(t, sample.p), &report));
    buf_done(&sample);
    gone(s, &report);
}

static void what_is_written_reads_the_same(struct test *t)
{
    struct buf report, out;
    struct settings *s = fresh(t, &report), *child = NULL;

    buf_init(&out, 0);
    CHECK_OK(t, settings_set(s, "domain", STR("마을.example"), &report));
    CHECK_OK(t, settings_set(s, "talk.idle", STR("90s"), &report));
    settings_write(s, &out);
    buf_put_c(&out, '\0');
    CHECK_OK(t, settings_new(tables, &child));
    CHECK_OK(t, settings_load(child, file_with(t, out.p), &report));
    CHECK_STR(t, "마을.example", str_of(settings_text(child, "domain")));
    CHECK_INT(t, 90000, settings_int(child, "talk.idle"));
    CHECK_INT(t, ERR_INVALID, settings_set(s, "domain", STR("two\nlines"), &report));
    settings_free(&child);
    buf_done(&out);
    gone(s, &report);
}

static void a_default_out_of_form_is_our_bug(struct test *t)
{
    static const struct setting wrong[] = { { "x", SETTING_INT, "many", 0, 9, false, "" }, { 0 } };
    static const struct setting *const wrong_tables[] = { wrong, NULL }, *const twice[] = { main_table, main_table, NULL };
    struct settings *s = NULL;

    CHECK_INT(t, ERR_BUG, settings_new(wrong_tables, &s));
    CHECK_INT(t, ERR_BUG, settings_new(twice, &s));
}

TEST_MAIN(TEST(defaults_hold), TEST(a_file_is_read), TEST(every_mistake_is_told), TEST(an_absent_file_is_told),
          TEST(the_environment_overrides), TEST(the_sample_documents_and_loads), TEST(what_is_written_reads_the_same),
          TEST(a_default_out_of_form_is_our_bug))
