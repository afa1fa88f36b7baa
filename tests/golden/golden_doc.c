/* golden_doc: docs/FORMAT.md says what the field tables say. Each part of the page between
 * "<!-- table: NAME -->" and "<!-- end -->" is made from the code; this test compares them.
 *
 * UPDATE=1 in the environment writes the parts instead of comparing. */
#include "support/tm_test.h"

#include "base/text.h"
#include "format/identity.h"
#include "format/limits.h"
#include "format/record.h"
#include "format/slotfile.h"
#include "format/wire.h"

#define PAGE_SIZE_MAX (256 * 1024)
static char page[PAGE_SIZE_MAX];
static char made[PAGE_SIZE_MAX];

static void add_type(struct text *t, const struct field *f)
{
    switch (f->type) {
    case FIELD_FIXED: text_add(t, "u%u", f->size * 8); return;
    case FIELD_RAW: text_add(t, "%u bytes", f->size); return;
    case FIELD_ARRAY: text_add(t, "array of %s", f->elements->name); return;
    case FIELD_VARINT:
    case FIELD_TIME:
    case FIELD_WEIGHT:
    case FIELD_EPOCH:
    case FIELD_STREAM:
    case FIELD_POSITION:
    case FIELD_SLICE8:
    case FIELD_SLICEV:
    case FIELD_TEXT8:
    case FIELD_REST: text_add(t, "%s", field_type_name(f->type)); return;
    }
}

static void add_limits(struct text *t, const struct field *f)
{
    const char *unit = "";
    if (f->type == FIELD_SLICE8 || f->type == FIELD_SLICEV || f->type == FIELD_TEXT8 ||
        f->type == FIELD_REST) {
        unit = " bytes";
    } else if (f->type == FIELD_ARRAY) {
        unit = " entries";
    }
    if (f->min == 0 && f->max == 0) return;
    if (f->max == 0) {
        text_add(t, ">= %llu%s", (unsigned long long)f->min, unit);
    } else if (f->min == 0) {
        text_add(t, "<= %llu%s", (unsigned long long)f->max, unit);
    } else {
        text_add(t, "%llu..%llu%s", (unsigned long long)f->min, (unsigned long long)f->max, unit);
    }
}

/* When a field is there: "flags & 4", "subject 1, 3". */
static void add_presence(struct text *t, const struct field_table *table, const struct field *f)
{
    const char *selector = "";
    if (f->when == 0) return;
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->fields[i].offset == table->selector_offset) selector = table->fields[i].name;
    }
    if (table->selector == SELECT_FLAGS) {
        text_add(t, "when %s & %u", selector, f->when);
        return;
    }
    text_add(t, "when %s is", selector);
    const char *comma = "";
    for (unsigned value = 0; value < 32; value++) {
        if ((f->when >> value & 1) == 0) continue;
        text_add(t, "%s %u", comma, value);
        comma = " or";
    }
}

static void add_table(struct text *t, const struct field_table *table)
{
    if (table == NULL || table->count == 0) {
        text_add(t, "No body.\n");
        return;
    }
    text_add(t, "| field | type | limits | present | note |\n|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < table->count; i++) {
        const struct field *f = &table->fields[i];
        text_add(t, "| `%s` | ", f->name);
        add_type(t, f);
        text_add(t, " | ");
        add_limits(t, f);
        text_add(t, " | ");
        add_presence(t, table, f);
        text_add(t, " | %s |\n", f->note != NULL ? f->note : "");
    }
}

static void add_types(struct text *t)
{
    text_add(t, "| type | bytes |\n|---|---|\n");
#define X(constant, name, meaning) text_add(t, "| %s | %s |\n", name, meaning);
    FIELD_TYPE_TABLE(X)
#undef X
}

static void add_records(struct text *t)
{
    static const struct {
        enum record_kind kind;
        const char *meaning;
    } kinds[] = {
#define X(constant, number, name, meaning) {constant, meaning},
        RECORD_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        enum record_kind kind = kinds[i].kind;
        text_add(t, "%s#### %u %s\n\n%s.\n\n", i > 0 ? "\n" : "", (unsigned)kind,
                 record_kind_name(kind), kinds[i].meaning);
        if (kind == RECORD_SIGNAL) {
            text_add(t, "varint n (1..%u), then n signal entries, see above.\n",
                     SIGNAL_ENTRIES_MAX);
        } else if (kind == RECORD_GROUP) {
            text_add(t,
                     "varint n (1..%u), then n records framed as in a payload. Their envelopes may "
                     "hold a key and nothing else. No group and no kind that must be last or alone "
                     "in its batch.\n",
                     GROUP_RECORDS_MAX);
        } else {
            add_table(t, record_fields(kind));
        }
    }
}

static void add_messages(struct text *t)
{
    static const struct {
        enum wire_kind kind;
        const char *meaning;
    } kinds[] = {
#define X(constant, number, name, meaning) {constant, meaning},
        WIRE_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        enum wire_kind kind = kinds[i].kind;
        text_add(t, "%s#### %u %s\n\n%s\n\n", i > 0 ? "\n" : "", (unsigned)kind,
                 wire_kind_name((uint16_t)kind), kinds[i].meaning);
        add_table(t, wire_fields(kind, 0));
        if (wire_fields(kind, 1) == NULL) continue;
        text_add(t, "\nSo far the same in every version for ever. Then, in version %d:\n\n",
                 WIRE_VERSION);
        add_table(t, wire_fields(kind, 1));
    }
}

static void add_reasons(struct text *t)
{
    text_add(t, "| number | name | sentence |\n|---|---|---|\n");
#define X(constant, number, name, sentence) \
    text_add(t, "| %d | %s | %s |\n", number, name, sentence);
    REFUSE_TABLE(X)
#undef X
}

static void add_limit_rows(struct text *t)
{
    static const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"one record with its size prefix, bytes", RECORD_SIZE_MAX},
        {"one batch, header and payload, bytes", BATCH_SIZE_MAX},
        {"records of one batch", BATCH_RECORDS_MAX},
        {"entries of one signal record", SIGNAL_ENTRIES_MAX},
        {"records of one group", GROUP_RECORDS_MAX},
        {"fields of one put or unset", PUT_FIELDS_MAX},
        {"entries of one tag list", PUT_TAGS_MAX},
        {"fields of one item, user or creator", ENTITY_FIELDS_MAX},
        {"... with their names and the creator, bytes", ENTITY_SIZE_MAX},
        {"key, bytes", KEY_SIZE_MAX},
        {"node id, bytes", NODE_ID_SIZE_MAX},
        {"name of a signal type, bytes", SIGNAL_NAME_SIZE_MAX},
        {"event time, milliseconds either side of 1970", (uint64_t)TIME_MS_ABS_MAX},
        {"members", MEMBERS_MAX},
        {"slots", SLOTS_MAX},
        {"epochs in identity", EPOCH_TABLE_MAX},
        {"segment, least size limit, bytes", SEGMENT_SIZE_MIN},
        {"segment, largest size limit, bytes", SEGMENT_SIZE_MAX},
        {"frame body, bytes", FRAME_SIZE_MAX},
    };
    text_add(t, "| what | limit |\n|---|---|\n");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        text_add(t, "| %s | %llu |\n", rows[i].name, (unsigned long long)rows[i].value);
    }
}

/* Append the part of the page that has this name. */
static bool add_part(struct text *t, struct slice name)
{
    static const struct {
        const char *name;
        void (*add)(struct text *t);
    } parts[] = {
        {"types", add_types},     {"records", add_records},   {"messages", add_messages},
        {"reasons", add_reasons}, {"limits", add_limit_rows},
    };
    static const struct {
        const char *name;
        const struct field_table *table;
    } tables[] = {
        {"envelope", &record_envelope_fields},
        {"signal entry", &signal_entry_fields},
        {"identity", &identity_fields},
        {"epoch entry", &epoch_entry_fields},
        {"slot", &slot_fields},
    };
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (!slice_equal(name, slice_of_text(parts[i].name))) continue;
        parts[i].add(t);
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        if (!slice_equal(name, slice_of_text(tables[i].name))) continue;
        add_table(t, tables[i].table);
        return true;
    }
    return false;
}

/* The page again, with every marked part made from the tables. */
static size_t page_make(struct text *t)
{
    static const char begin[] = "<!-- table: ";
    static const char end[] = "<!-- end -->\n";
    size_t parts = 0;
    const char *at = page;
    for (;;) {
        const char *mark = strstr(at, begin);
        if (mark == NULL) break;
        const char *name = mark + sizeof(begin) - 1;
        const char *name_end = strstr(name, " -->\n");
        assert_non_null(name_end);
        const char *body = name_end + strlen(" -->\n");
        const char *stop = strstr(body, end);
        assert_non_null(stop);
        text_add_slice(t, slice_of(at, (size_t)(body - at)));
        assert_true(add_part(t, slice_of(name, (size_t)(name_end - name))));
        at = stop;
        parts++;
    }
    text_add_slice(t, slice_of_text(at));
    assert_false(t->is_cut);
    return parts;
}

static void the_page_says_what_the_tables_say(void **state)
{
    (void)state;
    const char *path = tm_source_path("docs/FORMAT.md");
    FILE *file = fopen(path, "r");
    if (file == NULL) fail_msg("%s is missing", path);
    size_t size = fread(page, 1, sizeof(page) - 1, file);
    page[size] = '\0';
    assert_int_equal(fclose(file), 0);
    struct text t = text_of(made, sizeof(made));
    assert_int_equal(page_make(&t), 10);
    const char *update = getenv("UPDATE");
    if (update != NULL && strcmp(update, "1") == 0) {
        file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(made, 1, t.size, file), t.size);
        assert_int_equal(fclose(file), 0);
        return;
    }
    if (strcmp(page, made) != 0) {
        fail_msg("docs/FORMAT.md differs from the tables: run golden_doc with UPDATE=1");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_says_what_the_tables_say),
    };
    return cmocka_run_group_tests_name("golden/doc", tests, NULL, NULL);
}
