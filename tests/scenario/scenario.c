/* scenario: reads a story, tells it, and compares what happened with what the text says.
 *
 *   nodes N [retain N] [seed N]      first: N nodes, n0 leads, the others follow it
 *   write N [stored:K] [nX]          N records, one after the other, to the leader or to nX
 *   wait MS | settle | audit         time passes | until all agree | compare everything with the
 * model kill nX | power-cut nX | stop nX the process, the machine, cleanly start nX nothing starts
 * by itself wipe nX | copy nX | restore nX   its disk: emptied, copied, set back to the copy full
 * nX | room nX                its disk is full, has room again cut nX nY | heal links promote nX
 * [force] | follow nX nY [accept-loss] | handover nX nY seal nX | checkpoint nX | drop-slot nX nY:
 * nX gives up the slot of nY
 *
 * Exit 0: it happened as told. Exit 1: the first line that differs. UPDATE=1: the text is
 * rewritten.
 */
#include "scenario/scenario.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/assert.h"

/* Chains are hashes, which differ between builds of the simulator: 1-20-0a1b2c3d becomes 1-20-*. */
static void hide_chains(char *text)
{
    for (char *at = text; *at != '\0'; at++) {
        size_t digits = 0;
        while (*at == '-' && isxdigit((unsigned char)at[1 + digits])) {
            digits++;
        }
        if (digits != 8) continue;
        at[1] = '*';
        memmove(at + 2, at + 9, strlen(at + 9) + 1);
    }
}

void scenario_say(struct scenario *s, const char *text)
{
    char line[1024];
    snprintf(line, sizeof(line), "%s", text);
    hide_chains(line);
    fprintf(s->out, "=> %s\n", line);
}

static void split(struct scenario *s, char *line)
{
    char *rest = NULL;
    s->word_count = 0;
    for (char *word = strtok_r(line, " \t\n", &rest);
         word != NULL && s->word_count < SCENARIO_WORDS_MAX;
         word = strtok_r(NULL, " \t\n", &rest)) {
        s->words[s->word_count++] = word;
    }
}

static void show_nodes(struct scenario *s)
{
    char states[512];
    cluster_describe(&s->cluster->world, states, sizeof(states));
    scenario_say(s, states[0] == ' ' ? states + 1 : states);
}

/* False: a line is no command, or a law was broken. */
static bool tell(struct scenario *s, FILE *in)
{
    char line[512];
    for (int number = 1; fgets(line, sizeof(line), in) != NULL; number++) {
        if (strncmp(line, "=>", 2) == 0) continue;
        fputs(line, s->out);
        if (line[0] == '#' || line[0] == '\n') continue;
        split(s, line);
        if (!scenario_command(s)) {
            printf("line %d: \"%s\" is no command, or lacks a word\n", number, s->words[0]);
            return false;
        }
        if (s->cluster->world.failed_check != NULL) {
            printf("line %d: check %s: %s\n", number, s->cluster->world.failed_check,
                   s->cluster->world.failure);
            return false;
        }
        show_nodes(s);
    }
    return true;
}

static char *read_all(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) return NULL;
    char *text = calloc(1, 1 << 20);
    ASSERT(text != NULL);
    size_t size = fread(text, 1, (1 << 20) - 1, file);
    text[size] = '\0';
    fclose(file);
    return text;
}

static int compare(const char *path, const char *told, const char *happened)
{
    int number = 1;
    while (*told != '\0' && *told == *happened) {
        number += *told++ == '\n';
        happened++;
    }
    if (*told == *happened) return 0;
    printf("%s, line %d, is told otherwise than it happened (UPDATE=1 rewrites it):\n", path,
           number);
    printf("  told:     %.*s\n", (int)strcspn(told, "\n"), told);
    printf("  happened: %.*s\n", (int)strcspn(happened, "\n"), happened);
    return 1;
}

static void end_scenario(struct scenario *s)
{
    if (s->cluster == NULL) return;
    cluster_fini(s->cluster);
    free(s->cluster);
}

static int run(const char *path, bool is_update)
{
    char *told = read_all(path);
    char *happened = NULL;
    size_t size = 0;
    FILE *in = fopen(path, "r");
    struct scenario s = {.out = open_memstream(&happened, &size)};
    if (told == NULL || in == NULL || s.out == NULL) {
        printf("%s cannot be read\n", path);
        return 1;
    }
    bool is_good = tell(&s, in);
    fclose(in);
    fclose(s.out);
    int status = is_good ? 0 : 1;
    if (!is_good) {
        fputs(happened, stdout);
    } else if (is_update) {
        FILE *file = fopen(path, "w");
        status = file == NULL || fputs(happened, file) < 0;
        if (file != NULL) fclose(file);
    } else {
        status = compare(path, told, happened);
    }
    end_scenario(&s);
    free(told);
    free(happened);
    return status;
}

int main(int count, char **words)
{
    int status = count < 2 ? 2 : 0;
    bool is_update = getenv("UPDATE") != NULL; /* NOLINT(concurrency-mt-unsafe): one thread */
    if (count < 2) fprintf(stderr, "usage: scenario FILE ...\n");
    for (int i = 1; i < count; i++) {
        if (run(words[i], is_update) != 0) status = 1;
    }
    return status;
}
