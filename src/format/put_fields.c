/* put_fields: reading and writing of the field lists inside put records. Everything a reader
 * refuses the writer refuses too. Pure, no allocation. */
#include "format/put_fields.h"

#include <math.h>

uint32_t put_list_count(struct bytes_reader *list)
{
    uint64_t count = bytes_read_varint(list);
    if (count > PUT_FIELDS_MAX || count > bytes_left(list)) list->is_failed = true;
    return list->is_failed ? 0 : (uint32_t)count;
}

static struct slice name_read(struct bytes_reader *r)
{
    struct slice name = bytes_read_slice8(r);
    if (name.size == 0) r->is_failed = true;
    return name;
}

static bool real_is_valid(double v)
{
    return isfinite(v) && !(v == 0 && signbit(v));
}

/* Walk over the tags so that a later reader may trust them. */
static void tags_read(struct bytes_reader *list, struct put_field *out)
{
    uint64_t count = bytes_read_varint(list);
    if (count > PUT_TAGS_MAX || count > bytes_left(list)) list->is_failed = true;
    if (list->is_failed) return;
    out->tag_count = (uint32_t)count;
    out->tags = *list;
    for (uint64_t i = 0; i < count; i++) {
        (void)bytes_read_slice8(list); /* failure is sticky and judged by the caller */
    }
    out->tags.end = list->at;
}

bool put_field_read(struct bytes_reader *list, struct put_field *out)
{
    *out = (struct put_field){.name = name_read(list)};
    out->tag = bytes_read_u8(list);
    switch (out->tag) {
    case PUT_UNSET: break;
    case PUT_TEXT: out->text = bytes_read_slice_varint(list); break;
    case PUT_INT: out->integer = bytes_read_zigzag(list); break;
    case PUT_REAL:
        out->real = bytes_read_f64(list);
        if (!real_is_valid(out->real)) list->is_failed = true;
        break;
    case PUT_BOOL:
        out->integer = bytes_read_u8(list);
        if (out->integer > 1) list->is_failed = true;
        break;
    case PUT_TAGS: tags_read(list, out); break;
    default: list->is_failed = true;
    }
    return !list->is_failed;
}

static void tags_write(struct bytes_writer *w, const struct put_field *f)
{
    if (f->tag_count > PUT_TAGS_MAX) {
        w->is_failed = true;
        return;
    }
    bytes_write_varint(w, f->tag_count);
    bytes_write(w, f->tags.at, bytes_left(&f->tags));
}

void put_field_write(struct bytes_writer *w, const struct put_field *f)
{
    if (f->name.size == 0) w->is_failed = true;
    bytes_write_slice8(w, f->name);
    bytes_write_u8(w, f->tag);
    switch (f->tag) {
    case PUT_UNSET: return;
    case PUT_TEXT: bytes_write_slice_varint(w, f->text); return;
    case PUT_INT: bytes_write_zigzag(w, f->integer); return;
    case PUT_REAL:
        if (!real_is_valid(f->real)) w->is_failed = true;
        bytes_write_f64(w, f->real);
        return;
    case PUT_BOOL:
        if (f->integer != 0 && f->integer != 1) w->is_failed = true;
        bytes_write_u8(w, (uint8_t)f->integer);
        return;
    case PUT_TAGS: tags_write(w, f); return;
    default: w->is_failed = true;
    }
}

bool put_fields_are_valid(struct slice list)
{
    struct bytes_reader r = bytes_reader_of(list);
    struct put_field f;
    uint32_t count = put_list_count(&r);
    for (uint32_t i = 0; i < count; i++) {
        if (!put_field_read(&r, &f)) return false;
    }
    return bytes_is_done(&r);
}

bool put_names_are_valid(struct slice list)
{
    struct bytes_reader r = bytes_reader_of(list);
    uint32_t count = put_list_count(&r);
    for (uint32_t i = 0; i < count; i++) {
        (void)name_read(&r); /* failure is sticky */
    }
    return count > 0 && bytes_is_done(&r);
}
