/* field_fit: see field_fit.h. */
#include "core/state/field_fit.h"

#include "base/text.h"
#include "format/record.h"

/* Tags between commas; none in an empty text. */
static const char *tags_of_text(struct slice text, uint8_t *room, size_t size,
                                struct put_field *out)
{
    struct bytes_writer w = bytes_writer_of(room, size);
    out->tag = PUT_TAGS;
    out->tag_count = 0;
    size_t begin = 0;
    for (size_t i = 0; i <= text.size && text.size > 0; i++) {
        if (i < text.size && text.data[i] != ',') continue;
        if (i == begin) return "has an empty tag: give tags with one comma between them";
        if (i - begin > KEY_SIZE_MAX) return "has a tag of more than 255 bytes";
        bytes_write_slice8(&w, slice_of(text.data + begin, i - begin));
        out->tag_count++;
        begin = i + 1;
    }
    if (out->tag_count > PUT_TAGS_MAX) return "has more than 4,096 tags";
    if (w.is_failed) return "has more tags than fit";
    out->tags = bytes_reader_of(bytes_written_slice(&w));
    return NULL;
}

/* A number, or one of the words that WHERE has for 1 and 0. */
static const char *number_of_text(struct slice text, struct put_field *out)
{
    bool is_true = slice_equal(text, slice_of_text("true"));
    if (is_true || slice_equal(text, slice_of_text("false"))) {
        out->tag = PUT_BOOL;
        out->integer = is_true;
        return NULL;
    }
    if (parse_i64(text, &out->integer)) {
        out->tag = PUT_INT;
        return NULL;
    }
    if (!parse_f64(text, &out->real)) return "is declared num: give a number";
    if (out->real == 0.0) out->real = 0.0; /* -0 is 0 */
    out->tag = PUT_REAL;
    return NULL;
}

static const char *time_of(struct put_field *out)
{
    bool is_whole = out->tag == PUT_INT;
    if (out->tag == PUT_TEXT && parse_i64(out->text, &out->integer)) {
        out->tag = PUT_INT;
        is_whole = true;
    }
    if (!is_whole || out->integer < -TIME_MS_ABS_MAX || out->integer > TIME_MS_ABS_MAX) {
        return "is declared time: give whole milliseconds since 1970";
    }
    return NULL;
}

const char *field_fit(uint8_t kind, const struct put_field *value, uint8_t *room, size_t size,
                      struct put_field *out)
{
    *out = *value;
    if (kind == 0 || value->tag == PUT_UNSET) return NULL;
    switch ((enum schema_field_kind)kind) {
    case SCHEMA_FIELD_TAG:
        if (value->tag == PUT_TEXT) return tags_of_text(value->text, room, size, out);
        return value->tag == PUT_TAGS ? NULL : "is declared tag: give tags or text";
    case SCHEMA_FIELD_NUM:
        if (value->tag == PUT_TEXT) return number_of_text(value->text, out);
        return value->tag == PUT_TAGS ? "is declared num: give a number" : NULL;
    case SCHEMA_FIELD_TIME: return time_of(out);
    case SCHEMA_FIELD_TEXT: return value->tag == PUT_TEXT ? NULL : "is declared text: give text";
    }
    return NULL;
}
