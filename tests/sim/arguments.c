/* arguments: parsing the command line of `sim`. */
#include "sim/arguments.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/story.h"

void arguments_usage(const char *why)
{
    fprintf(stderr,
            "sim: %s\n"
            "usage: sim [--seed S] [--count N] [--seconds T] [--for-ever] [--jobs N]\n"
            "           [--only FAULTS] [--without FAULTS] [--events N] [--until N]\n"
            "           [--nodes N] [--clients N] [--seeds FILE] [--story NAME]\n"
            "           [--trace] [--full] [--hash] [--need-all] [--need-taken] [--no-shrink] "
            "[--expect CHECKS]\n"
            "       sim_bugs --bug N|all\n"
            "faults:",
            why);
    for (enum fault fault = 0; fault < FAULT_COUNT; fault++) {
        fprintf(stderr, " %s", fault_name(fault));
    }
    fprintf(stderr, "\nstories:");
    for (size_t i = 0; story_name(i) != NULL; i++) {
        fprintf(stderr, " %s", story_name(i));
    }
    fprintf(stderr, "\n");
}

static bool parse_number(const char *text, uint64_t *out)
{
    if (text == NULL || text[0] < '0' || text[0] > '9') return false;
    char *end = NULL;
    *out = strtoull(text, &end, 0);
    return *end == '\0';
}

static bool parse_small(const char *text, uint32_t *out)
{
    uint64_t number = 0;
    if (!parse_number(text, &number) || number > UINT32_MAX) return false;
    *out = (uint32_t)number;
    return true;
}

bool arguments_has_word(const char *words, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = words; (at = strstr(at, name)) != NULL; at += size) {
        bool begins = at == words || at[-1] == ',';
        bool ends = at[size] == '\0' || at[size] == ',';
        if (begins && ends) return true;
    }
    return false;
}

static uint64_t parse_faults(const char *words)
{
    uint64_t bits = 0;
    for (enum fault fault = 0; fault < FAULT_COUNT; fault++) {
        if (arguments_has_word(words, fault_name(fault))) bits |= UINT64_C(1) << fault;
    }
    return bits;
}

static bool parse_flag(const char *word, struct arguments *a)
{
    if (strcmp(word, "--trace") == 0) {
        a->history.is_tracing = true;
        a->history.is_trace_dense = true;
    } else if (strcmp(word, "--full") == 0) {
        a->history.is_tracing = true;
        a->history.is_trace_dense = false;
    } else if (strcmp(word, "--hash") == 0) {
        a->wants_hash = true;
    } else if (strcmp(word, "--need-all") == 0) {
        a->wants_all = true;
        a->wants_taken = true;
    } else if (strcmp(word, "--need-taken") == 0) {
        a->wants_taken = true;
    } else if (strcmp(word, "--for-ever") == 0) {
        a->is_for_ever = true;
    } else if (strcmp(word, "--no-shrink") == 0) {
        a->is_shrunk = false;
    } else {
        return false;
    }
    return true;
}

static bool parse_option(const char *word, const char *value, struct arguments *a)
{
    if (strcmp(word, "--seed") == 0) return parse_number(value, &a->seed);
    if (strcmp(word, "--count") == 0) return parse_number(value, &a->count);
    if (strcmp(word, "--seconds") == 0) return parse_number(value, &a->seconds);
    if (strcmp(word, "--jobs") == 0) return parse_number(value, &a->jobs) && a->jobs > 0;
    if (strcmp(word, "--events") == 0) return parse_number(value, &a->history.events_min);
    if (strcmp(word, "--until") == 0) return parse_number(value, &a->history.events_max);
    if (strcmp(word, "--nodes") == 0) return parse_small(value, &a->history.node_max);
    if (strcmp(word, "--clients") == 0) return parse_small(value, &a->history.client_max);
    if (value == NULL) return false;
    if (strcmp(word, "--bug") == 0) {
        a->bug = UINT64_MAX;
        return strcmp(value, "all") == 0 || (parse_number(value, &a->bug) && a->bug > 0);
    }
    if (strcmp(word, "--only") == 0) {
        a->history.allowed_faults = parse_faults(value);
    } else if (strcmp(word, "--without") == 0) {
        a->history.allowed_faults &= ~parse_faults(value);
    } else if (strcmp(word, "--expect") == 0) {
        a->expect = value;
    } else if (strcmp(word, "--seeds") == 0) {
        a->seeds_file = value;
    } else if (strcmp(word, "--story") == 0) {
        a->story = value;
    } else {
        return false;
    }
    return true;
}

bool arguments_parse(int count, char **words, struct arguments *out, const char **out_why)
{
    *out = (struct arguments){
        .seed = 1, .jobs = 1, .is_shrunk = true, .history = {.allowed_faults = UINT64_MAX}};
    for (int i = 1; i < count; i++) {
        if (parse_flag(words[i], out)) continue;
        *out_why = words[i];
        if (!parse_option(words[i], i + 1 < count ? words[i + 1] : NULL, out)) return false;
        i++;
    }
    *out_why = "no such story";
    if (out->story != NULL && story_count(out->story) == 0) return false;
    if (out->count == 0) out->count = out->story != NULL ? story_count(out->story) : 1;
    return true;
}
