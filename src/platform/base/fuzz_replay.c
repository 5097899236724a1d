/* fuzz_replay.c: main for a fuzz target built without libFuzzer. It runs the
 * saved inputs, so that what a fuzzer once found stays found:
 *
 *   fuzz_xml tests/fuzz/xml [another directory or file ...]
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int passed, failed;

/* The input gets memory of exactly its size, so that a sanitizer sees a read behind it. */
static void run_file(const char *path, size_t bytes)
{
    FILE    *f = fopen(path, "rb");
    uint8_t *data = mem_new(bytes);

    if (!f || fread(data, 1, bytes, f) != bytes) {
        printf("could not read \"%s\"\n", path);
        failed++;
    } else {
        /* a broken promise aborts; the last line printed then names the input */
        printf("%s\n", path);
        LLVMFuzzerTestOneInput(data, bytes);
        passed++;
    }
    free(data);
    if (f)
        fclose(f);
}

static void run(const char *path)
{
    struct dirent **names;
    struct stat     st;
    int             count;

    if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        run_file(path, (size_t)st.st_size);
        return;
    }
    count = scandir(path, &names, NULL, alphasort);
    if (count < 0) {
        printf("could not open \"%s\"\n", path);
        failed++;
        return;
    }
    for (int i = 0; i < count; i++) {
        char name[4096];

        if (names[i]->d_name[0] != '.' &&
            snprintf(name, sizeof name, "%s/%s", path, names[i]->d_name) < (int)sizeof name)
            run(name);
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++)
        run(argv[i]);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed || passed == 0 ? 1 : 0;
}
