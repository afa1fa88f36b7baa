/* A database in one directory: write signals, read scores and counts, ask which items are hot, come
 * back after a restart.
 *
 *     single_node DIR
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tidemark.h>

static struct tide_bytes bytes(const char *text)
{
    return (struct tide_bytes){text, strlen(text)};
}

/* Examples end at the first failure; a program would decide by e->code or its class. */
static void check(enum tide_code code, const struct tide_err *e)
{
    if (code == TIDE_OK) return;
    fprintf(stderr, "%s: %s\n", tide_code_name(code), e->message);
    _Exit(1);
}

static tide_db *open_database(const char *dir)
{
    struct tide_options options = {.size = sizeof(options), .dir = dir};
    struct tide_open_report report;
    struct tide_err e;
    tide_db *db = NULL;
    check(tide_open(&options, &db, &report, &e), &e);
    printf("%s, %llu records\n", report.is_new ? "new" : "found again",
           (unsigned long long)report.position.seqno);
    return db;
}

int main(int argc, char **argv)
{
    struct tide_err e;
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    tide_db *db = open_database(argv[1]);

    /* One signal, synced when the call returns. The position is its receipt. */
    struct tide_signal view = {
        .type = bytes("view"), .item = bytes("song-1"), .user = bytes("ann")};
    struct tide_position receipt;
    char token[TIDE_TOKEN_SIZE];
    check(tide_signal(db, &view, &receipt, &e), &e);
    printf("written as %.*s\n", (int)tide_token_format(&receipt, token), token);

    /* Several as one atomic record. */
    struct tide_signal more[] = {
        {.type = bytes("view"), .item = bytes("song-2")},
        {.type = bytes("share"), .item = bytes("song-2"), .weight = 3, .weight_is_set = true},
    };
    check(tide_signals(db, more, sizeof(more) / sizeof(more[0]), NULL, &e), &e);

    double score;
    uint64_t views;
    check(tide_score(db, bytes("view"), bytes("song-1"), 0, &score, &e), &e);
    check(tide_count(db, bytes("view"), bytes("song-1"), bytes("all"), &views, &e), &e);
    printf("song-1: score %.3f, %llu views\n", score, (unsigned long long)views);

    /* The answer belongs to the caller until tide_result_free. */
    struct tide_retrieve request = {.profile = bytes("hot"), .limit = 10};
    const struct tide_result *result;
    check(tide_retrieve(db, &request, &result, &e), &e);
    for (uint32_t i = 0; i < result->as.items.count; i++) {
        const struct tide_item *item = &result->as.items.items[i];
        printf("hot %u: %.*s\n", i + 1, (int)item->key.size, (const char *)item->key.data);
    }
    tide_result_free(result);

    check(tide_close(db, 5000, &e), &e);
    db = open_database(argv[1]);
    check(tide_close(db, 5000, &e), &e);
    return 0;
}
