/* The reader of configuration files on any bytes: what it takes can be printed and read back, and
 * then says the same; what it refuses has a reason. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "cli/settings.h"

static struct settings first;
static struct settings again;

static bool take(struct settings *s, const void *text, size_t size)
{
    struct err e = {.code = OK};
    settings_init(s);
    memcpy(s->file, text, size);
    if (settings_take_file(s, size, "fuzz.conf", &e) == OK) return true;
    ASSERT(e.code != OK && e.text[0] != '\0');
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > SETTINGS_FILE_SIZE_MAX) size = SETTINGS_FILE_SIZE_MAX;
    if (!take(&first, data, size)) return 0;
    struct err e = {.code = OK};
    bool is_possible = settings_check(&first, &e) == OK;
    ASSERT(is_possible || e.text[0] != '\0');
    char *text = NULL;
    size_t text_size = 0;
    FILE *to = open_memstream(&text, &text_size);
    ASSERT(to != NULL);
    settings_print(&first, to);
    ASSERT(fclose(to) == 0);
    ASSERT(text_size <= SETTINGS_FILE_SIZE_MAX);
    ASSERT(take(&again, text, text_size));
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        ASSERT(strcmp(first.values[i], again.values[i]) == 0);
        ASSERT(first.numbers[i] == again.numbers[i]);
    }
    free(text);
    return 0;
}
