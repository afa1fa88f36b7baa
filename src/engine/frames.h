/* frames: whole replication frames out of a link's byte stream, and frames into it.
 *
 * A frame that arrived whole inside one piece of bytes is handed on without a copy; else it is put
 * together in a buffer that is taken only after its header verified, never larger than
 * body_size_max. Sizes and checksums are judged before anything is believed; what is no frame at
 * all is named (HTTP, RESP, TLS). Holding stops in front of the next frame: bytes that arrive
 * meanwhile are kept, and the peer is not read any more, so memory stays bounded.
 *
 * Never: decides what a frame means, closes the link (the caller does, on an error). Owner: the
 * loop thread.
 */
#ifndef TIDEMARK_ENGINE_FRAMES_H
#define TIDEMARK_ENGINE_FRAMES_H

#include "base/alloc.h"
#include "base/error.h"
#include "env/env.h"
#include "format/wire.h"

#define FRAMES_GREETING_MAX \
    ((uint32_t)(16 * KIB))            /* bodies before a link is trusted: hello, plan */
#define FRAMES_KEPT_MAX    (4 * MIB)  /* bytes kept while held; pausing stops the peer */
#define FRAMES_MESSAGE_MAX (16 * KIB) /* of messages sent by frames_send */

/* A whole frame with a body that verifies; borrowed until return. Anything but OK stops feeding and
 * is returned to the feeder. May hold. Must not free the frames. */
typedef enum code (*frames_on)(void *arg, const struct wire_header *header, struct slice body,
                               struct err *e);

struct frames {
    struct env *env;
    struct env_link *link; /* NULL once it must not be used any more */
    struct alloc *alloc;
    frames_on on_frame;
    void *arg;
    uint32_t body_size_max; /* raised by the owner after the handshake */
    bool is_held;
    uint8_t head[WIRE_HEADER_SIZE];
    size_t head_size;
    struct wire_header header; /* valid when head is full */
    uint8_t *body;             /* of a frame that came in pieces */
    size_t body_size;
    size_t body_capacity;
    uint8_t *kept; /* bytes that arrived while held */
    size_t kept_size;
    size_t kept_capacity;
};

/* alloc and link are borrowed. */
void frames_init(struct frames *f, struct env *env, struct env_link *link, struct alloc *alloc,
                 frames_on on_frame, void *arg);
/* Free buffers. NULL-safe fields; may be called twice. */
void frames_fini(struct frames *f);

/* Bytes arrived. E_PROTOCOL, E_LIMIT, E_CORRUPT, E_NOMEMORY, or what on_frame returned. */
MUST_CHECK enum code frames_feed(struct frames *f, struct slice bytes, struct err *e);
/* Stop before the next frame, pause the peer. */
void frames_hold(struct frames *f);
/* Go on with what was kept, then with the peer. Errors as frames_feed. */
MUST_CHECK enum code frames_resume(struct frames *f, struct err *e);

/* Send one message (not batches); does nothing once link is NULL. */
void frames_send(struct frames *f, const struct wire_message *m);
/* The same for one that may be larger, at most size_max; without memory it is not sent. */
void frames_send_large(struct frames *f, const struct wire_message *m, size_t size_max);

#endif
