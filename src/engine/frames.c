/* frames: assembling and sending. Every path that uses a peer's number compares it first. */
#include "engine/frames.h"

#include "base/assert.h"

void frames_init(struct frames *f, struct env *env, struct env_link *link, struct alloc *alloc,
                 frames_on on_frame, void *arg)
{
    *f = (struct frames){
        .env = env,
        .link = link,
        .alloc = alloc,
        .on_frame = on_frame,
        .arg = arg,
        .body_size_max = FRAMES_GREETING_MAX,
    };
}

void frames_fini(struct frames *f)
{
    if (f->body != NULL) alloc_put(f->alloc, f->body, f->body_capacity);
    if (f->kept != NULL) alloc_put(f->alloc, f->kept, f->kept_capacity);
    f->body = f->kept = NULL;
    f->body_capacity = f->kept_capacity = f->kept_size = f->body_size = f->head_size = 0;
    f->link = NULL;
}

static struct slice slice_rest(struct slice s, size_t used)
{
    ASSERT(used <= s.size);
    return slice_of(s.data + used, s.size - used);
}

/* Make room for `wanted` bytes, contents kept. */
static enum code grow(struct frames *f, uint8_t **buffer, size_t *capacity, size_t wanted,
                      struct err *e)
{
    void *items = *buffer;
    if (wanted <= *capacity) return OK;
    if (!alloc_grow(f->alloc, &items, capacity, 1, wanted)) {
        return ERR(e, E_NOMEMORY, "no memory for %zu bytes from a replication link", wanted);
    }
    *buffer = items;
    return OK;
}

static enum code keep(struct frames *f, struct slice bytes, struct err *e)
{
    if (bytes.size == 0) return OK;
    if (bytes.size > FRAMES_KEPT_MAX - f->kept_size) {
        return ERR(e, E_LIMIT, "more than %llu bytes arrived on a paused link",
                   (unsigned long long)FRAMES_KEPT_MAX);
    }
    TRY(grow(f, &f->kept, &f->kept_capacity, f->kept_size + bytes.size, e));
    memcpy(f->kept + f->kept_size, bytes.data, bytes.size);
    f->kept_size += bytes.size;
    return OK;
}

static enum code hand_on(struct frames *f, struct slice body, struct err *e)
{
    ASSERT(body.size == f->header.body_size);
    f->head_size = 0;
    f->body_size = 0;
    if (!wire_body_verifies(&f->header, body)) {
        return ERR(e, E_CORRUPT, "a %s frame of %zu bytes does not match its checksum",
                   wire_kind_name(f->header.kind), body.size);
    }
    return f->on_frame(f->arg, &f->header, body, e);
}

/* May the bytes of an unfinished header be a frame's? If not they are judged at once: who speaks
 * another protocol may never send more. The rest of head is zero or stale, and does not matter. */
static bool is_beginning(const struct frames *f)
{
    static const char magic[] = {'T', 'M', 'W', '1'};
    size_t size = f->head_size < sizeof(magic) ? f->head_size : sizeof(magic);
    return memcmp(f->head, magic, size) == 0;
}

/* Take bytes until one frame was handed on or they are used up; *bytes moves on. */
static enum code feed_one(struct frames *f, struct slice *bytes, struct err *e)
{
    if (f->head_size < WIRE_HEADER_SIZE) {
        size_t size = WIRE_HEADER_SIZE - f->head_size;
        if (size > bytes->size) size = bytes->size;
        memcpy(f->head + f->head_size, bytes->data, size);
        f->head_size += size;
        *bytes = slice_rest(*bytes, size);
        if (f->head_size < WIRE_HEADER_SIZE && is_beginning(f)) return OK;
        TRY(wire_header_decode(f->head, f->body_size_max, &f->header, e));
        ASSERT(f->header.body_size <= f->body_size_max);
    }
    size_t wanted = f->header.body_size - f->body_size;
    if (f->body_size == 0 && bytes->size >= wanted) { /* whole: no copy */
        struct slice body = slice_of(bytes->data, wanted);
        *bytes = slice_rest(*bytes, wanted);
        return hand_on(f, body, e);
    }
    if (bytes->size == 0) return OK;
    TRY(grow(f, &f->body, &f->body_capacity, f->header.body_size, e));
    size_t size = wanted < bytes->size ? wanted : bytes->size;
    memcpy(f->body + f->body_size, bytes->data, size);
    f->body_size += size;
    *bytes = slice_rest(*bytes, size);
    if (size < wanted) return OK;
    return hand_on(f, slice_of(f->body, f->body_size), e);
}

enum code frames_feed(struct frames *f, struct slice bytes, struct err *e)
{
    while (bytes.size > 0 && !f->is_held) {
        if (f->link == NULL) return OK; /* ended meanwhile: nothing counts any more */
        TRY(feed_one(f, &bytes, e));
    }
    return keep(f, bytes, e);
}

void frames_hold(struct frames *f)
{
    if (f->is_held || f->link == NULL) return;
    f->is_held = true;
    f->env->v->link_pause(f->env, f->link, true);
}

enum code frames_resume(struct frames *f, struct err *e)
{
    if (!f->is_held || f->link == NULL) return OK;
    f->is_held = false;
    /* What is kept again while it is fed comes from the same bytes: take them out first. */
    uint8_t *bytes = f->kept;
    size_t capacity = f->kept_capacity;
    size_t size = f->kept_size;
    f->kept = NULL;
    f->kept_size = f->kept_capacity = 0;
    enum code code = size > 0 ? frames_feed(f, slice_of(bytes, size), e) : OK;
    if (bytes != NULL) alloc_put(f->alloc, bytes, capacity);
    if (code == OK && !f->is_held && f->link != NULL) {
        f->env->v->link_pause(f->env, f->link, false);
    }
    return code;
}

void frames_send(struct frames *f, const struct wire_message *m)
{
    uint8_t bytes[FRAMES_MESSAGE_MAX];
    if (f->link == NULL) return;
    size_t size = wire_encode(m, bytes, sizeof(bytes));
    ASSERT(size > 0);
    struct slice piece = slice_of(bytes, size);
    f->env->v->link_send(f->env, f->link, &piece, 1, NULL, NULL);
}

void frames_send_large(struct frames *f, const struct wire_message *m, size_t size_max)
{
    if (f->link == NULL) return;
    uint8_t *bytes = alloc_get(f->alloc, size_max);
    if (bytes == NULL) return;
    size_t size = wire_encode(m, bytes, size_max);
    ASSERT(size > 0);
    struct slice piece = slice_of(bytes, size);
    f->env->v->link_send(f->env, f->link, &piece, 1, NULL, NULL);
    alloc_put(f->alloc, bytes, size_max);
}
