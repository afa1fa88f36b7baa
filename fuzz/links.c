/* links: see links.h. */
#include "links.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "enum/mem_disk.h"
#include "format/wire.h"
#include "support/node.h"
#include "support/steps_net.h"

#define STEPS_MAX 120u
#define IDLE_MAX  4u

static struct mem_disk *leader_disk;
static struct mem_disk *follower_disk;

/* --- nodes --- */

static struct node wake(struct steps_net *net, struct mem_disk *disk, bool is_leader, uint64_t seed)
{
    struct tide_options o = node_options("");
    o.node_id = is_leader ? "n1" : "n2";
    o.replication_listen = is_leader ? "leader:1" : "follower:1";
    if (!is_leader) o.follow = "leader:1";
    struct node n = {.env = steps_open_over(mem_disk_env(disk))};
    steps_seed(n.env, seed);
    steps_net_join(net, n.env);
    struct err e = {.code = OK};
    enum code code = steps_node_open_on(&n, &o, &e);
    ASSERT(code == OK);
    return n;
}

static void end(struct steps_net *net, struct node *n, struct mem_disk *disk)
{
    if (n->db != NULL) db_abandon(n->db);
    steps_net_leave(net, n->env);
    steps_close(n->env);
    free(n->alloc);
    mem_disk_end_process(disk);
}

/* Both live until nothing happens any more, for some time. */
static void live(struct steps_net *net, struct node *a, struct node *b, steps_net_filter filter,
                 void *arg)
{
    uint32_t idle = 0;
    for (uint32_t i = 0; i < STEPS_MAX && idle < IDLE_MAX; i++) {
        steps_run(a->env);
        steps_run(b->env);
        if (steps_net_step(net, filter, arg)) continue;
        idle++;
        steps_advance(a->env, NS_PER_S / 4);
        steps_advance(b->env, NS_PER_S / 4);
    }
    steps_run(a->env);
    steps_run(b->env);
}

static void write_signals(struct node *n, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char item[16];
        (void)snprintf(item, sizeof(item), "item%u", i);
        enum tide_code code = steps_node_signal(n, item);
        ASSERT(code == TIDE_OK);
    }
}

static void make_disks(void)
{
    struct steps_net *net = steps_net_new();
    leader_disk = mem_disk_new();
    follower_disk = mem_disk_new();
    struct node leader = wake(net, leader_disk, true, 1);
    steps_run(leader.env);
    write_signals(&leader, 5);
    struct node follower = wake(net, follower_disk, false, 2);
    live(net, &leader, &follower, NULL, NULL);
    ASSERT(follower.db->log != NULL);
    ASSERT(db_applied(follower.db).seqno.v == db_applied(leader.db).seqno.v);
    end(net, &follower, follower_disk);
    write_signals(&leader, 5);
    end(net, &leader, leader_disk);
    steps_net_free(net);
}

/* --- frames on their way --- */

struct disturber {
    const uint8_t *data;
    size_t size;
    struct env *to; /* whose frames are changed */
};

static uint8_t next_byte(struct disturber *d)
{
    if (d->size == 0) return 0;
    d->size--;
    return *d->data++;
}

static uint32_t next_u16(struct disturber *d)
{
    uint32_t low = next_byte(d);
    return low | (uint32_t)next_byte(d) << 8;
}

enum trick { PASS, FLIP, FLIP_RAW, DROP, TWICE, SPLICE, RENAME, CUT, TRICK_COUNT };

static void seal(uint8_t *frame, struct wire_header *h)
{
    h->body_crc = crc32c(0, frame + WIRE_HEADER_SIZE, h->body_size);
    wire_header_encode(h, frame);
}

/* One whole frame; its checksums hold again after a change, but after a raw one. */
static void disturb(struct disturber *d, uint8_t *frame, size_t size, struct wire_header *h,
                    void (*deliver)(void *carry, struct slice bytes), void *carry)
{
    uint8_t *body = frame + WIRE_HEADER_SIZE;
    size_t body_size = size - WIRE_HEADER_SIZE;
    switch ((enum trick)(next_byte(d) % TRICK_COUNT)) {
    case PASS: break;
    case FLIP:
        for (uint32_t i = 0; body_size > 0 && i <= next_byte(d) % 4; i++)
            body[next_u16(d) % body_size] ^= next_byte(d);
        seal(frame, h);
        break;
    case FLIP_RAW: frame[next_u16(d) % size] ^= next_byte(d); break;
    case DROP: return;
    case TWICE: deliver(carry, slice_of(frame, size)); break;
    case SPLICE:
        if (body_size > 0) {
            size_t at = next_u16(d) % body_size;
            size_t count = next_byte(d);
            for (size_t i = 0; i < count && at + i < body_size; i++)
                body[at + i] = next_byte(d);
        }
        seal(frame, h);
        break;
    case RENAME:
        h->kind = next_byte(d) % 18;
        if (next_byte(d) % 2 == 0) h->session ^= next_byte(d);
        h->probe ^= next_byte(d);
        seal(frame, h);
        break;
    case CUT:
        h->body_size = (uint32_t)(body_size > 0 ? next_u16(d) % body_size : 0);
        size = WIRE_HEADER_SIZE + h->body_size;
        seal(frame, h);
        break;
    case TRICK_COUNT: break;
    }
    deliver(carry, slice_of(frame, size));
}

static void filter(void *arg, struct env *to, struct slice bytes,
                   void (*deliver)(void *carry, struct slice bytes), void *carry)
{
    struct disturber *d = arg;
    if (to != d->to || d->size == 0) {
        deliver(carry, bytes);
        return;
    }
    uint8_t *copy = malloc(bytes.size + 1);
    ASSERT(copy != NULL);
    memcpy(copy, bytes.data, bytes.size);
    for (size_t at = 0; at < bytes.size;) {
        struct wire_header h;
        size_t left = bytes.size - at;
        bool is_frame = left >= WIRE_HEADER_SIZE &&
                        wire_header_decode(copy + at, FRAME_SIZE_MAX, &h, NULL) == OK &&
                        left - WIRE_HEADER_SIZE >= h.body_size;
        if (!is_frame) { /* the rest goes as it is */
            deliver(carry, slice_of(copy + at, left));
            break;
        }
        size_t size = WIRE_HEADER_SIZE + h.body_size;
        disturb(d, copy + at, size, &h, deliver, carry);
        at += size;
    }
    free(copy);
}

/* --- the judge --- */

/* The chain of the leader's log at this record; false: no batch ends there. */
static bool chain_at(struct db *db, seqno at, struct hash256 *out)
{
    uint64_t bytes;
    struct position end = log_base(db->log, &bytes);
    *out = end.chain;
    while (end.seqno.v < at.v) {
        struct log_read read = {.from = end, .size_max = 1};
        struct err e = {.code = OK};
        enum code code = log_read_now(db->log, &read, &e);
        end = read.end;
        free(read.buffer);
        ASSERT(code == OK);
    }
    *out = end.chain;
    return end.seqno.v == at.v;
}

static void judge(struct node *leader, struct node *follower, seqno before)
{
    ASSERT(leader->db->log != NULL && log_durable(leader->db->log).seqno.v >= before.v);
    if (follower->db->log == NULL || follower->db->state == NULL) return; /* it begins anew */
    struct position held = db_applied(follower->db);
    struct hash256 chain;
    if (held.seqno.v == 0) return;
    ASSERT(held.seqno.v <= log_durable(leader->db->log).seqno.v);
    ASSERT(chain_at(leader->db, held.seqno, &chain));
    ASSERT(memcmp(&chain, &held.chain, sizeof(chain)) == 0);
}

void links_meet(const uint8_t *data, size_t size, bool is_to_follower)
{
    if (leader_disk == NULL) make_disks();
    struct steps_net *net = steps_net_new();
    struct mem_disk *disks[2] = {mem_disk_clone(leader_disk), mem_disk_clone(follower_disk)};
    struct node leader = wake(net, disks[0], true, 3);
    seqno before = log_durable(leader.db->log).seqno;
    struct node follower = wake(net, disks[1], false, 4);
    struct disturber d = {
        .data = data, .size = size, .to = is_to_follower ? follower.env : leader.env};
    live(net, &leader, &follower, filter, &d);
    judge(&leader, &follower, before);
    bool is_level = follower.db->log != NULL &&
                    db_applied(follower.db).seqno.v == db_applied(leader.db).seqno.v;
    ASSERT(size > 0 || is_level); /* undisturbed it arrives */
    end(net, &follower, disks[1]);
    end(net, &leader, disks[0]);
    steps_net_free(net);
    mem_disk_free(disks[0]);
    mem_disk_free(disks[1]);
}
