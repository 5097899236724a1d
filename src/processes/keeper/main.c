/* main.c: `bongsu`: finds the subcommand in the table, reads its words, runs it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "keeper/cli.h"

enum { NAME_BYTES_MAX = 64, LINE_WIDTH = 26 };

/* ---- help ---- */

static void put_options(const struct cli_option *o)
{
    for (; o && o->name; o++) {
        char left[NAME_BYTES_MAX];

        snprintf(left, sizeof left, "%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        printf("  %-*s %s\n", LINE_WIDTH, left, o->help);
    }
}

static void help_all(void)
{
    printf("Bongsu %s: a messenger that keeps what it acknowledged.\n\nusage: bongsu SUBCOMMAND [OPTION…]\n\n", BONGSU_VERSION);
    for (const struct command *c = commands; c->name; c++) {
        char left[NAME_BYTES_MAX];

        snprintf(left, sizeof left, "%s %s", c->name, c->args);
        printf("  %-*s %s\n", LINE_WIDTH, left, c->summary);
    }
    printf("\nOptions of all:\n");
    put_options(cli_common_options);
    printf("\n`bongsu SUBCOMMAND --help` says more.\n");
}

static void help_one(const struct command *c)
{
    printf("usage: bongsu %s%s%s%s\n\n%c%s.\n", c->name, c->options ? " [OPTION…]" : "", *c->args ? " " : "", c->args,
           c->summary[0] - 'a' + 'A', c->summary + 1);
    if (c->help)
        printf("%s\n", c->help);
    printf("\nOptions:\n");
    put_options(c->options);
    put_options(cli_common_options);
}

/* ---- finding ---- */

static bool starts_with_word(const char *name, const char *word)
{
    size_t n = strlen(word);

    return strncmp(name, word, n) == 0 && (name[n] == ' ' || name[n] == '\0');
}

/* The command whose words come first in `words`; *used: how many they are. */
static const struct command *find(char **words, int count, int *used)
{
    char two[NAME_BYTES_MAX];

    for (*used = count < 2 ? count : 2; *used > 0; --*used) {
        if (snprintf(two, sizeof two, "%s%s%s", words[0], *used > 1 ? " " : "", *used > 1 ? words[1] : "") >= (int)sizeof two)
            continue;
        for (const struct command *c = commands; c->name; c++)
            if (strcmp(c->name, two) == 0)
                return c;
    }
    return NULL;
}

static const char *nearest(const char *words)
{
    const char *best = NULL;
    int         best_distance = 3;      /* further off is no misspelling */

    for (const struct command *c = commands; c->name; c++) {
        int d = str_distance(str_of(words), str_of(c->name));

        if (d < best_distance) {
            best_distance = d;
            best = c->name;
        }
    }
    return best;
}

static int unknown(char **words, int count)
{
    char        given[NAME_BYTES_MAX];
    const char *near;
    bool        family = false;

    for (const struct command *c = commands; c->name; c++)
        if (starts_with_word(c->name, words[0])) {
            if (!family)
                fprintf(stderr, "bongsu: \"%s\" needs one more word:\n", words[0]);
            family = true;
            fprintf(stderr, "  bongsu %s %s\n", c->name, c->args);
        }
    if (family)
        return CLI_USAGE;
    snprintf(given, sizeof given, "%s%s%s", words[0], count > 1 ? " " : "", count > 1 ? words[1] : "");
    near = nearest(words[0]);
    if (!near)
        near = nearest(given);
    fprintf(stderr, "bongsu: there is no subcommand \"%s\"", given);
    if (near)
        fprintf(stderr, "; did you mean \"%s\"?\n", near);
    else
        fprintf(stderr, "; `bongsu --help` lists them\n");
    return CLI_USAGE;
}

int cmd_help(struct invocation *v)
{
    char *words[2] = { (char *)v->args[0], (char *)v->args[1] };
    int   used;
    const struct command *c = v->arg_count ? find(words, v->arg_count, &used) : NULL;

    if (c)
        help_one(c);
    else if (v->arg_count)
        return unknown(words, v->arg_count);
    else
        help_all();
    return CLI_OK;
}

/* ---- reading the words ---- */

const char *cli_value(const struct invocation *v, const char *option)
{
    for (int i = 0; v->command->options && v->command->options[i].name; i++)
        if (strcmp(v->command->options[i].name, option) == 0)
            return v->values[i];
    return NULL;
}

static int misused(const struct command *c, const char *what, const char *word)
{
    fprintf(stderr, "bongsu %s: %s \"%s\"; `bongsu %s --help` says more\n", c->name, what, word, c->name);
    return CLI_USAGE;
}

/* Takes the option at words[*at]; `from` says where its value goes. */
static int take_option(struct invocation *v, const char **slot, const struct cli_option *o, char **words, int count, int *at)
{
    const char *equals = strchr(words[*at], '=');

    if (!o->value && equals)
        return misused(v->command, "there is no value for", o->name);
    if (!o->value)
        *slot = "";
    else if (equals)
        *slot = equals + 1;
    else if (*at + 1 < count)
        *slot = words[++*at];
    else
        return misused(v->command, "a value is missing behind", o->name);
    return CLI_OK;
}

static bool option_is(const char *word, const char *name)
{
    size_t n = strlen(name);

    return strncmp(word, name, n) == 0 && (word[n] == '\0' || word[n] == '=');
}

static int read_word(struct invocation *v, char **words, int count, int *at)
{
    const struct cli_option *own = v->command->options;

    if (words[*at][0] != '-' || words[*at][1] == '\0') {
        if (v->arg_count >= v->command->args_max)
            return misused(v->command, "this word is too much:", words[*at]);
        v->args[v->arg_count++] = words[*at];
        return CLI_OK;
    }
    if (option_is(words[*at], "--config"))
        return take_option(v, &v->config, &cli_common_options[0], words, count, at);
    for (int i = 0; own && own[i].name; i++)
        if (option_is(words[*at], own[i].name))
            return take_option(v, &v->values[i], &own[i], words, count, at);
    return misused(v->command, "there is no option", words[*at]);
}

static int run(struct invocation *v, char **words, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) {
            help_one(v->command);
            return CLI_OK;
        }
    for (int i = 0; i < count; i++) {
        int status = read_word(v, words, count, &i);

        if (status)
            return status;
    }
    if (v->arg_count < v->command->args_min)
        return misused(v->command, "this is missing:", v->command->args);
    return v->command->run(v);
}

/* Options of all may stand before the subcommand; `config --sample` reads as `config sample`. */
static int begin(int argc, char **argv)
{
    struct invocation v = { .command = &commands[0] };
    int               used, at = 1;

    while (at < argc && option_is(argv[at], "--config")) {
        int status = take_option(&v, &v.config, &cli_common_options[0], argv, argc, &at);

        if (status)
            return status;
        at++;
    }
    if (at >= argc || strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
        help_all();
        return at >= argc ? CLI_USAGE : CLI_OK;
    }
    if (strcmp(argv[at], "--version") == 0)
        return cmd_version(&v);
    if (strcmp(argv[at], "config") == 0 && at + 1 < argc
        && (strcmp(argv[at + 1], "--sample") == 0 || strcmp(argv[at + 1], "--check") == 0))
        argv[at + 1] += 2;
    v.command = find(argv + at, argc - at, &used);
    if (!v.command && at + 1 < argc && strcmp(argv[at + 1], "--help") == 0) {
        unknown(argv + at, 1);
        return CLI_OK;
    }
    if (!v.command)
        return unknown(argv + at, argc - at);
    return run(&v, argv + at + used, argc - at - used);
}

int main(int argc, char **argv)
{
    log_setup("bongsu", LOG_LEVEL_WARN, false);     /* `serve` says more */
    return begin(argc, argv);
}
