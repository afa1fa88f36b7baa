/* replay: runs a fuzz target without libFuzzer: on every file of a folder (a finding becomes a file
 * there, together with its fix) and on random inputs from a fixed seed. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/random.h"

#ifndef REPLAY_RANDOM_INPUTS
#define REPLAY_RANDOM_INPUTS 5000
#endif
enum { RANDOM_INPUTS = REPLAY_RANDOM_INPUTS, RANDOM_SIZE_MAX = 512, FILE_SIZE_MAX = 16 << 20 };

/* The input in memory of exactly its size, so that asan sees one byte too many. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (exact == NULL) abort();
    if (size > 0) memcpy(exact, data, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(FILE_SIZE_MAX);
    if (f == NULL || data == NULL) {
        perror(path);
        exit(1);
    }
    size_t size = fread(data, 1, FILE_SIZE_MAX, f);
    (void)fclose(f);
    printf("%s: %zu bytes\n", path, size);
    (void)fflush(stdout); /* a crash leaves the name of its input behind */
    run(data, size);
    free(data);
}

static void run_folder(const char *folder)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        struct stat st;
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) run_file(path);
        free(entries[i]);
    }
    free(entries);
}

/* Mostly small numbers and repeated bytes: lengths and tags look like that. */
static void run_random(void)
{
    static uint8_t data[RANDOM_SIZE_MAX];
    struct random random;
    random_init(&random, 1);
    for (int n = 0; n < RANDOM_INPUTS; n++) {
        size_t size = (size_t)random_below(&random, RANDOM_SIZE_MAX + 1);
        for (size_t i = 0; i < size; i++) {
            uint64_t kind = random_below(&random, 4);
            data[i] = (uint8_t)(kind == 0 ? random_below(&random, 8) : random_next(&random));
            if (kind == 1 && i > 0) data[i] = data[i - 1];
        }
        run(data, size);
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) != 0) continue; /* no corpus yet */
        if (S_ISDIR(st.st_mode)) {
            run_folder(argv[i]);
        } else {
            run_file(argv[i]);
        }
    }
    run_random();
    return 0;
}
