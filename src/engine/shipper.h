/* shipper: the leader's side of replication: accepts links, answers handshakes, ships durable
 * batches, keeps slots, and knows every follower's lag. Owner: the loop thread.
 * Decisions are in core/ship, core/resume, core/slots, core/lag; this file moves bytes. */
#ifndef TIDEMARK_ENGINE_SHIPPER_H
#define TIDEMARK_ENGINE_SHIPPER_H

#include "core/quorum.h"
#include "core/topology.h"
#include "engine/db.h"

struct shipper;

/* Listen on config.replication_listen, load the slot catalogue. A follower serves followers, too,
 * with its own log, in the epoch that it follows. Fills config.replication_address. */
MUST_CHECK enum code shipper_open(struct db *db, struct shipper **out, struct err *e);
/* Let followers connect at one more address, over the network (NULL: TCP). E_LIMIT, or the
 * network's errors. */
MUST_CHECK enum code shipper_listen(struct shipper *s, struct env_network *network,
                                    const char *address, struct err *e);
/* This node leads now, in db->epoch, whose first record is applied: load the catalogue, serve. */
void shipper_lead(struct shipper *s);
/* It leads no longer: its links end, its table is empty. */
void shipper_yield(struct shipper *s);
/* It follows this leadership from now on: its log is a beginning of that leader's. Who is above it
 * on the way there (path: core/chain) needs no slot here. */
void shipper_follow(struct shipper *s, const struct epoch *epoch, struct slice path);
/* A later epoch was seen: a follower ships nothing of a lower one any more. */
void shipper_on_epoch_seen(struct shipper *s);
/* Does the log have to be kept for anybody? */
bool shipper_holds_log(const struct shipper *s);
/* Whom the leadership can be handed to. */
struct successor {
    uint32_t slot;
    char node_id[NODE_ID_SIZE_MAX + 1];
    char data_address[ADDRESS_SIZE_MAX + 1];
    char replication_address[ADDRESS_SIZE_MAX + 1];
};
enum successor_state { SUCCESSOR_READY, SUCCESSOR_UNKNOWN, SUCCESSOR_AWAY, SUCCESSOR_UNREACHABLE };
/* *out when it is ready. */
enum successor_state shipper_find_successor(const struct shipper *s, struct slice node_id,
                                            struct successor *out);
/* The slot's follower stores exactly up to `end` and has applied it. */
bool shipper_holds_all(const struct shipper *s, uint32_t slot, const struct position *end);
void shipper_hand_over(struct shipper *s, uint32_t slot, const struct wire_handover *handover);
/* Stop listening, end links with CLOSING, save slots; done on the loop when all links are closed.
 */
void shipper_close(struct shipper *s, void (*done)(void *arg), void *arg);
/* End all links and save slots; done on the loop when all links are closed and nothing of the log
 * is lent any more. Listeners stay; whoever connects is turned away until shipper_resume. */
void shipper_suspend(struct shipper *s, void (*done)(void *arg), void *arg);
/* While suspended: begin anew with what identity and the catalogue say now. Reads a file. */
void shipper_reload(struct shipper *s);
void shipper_resume(struct shipper *s);
void shipper_free(struct shipper *s); /* no I/O; after close or on abandon; NULL allowed */

void shipper_on_durable(struct shipper *s); /* new durable batches: ship what may be shipped */
/* More may be shipped (roller_shippable), or a segment that ends there was sealed. */
void shipper_on_shippable(struct shipper *s);
/* Followers whose stored position (of this epoch's history) is at or beyond s. */
uint32_t shipper_count_stored(const struct shipper *s, seqno at_least);
seqno shipper_safe(const struct shipper *s);  /* lowest stored over unlost slots; durable if none */
seqno shipper_floor(const struct shipper *s); /* oldest seqno any unlost slot may ask for */
/* Add what every slot holds to what levels_quorum filled in. */
void shipper_fill_quorum(const struct shipper *s, struct quorum *out);
/* The list of members is another one: who votes, and what is committed. */
void shipper_on_members(struct shipper *s);
/* Data address of the follower with this id; NULL: it has no slot. */
const char *shipper_address_of(const struct shipper *s, struct slice node_id);
/* So many writes had waited for nothing but this slot's ack. */
void shipper_count_last_acks(struct shipper *s, uint32_t slot, uint64_t writes);
/* quorum_committed, which never goes down while this node leads. */
seqno shipper_committed(const struct shipper *s);
/* Of the follower's live link; NULL: none. */
const struct link_stages *shipper_stages(const struct shipper *s, const char *node_id);
/* Handshakes of followers by what was answered, each counted once, since open. kind: "partial"
 * (continues), "truncate", "bootstrap", "refused"; reason: a word. */
struct shipper_resync {
    const char *kind;
    const char *reason;
    uint64_t count;
};
#define SHIPPER_RESYNCS_MAX 64u
/* Those that happened; returns how many. */
uint32_t shipper_resyncs(const struct shipper *s, struct shipper_resync out[SHIPPER_RESYNCS_MAX]);
/* The disk is short: the slot that holds back most is at risk, whatever its budget (false: none
 * is). Only one that holds back at least min_bytes. */
void shipper_press(struct shipper *s, bool is_pressed, uint64_t min_bytes);
/* How long each group of writes waits so that voters keep up; see slots_slow_ns. */
uint64_t shipper_slow_ns(const struct shipper *s);
/* Give that slot up. False: there is none. */
bool shipper_lose_farthest(struct shipper *s, uint64_t min_bytes);
uint32_t shipper_follower_count(const struct shipper *s);
/* The followers as core/topology sees them; room for MEMBERS_MAX. */
uint32_t shipper_fill_topology(const struct shipper *s, struct topology_member *out);
/* Send the members to every follower that streams; is_news: also to those who were told. */
void shipper_send_members(struct shipper *s, const struct wire_members *members, bool is_news);
/* Fill out[0..count-1] from one snapshot; strings borrowed until the next loop turn. */
uint32_t shipper_status(const struct shipper *s, struct tide_follower_status *out,
                        uint32_t capacity);

#endif
