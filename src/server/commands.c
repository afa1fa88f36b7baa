/* commands: see commands.h. The table, the lookup and what every command has in common: arity,
 * LOADING, queueing inside MULTI, errors. */
#include "server/commands.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/text.h"
#include "server/conn.h"
#include "server/handlers.h"
#include "server/service.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define WRITE  (COMMAND_WRITE | COMMAND_DATABASE)
#define READ   (COMMAND_READ | COMMAND_DATABASE)
#define NODE   (COMMAND_ADMIN | COMMAND_DATABASE)
#define ALONE  (COMMAND_ALONE | COMMAND_NOT_IN_MULTI)
#define SIMPLE 0

/* Rows with the same name stand together. */
static const struct command table[] = {
    /* signals */
    {"SIGNAL", NULL, -3, WRITE, handle_signal, "Signals",
     "type item [W w] [AT ms] [USER u] [KEY bytes] [PRODUCER id n] [LEVEL l] [DEADLINE ms] [ONMISS "
     "m] [WITHLEVEL]",
     "Log one signal; answers with the write token."},
    {"SIGNALS", NULL, -5, WRITE, handle_signals, "Signals",
     "n type item w [type item w ...] [KEY bytes] [PRODUCER id n] [LEVEL l] [DEADLINE ms] [ONMISS "
     "m] "
     "[WITHLEVEL]",
     "Log n signals as one atomic record; answers with one token."},
    {"UNSIGNAL", NULL, -3, WRITE, handle_unsignal, "Signals",
     "type item USER u [KEY bytes] [PRODUCER id n] [LEVEL l] [DEADLINE ms] [ONMISS m] [WITHLEVEL]",
     "Take back a user's signal of a once or latest type; no error where none stands."},
    {"SCORE", NULL, -3, READ, handle_score, "Signals",
     "type item [AT ms] [AFTER token] [MAXSTALE ms] [READ r] [DEADLINE ms]",
     "The decayed score of an item; 0 for an unknown item."},
    {"COUNT", NULL, -4, READ, handle_count, "Signals",
     "type item window [AFTER token] [MAXSTALE ms] [READ r] [DEADLINE ms]",
     "How many signals an item got in the window 1h, 24h, 7d, 30d or all, which its type declares; "
     "the window ends at the leader time of the last applied record."},
    {"RATE", NULL, -3, READ, handle_rate, "Signals",
     "type item [AT ms] [AFTER token] [MAXSTALE ms] [READ r] [DEADLINE ms]",
     "Weight per second, from the score of the type's first half-life H: score * ln 2 / H."},
    {"TREND", NULL, -3, READ, handle_trend, "Signals",
     "type item [AT ms] [AFTER token] [MAXSTALE ms] [READ r] [DEADLINE ms]",
     "By how many standard deviations an item gets more than it used to: the shortest against the "
     "longest half-life of its type, or the last hour against the 23 before it."},
    {"RETRIEVE", NULL, -2, READ, handle_retrieve, "Signals",
     "profile [LIMIT n] [WHERE expr] [EXCLUDE n key ...] [NOW ms] [CURSOR c] [EXPLAIN] "
     "[AFTER token] [MAXSTALE ms] [READ r] [DEADLINE ms]",
     "The best items of a profile: new, top, hot, best, controversial, trending, rising, "
     "most_viewed, "
     "decayed:<type>; CURSOR goes on where a page ended, EXPLAIN adds the terms of each score."},
    /* items, users, creators */
    {"ITEM.PUT", NULL, -2, WRITE, handle_item_put, "Items",
     "key [CREATOR c] [AT ms] [UNSET n field ...] [KEY bytes] [PRODUCER id n] [LEVEL l] [DEADLINE "
     "ms] [ONMISS m] "
     "[WITHLEVEL] [[FIELDS] field value ...]",
     "Set fields of an item, which is created if it is not known; the others stay."},
    {"ITEM.GET", NULL, -2, READ, handle_item_get, "Items",
     "key [AFTER token] [MAXSTALE ms] [READ r] [DEADLINE ms] [[FIELDS] field ...]",
     "Creator, created_at and all fields of an item, none of an unknown or deleted one; or the "
     "values of the named fields."},
    {"ITEM.DEL", NULL, -2, WRITE, handle_item_del, "Items",
     "key [KEY bytes] [PRODUCER id n] [LEVEL l] [DEADLINE ms] [ONMISS m] [WITHLEVEL]",
     "Delete an item: no listing shows it, its fields are gone, its signals stay."},
    {"USER.PUT", NULL, -2, WRITE, handle_user_put, "Items",
     "key [UNSET n field ...] [KEY bytes] [PRODUCER id n] [LEVEL l] [DEADLINE ms] [ONMISS m] "
     "[WITHLEVEL] "
     "[[FIELDS] field value ...]",
     "Set fields of a user."},
    {"USER.GET", NULL, -2, READ, handle_user_get, "Items",
     "key [AFTER token] [MAXSTALE ms] [READ r] [DEADLINE ms] [[FIELDS] field ...]",
     "created_at and all fields of a user, or the values of the named ones."},
    {"CREATOR.PUT", NULL, -2, WRITE, handle_creator_put, "Items",
     "key [UNSET n field ...] [KEY bytes] [PRODUCER id n] [LEVEL l] [DEADLINE ms] [ONMISS m] "
     "[WITHLEVEL] "
     "[[FIELDS] field value ...]",
     "Set fields of a creator."},
    {"CREATOR.GET", NULL, -2, READ, handle_creator_get, "Items",
     "key [AFTER token] [MAXSTALE ms] [READ r] [DEADLINE ms] [[FIELDS] field ...]",
     "created_at and all fields of a creator, or the values of the named ones."},
    /* schema and producers */
    {"SCHEMA.SIGNAL", NULL, -2, WRITE | COMMAND_NOT_IN_MULTI, handle_schema_signal, "Schema",
     "name [HALFLIFE d[,d]] [WINDOWS 1h,24h,7d,30d,all] [MODE count|once|latest] "
     "[POLARITY + | -]",
     "Declare a signal type."},
    {"SCHEMA.FIELD", NULL, -3, WRITE | COMMAND_NOT_IN_MULTI, handle_schema_field, "Schema",
     "name tag|num|time|text", "Declare a field of items, so that WHERE can ask for it."},
    {"SCHEMA.SHOW", NULL, -1, READ, handle_schema_show, "Schema",
     "[AFTER token] [MAXSTALE ms] [READ r] [DEADLINE ms]",
     "The signal types, one line each, then the fields."},
    {"PRODUCER.GET", NULL, -2, READ, handle_producer_get, "Producers",
     "id [AFTER token] [MAXSTALE ms] [READ r] [DEADLINE ms]",
     "The last number taken from a producer; 0 for an unknown one."},
    {"PRODUCER.SKIP", NULL, 3, WRITE | COMMAND_NOT_IN_MULTI, handle_producer_skip, "Producers",
     "id n", "Move a producer on to number n without an effect."},
    /* transactions */
    {"MULTI", NULL, 1, COMMAND_AT_ONCE, handle_multi, "Transactions", "",
     "Start queueing: the writes up to EXEC become one atomic record."},
    {"EXEC", NULL, 1, COMMAND_AT_ONCE | COMMAND_DATABASE, handle_exec, "Transactions", "",
     "Carry out what MULTI queued: first its writes as one record, then the rest in order."},
    {"DISCARD", NULL, 1, COMMAND_AT_ONCE, handle_discard, "Transactions", "",
     "Forget what MULTI queued."},
    {"WATCH", NULL, -2, COMMAND_AT_ONCE, handle_watch, "Transactions", "key [key ...]",
     "Refused: there is nothing to watch."},
    /* the log and this node */
    {"POSITION", NULL, 1, NODE, handle_position, "Node", "",
     "The applied position of this node, as a token."},
    {"DIGEST", NULL, -1, NODE, handle_digest, "Node", "[AT seqno]",
     "seqno:hex of the whole state, now or at a recent mark."},
    {"CHECKPOINT", NULL, 1, NODE | ALONE, handle_checkpoint, "Node", "",
     "Write a checkpoint; answers with the position of its cut."},
    {"LOG.SEAL", NULL, 1, NODE | ALONE, handle_log_seal, "Node", "",
     "Seal the log's open segment; answers with the position sealed at."},
    {"CLOCK", NULL, -1, NODE | COMMAND_NOT_IN_MULTI, handle_clock, "Node", "[ACCEPT]",
     "Leader time, wall time and what lies between them; ACCEPT follows a step of the wall clock."},
    {"REPL.STATUS", NULL, 1, NODE, handle_repl_status, "Node", "",
     "Role, positions, link and followers of this node."},
    {"SLOT.LIST", NULL, 1, NODE, handle_slot_list, "Node", "",
     "The slot of every follower, as its leader sees it."},
    {"SLOT.DROP", NULL, 2, NODE | ALONE, handle_slot_drop, "Node", "id",
     "Keep no log for this follower any more; its link ends and it counts for no level."},
    {"SLOT.RENAME", NULL, 3, NODE | ALONE, handle_slot_rename, "Node", "id new",
     "Give the slot of a follower that is not connected another id."},
    {"PLAN", NULL, -2, NODE | ALONE, handle_plan, "Node", "what [argument]",
     "What would happen, from the code that decides it; nothing changes. PLAN prune: the log that "
     "would go now, and who holds the rest. PLAN resume id: what this leader would answer to that "
     "follower. PLAN bootstrap [id]: what a copy of the state would move, how long it would take, "
     "and from where the log is held."},
    {"MEMBER.LIST", NULL, 1, NODE, handle_member_list, "Node", "",
     "The members of the cluster and whether they vote, as applied on this node."},
    {"MEMBER.ADD", NULL, -2, WRITE | COMMAND_NOT_IN_MULTI, handle_member_add, "Node",
     "id [VOTER] [LEVEL l] [DEADLINE ms] [ONMISS m] [WITHLEVEL]",
     "Add a member, or change whether it votes; one change at a time."},
    {"MEMBER.REMOVE", NULL, -2, WRITE | COMMAND_NOT_IN_MULTI, handle_member_remove, "Node",
     "id [LEVEL l] [DEADLINE ms] [ONMISS m] [WITHLEVEL]", "Remove a member."},
    {"WAIT", NULL, 3, NODE | ALONE, handle_wait, "Node", "followers ms",
     "Wait until so many followers stored this client's writes, or everybody's if it wrote "
     "nothing; answers how many did."},
    {"WAITAOF", NULL, 4, NODE | ALONE, handle_waitaof, "Node", "local followers ms",
     "Like WAIT; answers whether this node and how many followers stored them."},
    {"ROLE", NULL, 1, NODE, handle_role, "Node", "", "The role in the form that Redis has."},
    {"PROMOTE", NULL, -1, NODE | ALONE, handle_promote, "Node", "[EXPECT token] [FORCE]",
     "Make this node the leader; refused where a write that followers acknowledged might be lost."},
    {"HANDOVER", NULL, -2, NODE | ALONE, handle_handover, "Node", "id [TIMEOUT ms]",
     "Pass the leadership to a connected follower without losing a write."},
    {"FOLLOW", NULL, -2, NODE | ALONE, handle_follow, "Node",
     "host:port [ACCEPT-LOSS EXPECT token]",
     "Follow the node with this replication address, a leader or a follower. A leader turns only "
     "to a "
     "later leader, and is answered when it follows. A follower is answered when it goes to ask: "
     "REPL.STATUS says under link whether it was accepted."},
    {"TOPOLOGY", NULL, 1, NODE, handle_topology, "Node", "",
     "The members of the cluster, the same list on every node, and its version."},
    {"REPLICAOF", NULL, 3, NODE | ALONE, handle_replicaof, "Node", "host port | NO ONE",
     "The same as FOLLOW host:port, or as PROMOTE; the port is the replication port."},
    {"SLAVEOF", NULL, 3, NODE | ALONE, handle_replicaof, "Node", "host port | NO ONE",
     "The older name of REPLICAOF."},
    {"BGSAVE", NULL, -1, NODE | ALONE, handle_checkpoint, "Node", "", "The same as CHECKPOINT."},
    {"LASTSAVE", NULL, 1, NODE, handle_lastsave, "Node", "",
     "When the newest checkpoint was written, in seconds since 1970; 0 if never."},
    {"DBSIZE", NULL, 1, NODE, handle_dbsize, "Node", "",
     "How many items there are, without the deleted ones."},
    {"INFO", NULL, -1, COMMAND_ADMIN, handle_info, "Node", "[section ...]",
     "Facts about the node in the form that Redis has."},
    {"SHUTDOWN", NULL, -1, COMMAND_ADMIN | COMMAND_NOT_IN_MULTI, handle_shutdown, "Node",
     "[NOSAVE|SAVE]", "Stop the server cleanly; nothing acknowledged is lost either way."},
    {"CONFIG", "GET", -3, COMMAND_ADMIN, handle_config_get, "Node", "pattern [pattern ...]",
     "Settings whose names match."},
    {"CONFIG", "SET", -4, NODE | COMMAND_NOT_IN_MULTI, handle_config_set, "Node",
     "name value [name value ...]",
     "Change settings while the node runs, all of them or none; those that cannot are refused by "
     "name."},
    {"SLOWLOG", "GET", -2, COMMAND_ADMIN, handle_empty_array, "Node", "[count]",
     "Always empty: no slow log is kept; see tidemark_command_seconds."},
    {"SLOWLOG", "LEN", 2, COMMAND_ADMIN, handle_zero, "Node", "", "Always 0."},
    {"SLOWLOG", "RESET", 2, COMMAND_ADMIN, handle_ok, "Node", "", "Does nothing."},
    {"LATENCY", "LATEST", 2, COMMAND_ADMIN, handle_empty_array, "Node", "",
     "Always empty: no latency events are kept; see tidemark_command_seconds."},
    {"LATENCY", "HISTORY", 3, COMMAND_ADMIN, handle_empty_array, "Node", "event", "Always empty."},
    {"LATENCY", "RESET", -2, COMMAND_ADMIN, handle_zero, "Node", "[event ...]",
     "Does nothing; answers 0."},
    {"MODULE", "LIST", 2, COMMAND_ADMIN, handle_empty_array, "Node", "",
     "Always empty: there are no modules."},
    {"MONITOR", NULL, 1, COMMAND_ADMIN | COMMAND_NOT_IN_MULTI, handle_monitor, "Node", "",
     "Show every command that other clients send, until the connection ends."},
    /* the connection */
    {"PING", NULL, -1, SIMPLE, handle_ping, "Connection", "[text]", "PONG, or the text."},
    {"ECHO", NULL, 2, SIMPLE, handle_echo, "Connection", "text", "The text."},
    {"HELLO", NULL, -1, COMMAND_NOT_IN_MULTI, handle_hello, "Connection",
     "[2|3 [AUTH user password] [SETNAME name]]", "Choose the protocol; answers with facts."},
    {"AUTH", NULL, -2, SIMPLE, handle_auth, "Connection", "[user] password",
     "No password is set in this version."},
    {"ACL", "WHOAMI", 2, SIMPLE, handle_acl_whoami, "Connection", "", "Always default."},
    {"SELECT", NULL, 2, SIMPLE, handle_select, "Connection", "0", "There is one database: 0."},
    {"READONLY", NULL, 1, SIMPLE, handle_readonly, "Connection", "",
     "Accepted: every node serves reads."},
    {"READWRITE", NULL, 1, SIMPLE, handle_readonly, "Connection", "",
     "Accepted: a follower still refuses writes."},
    {"RESET", NULL, 1, COMMAND_AT_ONCE, handle_reset, "Connection", "",
     "Back to RESP2, no name, no MULTI, no MONITOR."},
    {"QUIT", NULL, 1, COMMAND_AT_ONCE, handle_quit, "Connection", "",
     "Answer what was asked, then close."},
    {"CLIENT", "ID", 2, SIMPLE, handle_client_id, "Connection", "", "Number of the connection."},
    {"CLIENT", "GETNAME", 2, SIMPLE, handle_client_getname, "Connection", "",
     "Name of the connection."},
    {"CLIENT", "SETNAME", 3, SIMPLE, handle_client_setname, "Connection", "name",
     "Name the connection."},
    {"CLIENT", "SETINFO", 4, SIMPLE, handle_client_setinfo, "Connection",
     "LIB-NAME name | LIB-VER version", "Say which library the client uses."},
    {"CLIENT", "LIST", -2, COMMAND_ADMIN, handle_client_list, "Connection", "",
     "One line for each connection."},
    {"CLIENT", "INFO", 2, SIMPLE, handle_client_info, "Connection", "",
     "The line of this connection."},
    {"CLIENT", "KILL", -3, COMMAND_ADMIN, handle_client_kill, "Connection", "address | ID id",
     "Close a connection."},
    {"CLIENT", "REPLY", 3, SIMPLE, handle_client_reply, "Connection", "ON",
     "Only ON: a write whose outcome is not told is refused."},
    {"CLIENT", "NO-EVICT", 3, SIMPLE, handle_client_no_op, "Connection", "ON|OFF",
     "Accepted: nothing is evicted."},
    {"CLIENT", "NO-TOUCH", 3, SIMPLE, handle_client_no_op, "Connection", "ON|OFF",
     "Accepted: reads change nothing."},
    {"COMMAND", NULL, 1, SIMPLE, handle_command, "Connection", "",
     "All commands in the form that Redis has."},
    {"COMMAND", "COUNT", 2, SIMPLE, handle_command_count, "Connection", "",
     "How many commands there are."},
    {"COMMAND", "LIST", 2, SIMPLE, handle_command_list, "Connection", "", "Their names."},
    {"COMMAND", "INFO", -2, SIMPLE, handle_command_info, "Connection", "[name ...]",
     "The named commands in the form that Redis has."},
    {"COMMAND", "DOCS", -2, SIMPLE, handle_command_docs, "Connection", "[name ...]",
     "Summaries for interactive clients."},
    {"HELP", NULL, -1, SIMPLE, handle_help, "Connection", "[command]",
     "Syntax and summary of one command or of all."},
};

static_assert(COUNT_OF(table) < STATS_COMMANDS_MAX, "every row has its counters");

/* --- lookup --- */

/* A name of up to 16 bytes as two numbers: its first and its last eight bytes, which overlap when
 * it is shorter than 16, or the same with four bytes, or with one. */
struct name_key {
    uint64_t head;
    uint64_t tail;
    size_t size;
};

enum { NAME_SIZE_MAX = 16, BUCKETS = 256 }; /* power of two, well above the number of names */

/* The first row of a name, and which bits of its key are case. */
struct bucket {
    struct name_key key; /* size 0: empty */
    uint64_t head_case;
    uint64_t tail_case;
    const struct command *first;
};

static struct bucket buckets[BUCKETS];
static char label_texts[COUNT_OF(table)][40];
static const char *labels[COUNT_OF(table) + 1];

static inline struct name_key key_of(struct slice name)
{
    struct name_key key = {.size = name.size};
    if (name.size >= 8) {
        key.head = load_u64(name.data);
        key.tail = load_u64(name.data + name.size - 8);
    } else if (name.size >= 4) {
        key.head = load_u32(name.data);
        key.tail = load_u32(name.data + name.size - 4);
    } else if (name.size > 0) {
        key.head = (uint64_t)name.data[0] | (uint64_t)name.data[name.size / 2] << 8;
        key.tail = name.data[name.size - 1];
    }
    return key;
}

/* Upper and lower case have the same: letters differ in the one bit that is always set here. */
static inline uint32_t hash_key(const struct name_key *key)
{
    static const uint64_t case_bits = 0x2020202020202020u;
    uint64_t mixed = (key->head | case_bits) * 0x9e3779b97f4a7c15u;
    mixed ^= (key->tail | case_bits) + key->size;
    mixed *= 0xbf58476d1ce4e5b9u;
    return (uint32_t)(mixed >> 56) % BUCKETS;
}

/* The case bit of every letter in eight bytes. */
static uint64_t case_bits_of(uint64_t bytes)
{
    uint64_t bits = 0;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        uint64_t c = bytes >> shift & 0xff;
        if (c >= 'A' && c <= 'Z') bits |= UINT64_C(0x20) << shift;
    }
    return bits;
}

static void add_name(const struct command *first)
{
    struct name_key key = key_of(slice_of_text(first->name));
    ASSERT(key.size > 0 && key.size <= NAME_SIZE_MAX);
    uint32_t b = hash_key(&key);
    while (buckets[b].key.size != 0) {
        b = (b + 1) % BUCKETS;
    }
    buckets[b] = (struct bucket){
        .key = key,
        .head_case = case_bits_of(key.head),
        .tail_case = case_bits_of(key.tail),
        .first = first,
    };
}

/* The first row of this name; NULL: none. Equal but for the case of letters. */
static const struct command *find_name(struct slice name)
{
    struct name_key key = key_of(name);
    uint32_t b = hash_key(&key);
    for (; buckets[b].key.size != 0; b = (b + 1) % BUCKETS) {
        const struct bucket *bucket = &buckets[b];
        uint64_t differs = (key.head ^ bucket->key.head) & ~bucket->head_case;
        differs |= (key.tail ^ bucket->key.tail) & ~bucket->tail_case;
        if (differs == 0 && key.size == bucket->key.size) return bucket->first;
    }
    return NULL;
}

static void fill_label(size_t row)
{
    struct text t = text_of(label_texts[row], sizeof(label_texts[row]));
    text_add(&t, "%s%s%s", table[row].name, table[row].sub != NULL ? "|" : "",
             table[row].sub != NULL ? table[row].sub : "");
    for (char *c = label_texts[row]; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
    }
    labels[row] = label_texts[row];
}

void commands_init(void)
{
    static_assert(COUNT_OF(table) < BUCKETS / 2, "the lookup has free places");
    memset(buckets, 0, sizeof(buckets));
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        fill_label(i);
        bool is_first = i == 0 || strcmp(table[i].name, table[i - 1].name) != 0;
        if (is_first) add_name(&table[i]);
    }
    labels[COUNT_OF(table)] = "unknown";
}

const struct command *commands_table(size_t *count)
{
    *count = COUNT_OF(table);
    return table;
}

size_t commands_row(const struct command *c)
{
    return (size_t)(c - table);
}

size_t commands_unknown_row(void)
{
    return COUNT_OF(table);
}

const char *const *commands_labels(void)
{
    return labels;
}

static bool has_name(const struct command *c, const char *name)
{
    return strcmp(c->name, name) == 0;
}

/* Among the rows of one name: the one with this second word, else the one without any. */
static const struct command *find_sub(const struct command *first, const struct slice *words,
                                      size_t count)
{
    const struct command *end = table + COUNT_OF(table);
    const struct command *plain = NULL;
    for (const struct command *c = first; c < end && has_name(c, first->name); c++) {
        if (c->sub == NULL) {
            plain = c;
        } else if (count > 1 && text_equal_nocase(words[1], c->sub)) {
            return c;
        }
    }
    return plain;
}

const struct command *commands_find(const struct slice *words, size_t count)
{
    const struct command *first = find_name(words[0]);
    if (first == NULL) return NULL;
    bool is_single =
        first->sub == NULL && (first + 1 == table + COUNT_OF(table) || first[1].sub == NULL);
    return is_single ? first : find_sub(first, words, count);
}

/* --- carrying out --- */

bool commands_is_alone(const struct conn *c, const struct command *command)
{
    return command != NULL && (command->flags & COMMAND_ALONE) != 0 && !c->multi.is_open;
}

/* Names that belong to the interface and not to this version: whoever knows them from the docs of a
 * later one is told so, instead of being sent to a command with a similar name. */
static bool is_of_later_version(struct slice name)
{
    static const char *const later[] = {
        "ITEM.EMBED", "USER.EMBED",    "CREATOR.EMBED",  "REL.ADD",       "REL.DEL",
        "REL.LIST",   "SESSION.OPEN",  "SESSION.INFO",   "SESSION.CLOSE", "SEARCH",
        "SIMILAR",    "SCHEMA.VECTOR", "SCHEMA.PROFILE", "TAIL",          "SLOT.DROP",
        "PLAN",       "PROMOTE",       "HANDOVER",       "TOPOLOGY",
    };
    for (size_t i = 0; i < COUNT_OF(later); i++) {
        if (text_equal_nocase(name, later[i])) return true;
    }
    return false;
}

static void fail_unknown(struct call *call)
{
    char shown[SHOWN_SIZE];
    const struct command *first = find_name(call->words[0]);
    const char *names[COUNT_OF(table)];
    size_t count = 0;
    if (first != NULL) { /* the name is known, its second word is not */
        for (size_t i = commands_row(first); i < COUNT_OF(table); i++) {
            if (has_name(&table[i], first->name)) names[count++] = table[i].sub;
        }
        if (call->count == 1) {
            call_fail(call, TIDE_INVALID, "%s needs a second word; HELP %s lists them", first->name,
                      first->name);
            return;
        }
        struct slice sub = call->words[1];
        const char *nearest = nearest_word(sub, names, count);
        call_fail(call, TIDE_INVALID, "unknown subcommand '%s' of %s; %s %s%s",
                  call_show(shown, sub), first->name, nearest != NULL ? "did you mean" : "HELP",
                  nearest != NULL ? nearest : first->name, nearest != NULL ? "?" : " lists them");
        return;
    }
    if (is_of_later_version(call->words[0])) {
        call_fail(call, TIDE_UNSUPPORTED, "%s is not in this version",
                  call_show(shown, call->words[0]));
        return;
    }
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        names[count++] = table[i].name;
    }
    const char *nearest = nearest_word(call->words[0], names, count);
    call_fail(call, TIDE_INVALID, "unknown command '%s'%s%s%s", call_show(shown, call->words[0]),
              nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
              nearest != NULL ? "?" : "; HELP lists all");
}

static bool fail_arity(struct call *call)
{
    const struct command *c = call->command;
    int64_t count = (int64_t)call->count;
    if (c->arity >= 0 ? count == c->arity : count >= -c->arity) return false;
    call_fail(call, TIDE_INVALID, "wrong number of arguments for '%s': %s%s%s%s%s", c->name,
              c->name, c->sub != NULL ? " " : "", c->sub != NULL ? c->sub : "",
              c->syntax[0] != '\0' ? " " : "", c->syntax);
    return true;
}

/* Judge a command and copy it behind the others of its MULTI. */
static void queue(struct call *call)
{
    struct multi *multi = &call->conn->multi;
    uint32_t flags = call->command->flags;
    if ((flags & COMMAND_NOT_IN_MULTI) != 0) {
        call_fail(call, TIDE_INVALID, "%s is not allowed inside MULTI", call->command->name);
        return;
    }
    if ((flags & COMMAND_DATABASE) != 0) {
        call->is_dry = true;
        call->command->run(call);
        if (call->is_failed) return;
    }
    struct queued *q = arena_get(&multi->arena, sizeof(*q));
    bool fits = q != NULL && multi->count < MULTI_COMMANDS_MAX &&
                multi->cost + call->cost <= MULTI_COST_MAX && multi->arena.size < MULTI_SIZE_MAX;
    if (fits) q->words = arena_get(&multi->arena, call->count * sizeof(*q->words));
    fits = fits && q->words != NULL;
    for (size_t i = 0; fits && i < call->count; i++) {
        fits = arena_copy(&multi->arena, call->words[i], &q->words[i]);
    }
    if (!fits) {
        call_fail(call, TIDE_LIMIT, "MULTI holds at most %d commands, %d of cost, %zu bytes",
                  MULTI_COMMANDS_MAX, MULTI_COST_MAX, MULTI_SIZE_MAX);
        return;
    }
    q->command = call->command;
    q->word_count = call->count;
    *(multi->last != NULL ? &multi->last->next : &multi->first) = q;
    multi->last = q;
    multi->count++;
    multi->write_count += (flags & COMMAND_WRITE) != 0;
    multi->cost += call->cost;
    out_simple(call_out(call), "QUEUED");
}

static void carry_out(struct call *call)
{
    struct conn *c = call->conn;
    const struct command *command = call->command;
    if (command == NULL) {
        fail_unknown(call);
    } else if (fail_arity(call)) {
        /* answered */
    } else if ((command->flags & COMMAND_DATABASE) != 0 &&
               atomic_load_explicit(&call->service->database, memory_order_relaxed) == NULL) {
        call_fail(call, TIDE_LOADING, "the database is being opened or closed; try again");
    } else if (c->multi.is_open && (command->flags & COMMAND_AT_ONCE) == 0) {
        queue(call);
    } else {
        command->run(call);
        call->turn->cost += call->cost;
    }
    if (call->is_failed && c->multi.is_open) c->multi.is_aborted = true;
}

/* The slot's reply is what was written to the ready bytes since start, unless the command arranged
 * it otherwise. */
static inline void close_slot(const struct call *call, size_t start)
{
    struct slot *slot = call_slot(call);
    if (slot->render != NULL || slot->size != 0) return;
    slot->offset = (uint32_t)start;
    slot->size = (uint32_t)(call_out(call)->size - start);
}

void commands_dispatch(struct conn *c, struct turn *turn, const struct command *command,
                       const struct slice *words, size_t count)
{
    int64_t index = turn_add_slot(turn);
    if (index < 0) {
        turn->ready.is_failed = true; /* closes the connection: no reply can be promised */
        return;
    }
    struct call call = {
        .service = c->service,
        .conn = c,
        .turn = turn,
        .slot = (size_t)index,
        .command = command,
        .words = words,
        .count = count,
        .cost = 1,
    };
    if (c->service->monitor_count > 0) conn_feed_monitors(c, words, count);
    c->command_count++;
    if (command != NULL) c->last_command = command;
    size_t start = turn->ready.size;
    struct slot *slot = &turn->slots[index];
    slot->command = (uint16_t)(command != NULL ? commands_row(command) : COUNT_OF(table));
    slot->proto = (uint8_t)c->proto;
    carry_out(&call);
    close_slot(&call, start);
    if (commands_is_alone(c, command)) turn->is_alone = true;
}

void commands_run_queued(struct turn *turn, size_t slot, const struct command *command,
                         const struct slice *words, size_t count)
{
    struct call call = {
        .service = turn->service,
        .conn = turn->conn,
        .turn = turn,
        .slot = slot,
        .command = command,
        .words = words,
        .count = count,
        .cost = 1,
    };
    size_t start = turn->ready.size;
    call_slot(&call)->command = (uint16_t)commands_row(command);
    call_slot(&call)->proto = (uint8_t)turn->conn->proto;
    command->run(&call);
    close_slot(&call, start);
}

/* --- for the functions behind the rows --- */

enum proto call_proto(const struct call *call)
{
    return call->conn->proto;
}

void call_answer(struct call *call, int32_t op, slot_render render)
{
    if (op < 0) call->turn->is_short_of_memory = true;
    struct slot *slot = call_slot(call);
    slot->op = op;
    slot->render = render;
    call->turn->op_count++;
}

PRINTF_LIKE(4, 0)
static void fail(struct call *call, const char *word, enum tide_code code, const char *format,
                 va_list args)
{
    char message[512];
    (void)vsnprintf(message, sizeof(message), format, args);
    out_error(call_out(call), word, message);
    call_slot(call)->code = (uint8_t)code;
    call->is_failed = true;
}

void call_fail(struct call *call, enum tide_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(call, tide_code_word(code), code, format, args);
    va_end(args);
}

void call_fail_word(struct call *call, const char *word, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(call, word, TIDE_INVALID, format, args);
    va_end(args);
}

const char *call_show(char room[SHOWN_SIZE], struct slice word)
{
    struct text t = text_of(room, SHOWN_SIZE);
    text_add_escaped(&t, word, 64);
    return room;
}

bool call_u64(struct call *call, size_t word, const char *what, uint64_t max, uint64_t *out)
{
    char shown[SHOWN_SIZE];
    uint64_t v = 0;
    if (!parse_u64(call->words[word], &v)) {
        call_fail(call, TIDE_INVALID, "%s '%s' is not a whole number", what,
                  call_show(shown, call->words[word]));
        return false;
    }
    if (v > max) {
        call_fail(call, TIDE_LIMIT, "%s %llu is above %llu", what, (unsigned long long)v,
                  (unsigned long long)max);
        return false;
    }
    *out = v;
    return true;
}
