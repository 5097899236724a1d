/* cmd_config.c: config, cert, doap, version: what needs no server and no database.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "crypto/tls.h"
#include "keeper/cli.h"
#include "keeper/prepare.h"

int cmd_config_sample(struct invocation *v)
{
    struct buf out;

    buf_init(&out, 0);
    settings_sample(all_settings, &out);
    fwrite(out.p, 1, out.len, stdout);
    buf_done(&out);
    return CLI_OK;
}

static enum err check_certificate(const struct settings *s, struct buf *report)
{
    struct tls_settings ts = { .certificate_file = settings_text(s, "tls.certificate"), .key_file = settings_text(s, "tls.key") };
    struct tls_ctx     *ctx = NULL;
    struct arena        a;
    struct str          why = STR_NULL;
    enum err            e;

    if (!*ts.certificate_file)
        return OK;
    arena_init(&a);
    e = tls_ctx_new(&ts, &ctx, &a, &why);
    if (e)
        buf_printf(report, "%.*s\n", STR_ARG(why));
    if (e == ERR_NOT_FOUND)
        buf_put_z(report, "`bongsu cert` makes a certificate to try with\n");
    if (!e)
        tls_ctx_unref(&ctx);
    arena_done(&a);
    return e;
}

int cmd_config_check(struct invocation *v)
{
    const char      *path = common_settings_path(v->config);
    struct settings *s;
    struct buf       report;
    enum err         e;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    buf_init(&report, 64 * 1024);
    e = prepare_user(s, &report);
    if (!e)
        e = check_certificate(s, &report);
    fprintf(stderr, "%.*s", STR_ARG(buf_str(&report)));
    if (!e)
        printf("%s: the settings are good\n", path);
    buf_done(&report);
    settings_free(&s);
    return e ? CLI_FAILED : CLI_OK;
}

/* data_dir may not be there yet: `cert` comes before the first start. */
static int make_data_dir(struct settings *s)
{
    const char *dir = settings_text(s, "data_dir");

    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return cli_fail("could not make the folder \"%s\": %s", dir, strerror(errno));
    return prepare_give(s, dir) ? cli_fail("could not give \"%s\" to the user \"%s\"", dir, settings_text(s, "user")) : CLI_OK;
}

static int make_cert(const struct settings *s, const char *names)
{
    const char *certificate = settings_text(s, "tls.certificate"), *key = settings_text(s, "tls.key");
    enum err    e;

    if (!*certificate || !*key)
        return cli_fail("tls.certificate and tls.key say where to write; one of them is empty");
    e = tls_self_signed(names, certificate, key);
    if (e == ERR_EXISTS)
        return cli_fail("\"%s\" or \"%s\" is there already and is kept", certificate, key);
    if (e)
        return cli_fail("could not write \"%s\" and \"%s\": %s", certificate, key, err_info(e)->sentence);
    if (prepare_give(s, certificate) || prepare_give(s, key))
        return cli_fail("could not give the certificate to the user \"%s\"", settings_text(s, "user"));
    printf("made %s and %s for %s\n", certificate, key, names);
    return CLI_OK;
}

int cmd_cert(struct invocation *v)
{
    const char      *given = cli_value(v, "--names");
    struct settings *s;
    struct buf       report;
    char             names[512];
    int              status;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    buf_init(&report, 64 * 1024);
    status = make_data_dir(s);
    if (!status && prepare_user(s, &report))
        status = cli_fail("%.*s", STR_ARG(str_trim(buf_str(&report))));
    if (!status) {
        snprintf(names, sizeof names, "%s%s", settings_text(s, "domain"),
                 strcmp(settings_text(s, "domain"), "localhost") == 0 ? "" : ",localhost");
        status = make_cert(s, given ? given : names);
    }
    buf_done(&report);
    settings_free(&s);
    return status;
}

int cmd_doap(struct invocation *v)
{
    return cli_role("talk", "--doap", NULL);
}

int cmd_version(struct invocation *v)
{
    printf("bongsu %s\n", BONGSU_VERSION);
    return CLI_OK;
}
