/* Three voters, their logs, promotions by majority, truncation by order: what may be acknowledged
 * at `majority`, and what may be cut. Each record is the number of the epoch that wrote it; equal
 * numbers up to a place stand for an equal chain.
 *
 * The rules, each of which a mutant leaves out (tests/models/run.sh):
 *   START_RULE   a copy counts only once it holds the start record of the counting leader's epoch
 *                (the figure 8 of Raft's paper)
 *   FENCE        who answers an inquiry has noted the new epoch durably, and takes nothing of an
 *                older one afterwards
 *   EPOCH_RANK   the candidate is not behind by (epoch of its last record, number), not by number
 *                alone
 *   PROVED_ACK   a follower acknowledges what was proved equal to this leader's log, not its own end
 *   ORDER_EPOCH  an order of an older epoch than the newest one noted is not obeyed
 *   NONCE        an order is obeyed once, in the session that asked for it
 *
 * Nothing acknowledged is ever another record at a later leader (asserted at each promotion and each
 * acknowledgement), so two leaders never acknowledge two records in one place.
 */
#define N 3 /* nodes */
#ifndef L
#define L 4 /* records of a log */
#endif
#ifndef E
#define E 3 /* epochs */
#endif
#ifndef S
#define S 3 /* sessions of a follower */
#endif

#ifdef NO_EPOCH_RANK
#define IS_BEST (size[c] >= size[q])
#else
#define IS_BEST (ec > eq || (ec == eq && size[c] >= size[q]))
#endif
#ifdef NO_FENCE
#define FENCES false
#else
#define FENCES true
#endif
#ifdef NO_ORDER_EPOCH
#define IS_OF_NOW(f) true
#else
#define IS_OF_NOW(f) (order_epoch[f] == seen[f])
#endif
#ifdef NO_NONCE
#define IS_FRESH(f) true
#else
#define IS_FRESH(f) (waits[f] && order_session[f] == session[f])
#endif
#ifdef NO_PROVED_ACK
#define ACKS_OWN_END true
#else
#define ACKS_OWN_END false
#endif
#ifdef NO_START_RULE
#define COUNTS(acks, leader) true
#else
#define COUNTS(acks, leader) (acks >= start[leads[leader]])
#endif

typedef log_of { byte at[L] };
typedef acks_of { byte to[N] };

log_of node[N];
byte size[N];
byte seen[N];       /* highest epoch noted, durably */
byte leads[N];      /* the epoch a node leads as it believes; 0: none */
byte start[E + 1];  /* place of each epoch's start record, from 1 */
byte epochs;        /* given out */
acks_of acked[N];   /* acked[leader].to[f]: records that f acknowledged to it in its epoch */
byte committed[L];  /* ghost: the record acknowledged at `majority` in this place; 0: none */

/* One order per follower is under way, or stays behind as a duplicate, for ever. */
byte session[N];    /* of the follower; an order names the one that it answers */
bool waits[N];      /* for the plan of its session */
byte order_session[N];
byte order_epoch[N];
byte order_size[N]; /* truncate to this many records */
bool is_ordered[N];

byte c, q, i, p; /* scratch */
bool is_best;

inline last_epoch(n, out) {
    if
    :: size[n] == 0 -> out = 0
    :: else -> out = node[n].at[size[n] - 1]
    fi
}

/* p: length of the common prefix of a and b */
inline common(a, b) {
    p = 0;
    do
    :: p < size[a] && p < size[b] && node[a].at[p] == node[b].at[p] -> p++
    :: else -> break
    od
}

inline any(n) {
    if
    :: n = 0
    :: n = 1
    :: n = 2
    fi
}

/* c asks q; with itself that is a majority. */
inline promote() {
    any(c); any(q);
    if
    :: c != q && epochs < E && size[c] < L ->
        byte ec, eq;
        last_epoch(c, ec); last_epoch(q, eq);
        is_best = IS_BEST;
        if
        :: is_best && seen[c] <= epochs ->
            epochs++;
            seen[c] = epochs;
            if
            :: FENCES -> seen[q] = epochs; leads[q] = 0
            :: else
            fi;
            i = 0;
            do
            :: i < L && committed[i] != 0 ->
                assert(size[c] > i && node[c].at[i] == committed[i]);
                i++
            :: else -> break
            od;
            leads[c] = epochs;
            node[c].at[size[c]] = epochs;
            size[c]++;
            start[epochs] = size[c];
            acked[c].to[0] = 0; acked[c].to[1] = 0; acked[c].to[2] = 0
        :: else
        fi;
        ec = 0; eq = 0
    :: else
    fi
}

inline append() {
    any(c);
    if
    :: leads[c] != 0 && size[c] < L -> node[c].at[size[c]] = leads[c]; size[c]++
    :: else
    fi
}

/* Follower q begins a session with c, who answers: continue, or truncate by an order that travels.
 * A node that is told of a newer epoch leads no more. */
inline greet() {
    any(c); any(q);
    if
    :: c != q && leads[c] != 0 && seen[q] <= leads[c] && session[q] < S ->
        seen[q] = leads[c];
        leads[q] = 0;
        session[q]++;
        waits[q] = false;
        common(c, q);
        if
        :: size[q] > p ->
            waits[q] = true;
            is_ordered[q] = true;
            order_session[q] = session[q];
            order_epoch[q] = leads[c];
            order_size[q] = p;
            if
            :: ACKS_OWN_END -> acked[c].to[q] = size[q]
            :: else
            fi
        :: else -> acked[c].to[q] = p
        fi
    :: else
    fi
}

/* The order arrives, perhaps late, perhaps again. */
inline obey() {
    any(q);
    if
    :: is_ordered[q] && order_size[q] < size[q] && IS_FRESH(q) && IS_OF_NOW(q) ->
        do
        :: size[q] > order_size[q] -> size[q]--; node[q].at[size[q]] = 0
        :: else -> break
        od;
        waits[q] = false
    :: else
    fi
}

/* One record from c to q, verified by its chain, stored, acknowledged. */
inline ship() {
    any(c); any(q);
    if
    :: c != q && leads[c] != 0 && seen[q] == leads[c] && leads[q] == 0 && !waits[q] ->
        common(c, q);
        if
        :: p == size[q] && p < size[c] ->
            node[q].at[p] = node[c].at[p];
            size[q]++;
            acked[c].to[q] = size[q]
        :: else
        fi
    :: else
    fi
}

/* Leader c tells a client that its records up to a place are stored by a majority. */
inline acknowledge() {
    any(c); any(q);
    if
    :: c != q && leads[c] != 0 && acked[c].to[q] <= size[c] && COUNTS(acked[c].to[q], c) ->
        i = 0;
        do
        :: i < acked[c].to[q] ->
            assert(committed[i] == 0 || committed[i] == node[c].at[i]);
            committed[i] = node[c].at[i];
            i++
        :: else -> break
        od
    :: else
    fi
}

init {
    do
    :: atomic { promote(); c = 0; q = 0; i = 0; p = 0; is_best = false }
    :: atomic { append(); c = 0; q = 0; i = 0; p = 0 }
    :: atomic { greet(); c = 0; q = 0; i = 0; p = 0 }
    :: atomic { obey(); c = 0; q = 0; i = 0; p = 0 }
    :: atomic { ship(); c = 0; q = 0; i = 0; p = 0 }
    :: atomic { acknowledge(); c = 0; q = 0; i = 0; p = 0 }
    od
}
