/* entities: see entities.h. A change is carried out in two walks over the old and the new fields,
 * both in ascending order: the first counts and judges, the second writes. Then the entity's bytes
 * are put in place of the old ones.
 *
 * Holds between calls: the ends of a block ascend and the last one is its extra size; a block
 * exists exactly while it has extra bytes. */
#include "core/state/entities.h"

#include <assert.h>

#include "base/assert.h"

enum { ENDS_SIZE = ENTITY_BLOCK_ENTRIES * (int)sizeof(uint32_t) };

static_assert(ENDS_SIZE + ENTITY_BLOCK_ENTRIES * ENTITY_SIZE_MAX < FRAME_SIZE_MAX - 1024,
              "a block fits a frame");
static_assert(PUT_FIELDS_MAX >= ENTITY_FIELDS_MAX, "what an entity holds can be read as a list");

void entities_init(struct entities *e, struct alloc *alloc, enum block_kind kind)
{
    *e = (struct entities){.alloc = alloc, .kind = kind};
}

void entities_fini(struct entities *e)
{
    block_list_fini(e->alloc, &e->blocks);
    alloc_put(e->alloc, e->scratch, ENTITY_SIZE_MAX);
}

/* --- looking --- */

static uint32_t end_of(const struct block *b, uint32_t within)
{
    return load_u32(b->payload + (size_t)within * sizeof(uint32_t));
}

static uint32_t begin_of(const struct block *b, uint32_t within)
{
    return within == 0 ? 0 : end_of(b, within - 1);
}

static struct slice bytes_of(const struct entities *e, uint32_t index)
{
    const struct block *b = block_list_get(&e->blocks, index / ENTITY_BLOCK_ENTRIES);
    if (b == NULL) return slice_of(NULL, 0);
    uint32_t within = index % ENTITY_BLOCK_ENTRIES;
    uint32_t begin = begin_of(b, within);
    return slice_of(b->extra + begin, end_of(b, within) - begin);
}

/* Reads the head; what does not parse fails the reader of the fields. */
static struct entity entity_of(struct slice bytes)
{
    struct entity entity = {.creator = ENTITY_NONE, .size = (uint32_t)bytes.size};
    if (bytes.size == 0) return entity;
    struct bytes_reader r = bytes_reader_of(bytes);
    entity.flags = bytes_read_u8(&r);
    if ((entity.flags & ENTITY_HAS_CREATOR) != 0) entity.creator = bytes_read_u32(&r);
    entity.field_count = put_list_count(&r);
    entity.fields = r;
    return entity;
}

struct entity entities_get(const struct entities *e, uint32_t index)
{
    return entity_of(bytes_of(e, index));
}

static int name_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = memcmp(a.data, b.data, common);
    if (order != 0) return order;
    return (a.size > b.size) - (a.size < b.size);
}

bool entities_field(const struct entities *e, uint32_t index, struct slice name,
                    struct put_field *out)
{
    struct entity entity = entities_get(e, index);
    for (uint32_t i = 0; i < entity.field_count; i++) {
        struct put_field field;
        if (!put_field_read(&entity.fields, &field)) return false;
        int order = name_compare(field.name, name);
        if (order == 0) *out = field;
        if (order >= 0) return order == 0;
    }
    return false;
}

bool entities_is_deleted(const struct entities *e, uint32_t index)
{
    if (e->deleted_count == 0) return false;
    struct slice bytes = bytes_of(e, index);
    return bytes.size > 0 && (bytes.data[0] & ENTITY_DELETED) != 0;
}

uint32_t entities_block_capacity(const struct entities *e)
{
    return (uint32_t)e->blocks.capacity;
}

/* --- merging the fields that are there with those of a change --- */

/* A walk over a list of fields. */
struct walk {
    struct bytes_reader reader;
    uint32_t left;
    bool is_names; /* a list of names: fields to be removed */
    bool has_field;
    struct put_field field;
    struct slice raw; /* its bytes */
};

static void walk_next(struct walk *w)
{
    w->has_field = false;
    if (w->left == 0) return;
    w->left--;
    const uint8_t *at = w->reader.at;
    if (w->is_names) {
        w->field = (struct put_field){.name = bytes_read_slice8(&w->reader), .tag = PUT_UNSET};
        w->has_field = !w->reader.is_failed;
    } else {
        w->has_field = put_field_read(&w->reader, &w->field);
    }
    w->raw = slice_of(at, (size_t)(w->reader.at - at));
}

static struct walk walk_old(const struct entity *entity, bool is_fresh)
{
    struct walk w = {.reader = entity->fields, .left = is_fresh ? 0 : entity->field_count};
    walk_next(&w);
    return w;
}

static struct walk walk_new(const struct entity_change *change)
{
    struct walk w = {.reader = bytes_reader_of(change->fields), .is_names = change->is_names};
    w.left = change->fields.size > 0 ? put_list_count(&w.reader) : 0;
    walk_next(&w);
    return w;
}

/* What comes out of a merge. */
struct merged {
    uint8_t flags;
    uint32_t creator;
    uint32_t count;
    uint64_t fields_size;
    bool is_ascending;
    struct bytes_writer *writer; /* NULL: only count */
};

static void emit(struct merged *m, struct slice raw)
{
    m->count++;
    m->fields_size += raw.size;
    if (m->writer != NULL) bytes_write(m->writer, raw.data, raw.size);
}

static void merge_fields(struct merged *m, struct walk before, struct walk change)
{
    m->is_ascending = true;
    while (before.has_field || change.has_field) {
        int order = before.has_field ? -1 : 1;
        if (before.has_field && change.has_field) {
            order = name_compare(before.field.name, change.field.name);
        }
        if (order < 0) {
            emit(m, before.raw);
            walk_next(&before);
            continue;
        }
        if (change.field.tag != PUT_UNSET) emit(m, change.raw);
        if (order == 0) walk_next(&before);
        struct slice last = change.field.name;
        walk_next(&change);
        if (change.has_field && name_compare(last, change.field.name) >= 0) {
            m->is_ascending = false;
            return;
        }
    }
}

static struct merged merge(const struct entity *current, const struct entity_change *change,
                           struct bytes_writer *writer)
{
    struct merged m = {.creator = change->creator, .writer = writer};
    if (m.creator == ENTITY_NONE && !change->is_fresh) m.creator = current->creator;
    if (m.creator != ENTITY_NONE) m.flags |= ENTITY_HAS_CREATOR;
    merge_fields(&m, walk_old(current, change->is_fresh), walk_new(change));
    return m;
}

/* Bytes of the entity; none when nothing is known of it. */
static uint64_t merged_size(const struct merged *m)
{
    if (m->flags == 0 && m->count == 0) return 0;
    uint64_t creator = (m->flags & ENTITY_HAS_CREATOR) != 0 ? sizeof(uint32_t) : 0;
    return 1 + creator + varint_size(m->count) + m->fields_size;
}

static enum code judge(const struct merged *m, struct err *err)
{
    if (!m->is_ascending) {
        return ERR(err, E_LIMIT, "the names of the fields do not ascend");
    }
    if (m->count > ENTITY_FIELDS_MAX) {
        return ERR(err, E_LIMIT, "it would have %u fields; at most %u are allowed", m->count,
                   ENTITY_FIELDS_MAX);
    }
    if (merged_size(m) > ENTITY_SIZE_MAX) {
        return ERR(err, E_LIMIT, "its fields would take %llu bytes; at most %u are allowed",
                   (unsigned long long)merged_size(m), ENTITY_SIZE_MAX);
    }
    return OK;
}

enum code entity_judge(const struct entity *current, const struct entity_change *change,
                       struct err *err)
{
    struct merged m = merge(current, change, NULL);
    return judge(&m, err);
}

/* --- changing --- */

static bool take_scratch(struct entities *e)
{
    if (e->scratch == NULL) e->scratch = alloc_get(e->alloc, ENTITY_SIZE_MAX);
    return e->scratch != NULL;
}

static void note_memory(struct entities *e, const struct block *b, size_t before)
{
    e->memory_bytes += block_memory(b) - before;
    if (block_memory(b) > e->largest_bytes) e->largest_bytes = block_memory(b);
}

/* The block at place, writable, with room for `more` bytes; a new one where there is none. */
static struct block *block_with_room(struct entities *e, uint32_t number, uint32_t more)
{
    if (!block_list_reserve(e->alloc, &e->blocks, number)) return NULL;
    struct block **place = &e->blocks.items[number];
    if (*place == NULL) {
        struct block_id id = {.kind = e->kind, .number = number};
        struct block *made = block_new(e->alloc, id, ENDS_SIZE, ENDS_SIZE);
        if (made == NULL || !block_extra_reserve(e->alloc, made, more)) {
            block_release(e->alloc, made);
            return NULL;
        }
        *place = made;
        e->block_count++;
        note_memory(e, made, 0);
        return made;
    }
    struct block *b = block_writable(e->alloc, place);
    if (b == NULL) return NULL;
    size_t before = block_memory(b);
    if (!block_extra_reserve(e->alloc, b, more)) return NULL;
    note_memory(e, b, before);
    return b;
}

/* Take away a block in which nothing is left. */
static void drop_if_empty(struct entities *e, uint32_t number)
{
    struct block *b = e->blocks.items[number];
    if (b->extra_size > 0) return;
    e->memory_bytes -= block_memory(b);
    e->block_count--;
    e->blocks.items[number] = NULL;
    block_release(e->alloc, b);
}

/* Put `bytes` in place of what the entity has. bytes may be those of the scratch, not of a block.
 */
static bool replace(struct entities *e, uint32_t index, struct slice bytes)
{
    struct slice old = bytes_of(e, index);
    if (old.size == 0 && bytes.size == 0) return true;
    bool was_deleted = entities_is_deleted(e, index);
    uint32_t more = bytes.size > old.size ? (uint32_t)(bytes.size - old.size) : 0;
    struct block *b = block_with_room(e, index / ENTITY_BLOCK_ENTRIES, more);
    if (b == NULL) return false;
    uint32_t within = index % ENTITY_BLOCK_ENTRIES;
    uint32_t begin = begin_of(b, within);
    uint32_t old_end = end_of(b, within);
    uint32_t new_end = begin + (uint32_t)bytes.size;
    uint32_t tail = b->extra_size - old_end;
    if (tail > 0) memmove(b->extra + new_end, b->extra + old_end, tail);
    if (bytes.size > 0) memcpy(b->extra + begin, bytes.data, bytes.size);
    b->extra_size = new_end + tail;
    for (uint32_t i = within; i < ENTITY_BLOCK_ENTRIES; i++) {
        store_u32(b->payload + (size_t)i * sizeof(uint32_t), end_of(b, i) + new_end - old_end);
    }
    bool is_deleted = bytes.size > 0 && (bytes.data[0] & ENTITY_DELETED) != 0;
    e->deleted_count += (uint32_t)is_deleted - (uint32_t)was_deleted;
    drop_if_empty(e, index / ENTITY_BLOCK_ENTRIES);
    return true;
}

static enum code no_memory(struct err *err)
{
    return ERR(err, E_NOMEMORY, "no memory for the fields");
}

enum code entities_change(struct entities *e, uint32_t index, const struct entity_change *change,
                          struct err *err)
{
    struct entity current = entities_get(e, index);
    ASSERT(change->is_fresh || (current.flags & ENTITY_DELETED) == 0);
    struct merged m = merge(&current, change, NULL);
    TRY(judge(&m, err));
    if (!take_scratch(e)) return no_memory(err);
    struct bytes_writer w = bytes_writer_of(e->scratch, ENTITY_SIZE_MAX);
    if (merged_size(&m) > 0) {
        bytes_write_u8(&w, m.flags);
        if ((m.flags & ENTITY_HAS_CREATOR) != 0) bytes_write_u32(&w, m.creator);
        bytes_write_varint(&w, m.count);
        (void)merge(&current, change, &w);
    }
    ASSERT(!w.is_failed && bytes_written(&w) == merged_size(&m));
    return replace(e, index, bytes_written_slice(&w)) ? OK : no_memory(err);
}

bool entities_delete(struct entities *e, uint32_t index)
{
    static const uint8_t tombstone[] = {ENTITY_DELETED, 0};
    return replace(e, index, slice_of(tombstone, sizeof(tombstone)));
}

uint64_t entities_growth_max(const struct entities *e, uint64_t changes, uint64_t change_bytes,
                             uint64_t entity_count)
{
    if (changes == 0) return 0;
    /* Every block touched may be held by a version and be copied, and double its room; what is
     * changed may all be new, in as many blocks. */
    uint64_t touched = changes * 2 * e->largest_bytes;
    if (touched > 2 * e->memory_bytes) touched = 2 * e->memory_bytes;
    uint64_t made = changes * (sizeof(struct block) + ENDS_SIZE + BLOCK_EXTRA_MIN);
    uint64_t places = 2 * (entity_count / ENTITY_BLOCK_ENTRIES + 8) * sizeof(struct block *);
    return touched + made + places + 4 * change_bytes + ENTITY_SIZE_MAX;
}

/* --- loading --- */

static bool are_fields_sound(struct entity *entity)
{
    struct put_field field = {.name = slice_of(NULL, 0)};
    if (entity->field_count > ENTITY_FIELDS_MAX) return false;
    for (uint32_t i = 0; i < entity->field_count; i++) {
        struct slice last = field.name;
        if (!put_field_read(&entity->fields, &field) || field.tag == PUT_UNSET) return false;
        if (i > 0 && name_compare(last, field.name) >= 0) return false;
    }
    return bytes_is_done(&entity->fields);
}

/* Are these the bytes that a change leaves behind? */
static bool is_sound(const struct entities *e, struct entity_bounds bounds, struct slice bytes)
{
    if (bytes.size > ENTITY_SIZE_MAX) return false;
    struct entity entity = entity_of(bytes);
    uint8_t known = e->kind == BLOCK_ITEM_FIELDS ? ENTITY_DELETED | ENTITY_HAS_CREATOR : 0;
    if ((entity.flags & ~known) != 0 || !are_fields_sound(&entity)) return false;
    if (entity.flags == ENTITY_DELETED) return entity.field_count == 0;
    if ((entity.flags & ENTITY_DELETED) != 0) return false;
    if ((entity.flags & ENTITY_HAS_CREATOR) != 0) return entity.creator < bounds.creator_count;
    return entity.field_count > 0;
}

/* Judge all entities of a block and count the deleted ones; NULL: it is sound, else the fault. */
static const char *find_fault(const struct entities *e, struct entity_bounds bounds,
                              struct block_id id, struct slice bytes, uint32_t *out_deleted)
{
    if (id.number >= ((uint64_t)bounds.count + ENTITY_BLOCK_ENTRIES - 1) / ENTITY_BLOCK_ENTRIES) {
        return "there are no such entities";
    }
    if (bytes.size <= ENDS_SIZE) return "it is too short";
    struct slice rest = slice_of(bytes.data + ENDS_SIZE, bytes.size - ENDS_SIZE);
    uint32_t begin = 0;
    *out_deleted = 0;
    for (uint32_t i = 0; i < ENTITY_BLOCK_ENTRIES; i++) {
        uint32_t end = load_u32(bytes.data + (size_t)i * sizeof(uint32_t));
        if (end < begin || end > rest.size) return "its ends do not ascend within it";
        struct slice one = slice_of(rest.data + begin, end - begin);
        if (one.size > 0) {
            if (id.number * ENTITY_BLOCK_ENTRIES + i >= bounds.count) {
                return "it has fields of an entity that does not exist";
            }
            if (!is_sound(e, bounds, one)) return "the fields of an entity are not well-formed";
            *out_deleted += (one.data[0] & ENTITY_DELETED) != 0;
        }
        begin = end;
    }
    return begin == rest.size ? NULL : "bytes are left behind the last entity";
}

enum code entities_load(struct entities *e, struct entity_bounds bounds, struct block_id id,
                        struct slice bytes, struct err *err)
{
    uint32_t deleted = 0;
    const char *fault = find_fault(e, bounds, id, bytes, &deleted);
    if (fault != NULL) {
        return ERR(err, E_CORRUPT, "block %s %llu: %s", block_kind_name(id.kind),
                   (unsigned long long)id.number, fault);
    }
    uint32_t extra_size = (uint32_t)bytes.size - ENDS_SIZE;
    struct block *b = block_with_room(e, (uint32_t)id.number, extra_size);
    if (b == NULL) {
        return ERR(err, E_NOMEMORY, "no memory for block %s %llu", block_kind_name(id.kind),
                   (unsigned long long)id.number);
    }
    memcpy(b->payload, bytes.data, ENDS_SIZE);
    block_extra_add(b, bytes.data + ENDS_SIZE, extra_size);
    e->deleted_count += deleted;
    return OK;
}
