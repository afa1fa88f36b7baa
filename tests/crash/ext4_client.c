/* ext4_client: a client of the real library on a real file system, for tests/crash/test_ext4.py.
 *
 *     ext4_client write DIR COUNT ACKS LOG   numbered writes; for each that is acknowledged a line
 *                                            "number bytes" with the size of the block log then
 *     ext4_client until-error DIR ACKS BEFORE COMMAND
 *                                            BEFORE writes, then the command, then writes until one
 *                                            is refused; says with which word, and with which one
 *                                            the next is
 *     ext4_client check DIR                  opens, says how many of the numbered writes are there,
 *                                            in order and each once
 *
 * Ends without closing, as a killed process; exit status 1 with a sentence when something is wrong.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tidemark.h"

static _Noreturn void give_up(const char *what, const char *why)
{
    fprintf(stderr, "ext4_client: %s: %s\n", what, why);
    _exit(1);
}

static tide_db *open_db(const char *dir)
{
    struct tide_options options = {
        .size = sizeof(options),
        .dir = dir,
        .segment_size = UINT64_C(64) * 1024,
        .mark_interval_ms = 5,
        .checkpoint_interval_ms = 20,
        .retain_segments = 2,
        .memory_max = UINT64_C(1) << 30,
    };
    tide_db *db = NULL;
    struct tide_err e = {0};
    struct tide_open_report report;
    if (tide_open(&options, &db, &report, &e) != TIDE_OK) give_up("open", e.message);
    return db;
}

static struct tide_bytes item_of(uint64_t number, char out[24])
{
    int size = snprintf(out, 24, "w%" PRIu64, number);
    return (struct tide_bytes){out, (size_t)size};
}

static enum tide_code write_one(tide_db *db, uint64_t number, struct tide_err *e)
{
    char item[24];
    struct tide_signal signal = {.type = {"view", 4}, .item = item_of(number, item)};
    return tide_signal(db, &signal, NULL, e);
}

static void acknowledge(FILE *acks, uint64_t number, const char *log)
{
    struct stat st = {.st_size = 0};
    if (log != NULL && stat(log, &st) != 0) give_up("stat", log);
    fprintf(acks, "%" PRIu64 " %lld\n", number, (long long)st.st_size);
    fflush(acks);
}

static void run_command(const char *command)
{
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        give_up("command", command);
}

static uint64_t count_of(tide_db *db, uint64_t number)
{
    char item[24];
    uint64_t count = 0;
    struct tide_err e = {0};
    enum tide_code code = tide_count(db, (struct tide_bytes){"view", 4}, item_of(number, item),
                                     (struct tide_bytes){"all", 3}, &count, &e);
    if (code != TIDE_OK && code != TIDE_NOTFOUND) give_up("count", e.message);
    return count;
}

static uint64_t count_written(tide_db *db)
{
    uint64_t number = 0;
    while (count_of(db, number + 1) == 1)
        number++;
    for (uint64_t i = number + 1; i < number + 100; i++) {
        if (count_of(db, i) != 0) give_up("check", "a later write is there without an earlier one");
    }
    return number;
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    const char *dir = argv[2];
    tide_db *db = open_db(dir);
    struct tide_err e = {0};
    uint64_t number = count_written(db);
    if (strcmp(argv[1], "check") == 0) {
        printf("%" PRIu64 "\n", number);
    } else if (strcmp(argv[1], "write") == 0 && argc == 6) {
        FILE *acks = fopen(argv[4], "a");
        if (acks == NULL) give_up("open", argv[4]);
        for (uint64_t left = strtoull(argv[3], NULL, 10); left > 0; left--) {
            if (write_one(db, ++number, &e) != TIDE_OK) give_up("write", e.message);
            acknowledge(acks, number, argv[5]);
        }
    } else if (strcmp(argv[1], "until-error") == 0 && argc == 6) {
        FILE *acks = fopen(argv[3], "a");
        if (acks == NULL) give_up("open", argv[3]);
        enum tide_code code;
        uint64_t before = strtoull(argv[4], NULL, 10);
        while ((code = write_one(db, ++number, &e)) == TIDE_OK) {
            acknowledge(acks, number, NULL);
            if (--before == 0) run_command(argv[5]);
        }
        enum tide_code again = write_one(db, number + 1, NULL);
        if (again == TIDE_OK) acknowledge(acks, number + 1, NULL);
        if (count_of(db, 1) != 1) give_up("read", "reads do not go on");
        printf("%s %s\n", tide_code_name(code), tide_code_name(again));
    } else {
        return 2;
    }
    fflush(stdout);
    _exit(0);
}
