/* commands: what each command answers and what it asks of the database, over the fake one. Rows are
 * sent as inline requests; replies are compared byte by byte. */
#include "support/tm_test.h"

#include "base/types.h"
#include "server/commands.h"
#include "support/fake/client.h"

#include <math.h>

static struct client client;

static int set_up(void **state)
{
    (void)state;
    (void)client_service();
    client_open(&client);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    client_close(&client);
    client_service_end();
    return 0;
}

struct row {
    const char *say;
    const char *reply;
    const char *asked; /* NULL: not compared */
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        print_message("> %s", rows[i].say);
        (void)fake_asked();
        assert_string_equal(client_ask(&client, rows[i].say), rows[i].reply);
        if (rows[i].asked != NULL) assert_string_equal(fake_asked(), rows[i].asked);
    }
}

#define CHECK(rows) check(rows, COUNT_OF(rows))

static void signal_logs_one_signal(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"SIGNAL view a\r\n", "$12\r\n1-1-9f3a21bc\r\n", "run\nsignal view a\n"},
        {"signal view a w 2.5 USER u1 at 1700000000000\r\n", "$12\r\n1-2-9f3a21bc\r\n",
         "run\nsignal view a w=2.5 at=1700000000000 user=u1\n"},
        {"SIGNAL view a KEY k PRODUCER p 7\r\n", "$12\r\n1-3-9f3a21bc\r\n",
         "run\nsignal view a key=k producer=p n=7\n"},
        {"SIGNAL view a LEVEL local\r\n", "$12\r\n1-4-9f3a21bc\r\n",
         "run\nsignal view a level=local\n"},
        {"SIGNAL view a WITHLEVEL\r\n", "*2\r\n$12\r\n1-5-9f3a21bc\r\n$5\r\nlocal\r\n",
         "run\nsignal view a\n"},
        {"SIGNAL view a W -0.5\r\n", "$12\r\n1-6-9f3a21bc\r\n", "run\nsignal view a w=-0.5\n"},
        {"SIGNAL view a W 9007199254740992\r\n", "$12\r\n1-7-9f3a21bc\r\n", NULL},
        {"SIGNAL like a\r\n", "-SCHEMA unknown signal type; declare it with SCHEMA.SIGNAL\r\n",
         NULL},
    };
    CHECK(rows);
}

/* Nothing of these reaches the database. */
static void bad_words_are_named(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"SIGNAL view\r\n",
         "-ERR wrong number of arguments for 'SIGNAL': SIGNAL type item [W w] [AT ms] [USER u] "
         "[KEY bytes] [PRODUCER id n] [LEVEL l] [DEADLINE ms] [ONMISS m] [WITHLEVEL]\r\n",
         ""},
        {"SIGNAL view a W\r\n", "-ERR option W needs a value\r\n", ""},
        {"SIGNAL view a W x\r\n", "-ERR weight 'x' is not a number\r\n", ""},
        {"SIGNAL view a W nan\r\n", "-LIMIT weight nan is outside of -2^53 .. 2^53\r\n", ""},
        {"SIGNAL view a W -Inf\r\n", "-LIMIT weight -Inf is outside of -2^53 .. 2^53\r\n", ""},
        {"SIGNAL view a W 1e400\r\n", "-LIMIT weight 1e400 is outside of -2^53 .. 2^53\r\n", ""},
        {"SIGNAL view a W 1e\r\n", "-ERR weight '1e' is not a number\r\n", ""},
        {"SIGNAL view a W 9007199254740994\r\n",
         "-LIMIT weight 9007199254740994 is outside of -2^53 .. 2^53\r\n", ""},
        {"SIGNAL view a W 1 W 2\r\n", "-ERR option W is given twice\r\n", ""},
        {"SIGNAL view a WEIGHT 1\r\n", "-ERR SIGNAL has no option 'WEIGHT'\r\n", ""},
        {"SIGNAL view a USR u\r\n", "-ERR SIGNAL has no option 'USR'; did you mean USER?\r\n", ""},
        {"SIGNAL view a LIMIT 3\r\n", "-ERR SIGNAL has no option 'LIMIT'\r\n", ""},
        {"SIGNAL view a AT 1700000000\r\n",
         "-ERR AT 1700000000 looks like seconds: give milliseconds since 1970\r\n", ""},
        {"SIGNAL view a AT 0\r\n", "-ERR AT 0 looks like seconds: give milliseconds since 1970\r\n",
         ""},
        {"SIGNAL view a AT -5\r\n", "-ERR AT -5 is before 1970: give milliseconds since 1970\r\n",
         ""},
        {"SIGNAL view a AT 1700000000000000\r\n",
         "-ERR AT 1700000000000000 looks like microseconds: give milliseconds since 1970\r\n", ""},
        {"SIGNAL view a AT 1700000000000000000\r\n",
         "-ERR AT 1700000000000000000 looks like nanoseconds: give milliseconds since 1970\r\n",
         ""},
        {"SIGNAL view a AT now\r\n", "-ERR AT 'now' is not a whole number of milliseconds\r\n", ""},
        {"SIGNAL view a USER \"\"\r\n", "-LIMIT USER is empty\r\n", ""},
        {"SIGNAL view a KEY \"\"\r\n", "-LIMIT KEY is empty\r\n", ""},
        {"SIGNAL view a PRODUCER p x\r\n", "-ERR PRODUCER number 'x' is not a whole number\r\n",
         ""},
        {"SIGNAL view a PRODUCER p\r\n", "-ERR option PRODUCER needs two values\r\n", ""},
        {"SIGNAL view a PRODUCER \"\" 1\r\n",
         "-LIMIT PRODUCER id of 0 bytes: 1 to 255 are allowed\r\n", ""},
        {"SIGNALS 0 view a 1\r\n",
         "-ERR SIGNALS 0 is followed by 3 words: give 3 for each signal\r\n", ""},
        {"SIGNALS 2 view a 1\r\n",
         "-ERR SIGNALS 2 is followed by 3 words: give 3 for each signal\r\n", ""},
        {"SIGNALS 4294967295 view a 1\r\n",
         "-ERR SIGNALS 4294967295 is followed by 3 words: give 3 for each signal\r\n", ""},
        {"SIGNALS 1 view a x\r\n", "-ERR weight 'x' is not a number\r\n", ""},
        {"SIGNALS x view a 1\r\n", "-ERR SIGNALS count 'x' is not a whole number\r\n", ""},
        {"UNSIGNAL view a\r\n", "-ERR UNSIGNAL needs USER u: whose signal is undone\r\n", ""},
        {"RETRIEVE top LIMIT 0\r\n", "-LIMIT LIMIT 0 is outside of 1 .. 1000\r\n", ""},
        {"RETRIEVE top LIMIT 1001\r\n", "-LIMIT LIMIT 1001 is outside of 1 .. 1000\r\n", ""},
        {"RETRIEVE top EXCLUDE 2 a\r\n", "-ERR EXCLUDE 2 is followed by 1 words\r\n", ""},
        {"COUNT view a 2h\r\n", "-ERR unknown window '2h': 1h, 24h, 7d, 30d or all\r\n", ""},
        {"DIGEST FOO\r\n", "-ERR DIGEST takes nothing, or AT seqno\r\n", ""},
        {"DIGEST AT x\r\n", "-ERR DIGEST AT 'x' is not a whole number\r\n", ""},
        {"PLAN\r\n", "-ERR wrong number of arguments for 'PLAN': PLAN what [argument]\r\n", ""},
        {"PLAN prune a b\r\n", "-ERR PLAN takes a question and at most one word behind it\r\n", ""},
        {"PLAN lunch\r\n", "-ERR there is no such plan; known are: prune\r\n",
         "run\nplan lunch \n"},
        {"PLAN prune\r\n",
         "*12\r\n$4\r\nwhat\r\n$5\r\nprune\r\n$4\r\npath\r\n$4\r\nkeep\r\n$5\r\nbytes\r\n$-1\r\n"
         "$7\r\nseconds\r\n$-1\r\n$3\r\nwhy\r\n$32\r\nA follower may still ask for it.\r\n"
         "$5\r\nfacts\r\n*6\r\n$5\r\nfloor\r\n:7\r\n$6\r\nholder\r\n$5\r\nslots\r\n"
         "$18\r\nslot.f1.held_bytes\r\n:512\r\n",
         "run\nplan prune \n"},
        {"SLOT.DROP f9\r\n", "-NOTFOUND there is no such slot; SLOT.LIST shows all\r\n",
         "run\nslot drop f9\n"},
        {"SLOT.DROP f1\r\n", "+OK\r\n", "run\nslot drop f1\n"},
        {"SLOT.RENAME f1 g1\r\n", "+OK\r\n", "run\nslot rename f1 g1\n"},
        {"CLOCK FOO\r\n", "-ERR CLOCK takes nothing, or ACCEPT\r\n", ""},
        {"CLOCK ACCEPT\r\n", "-ERR no step of the clock is pending: leader time is following\r\n",
         "run\nclock accept\n"},
        {"WAIT x 0\r\n", "-ERR WAIT followers 'x' is not a whole number\r\n", ""},
        {"WAIT 1 99999999999\r\n", "-LIMIT WAIT timeout 99999999999 is above 4294967295\r\n", ""},
        {"SCHEMA.SIGNAL x HALFLIFE 7\r\n",
         "-ERR HALFLIFE '7' is not a duration such as 12h or 7d\r\n", ""},
        {"SCHEMA.SIGNAL x HALFLIFE 1h,2h,3h,4h\r\n",
         "-LIMIT HALFLIFE takes at most 3 durations\r\n", ""},
        {"SCHEMA.SIGNAL x WINDOWS 1h,2h\r\n",
         "-ERR unknown window '2h': 1h, 24h, 7d, 30d or all\r\n", ""},
        {"SCHEMA.SIGNAL x MODE often\r\n", "-ERR unknown MODE 'often': count, once or latest\r\n",
         ""},
        {"SCHEMA.FIELD year number\r\n",
         "-ERR unknown kind 'number' of a field: tag, num, time or text\r\n", ""},
        {"SCHEMA.SIGNAL x POLARITY 0\r\n", "-ERR unknown POLARITY '0': + or -\r\n", ""},
        {"FOO\r\n", "-ERR unknown command 'FOO'; HELP lists all\r\n", ""},
        {"SIGNALL a b\r\n", "-ERR unknown command 'SIGNALL'; did you mean SIGNAL?\r\n", ""},
        {"\"\\x00\\xff\"\r\n", "-ERR unknown command '\\x00\\xff'; HELP lists all\r\n", ""},
        {"CLIENT FOO\r\n", "-ERR unknown subcommand 'FOO' of CLIENT; HELP CLIENT lists them\r\n",
         ""},
        {"CLIENT GETNAM\r\n",
         "-ERR unknown subcommand 'GETNAM' of CLIENT; did you mean GETNAME?\r\n", ""},
        {"CLIENT\r\n", "-ERR CLIENT needs a second word; HELP CLIENT lists them\r\n", ""},
    };
    CHECK(rows);
}

static void what_is_not_built_is_refused_by_name(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"SIGNAL view a SESSION s 1\r\n", "-ERR option SESSION is not in this version\r\n", ""},
        {"RETRIEVE top WHERE \"\"\r\n", "-ERR WHERE is empty: leave it out for all items\r\n", ""},
        {"RETRIEVE top USER u\r\n", "-ERR option USER of RETRIEVE is not in this version\r\n", ""},
        {"RETRIEVE top SESSION s 1\r\n", "-ERR option SESSION is not in this version\r\n", ""},
        {"RETRIEVE top MAXPER f 1\r\n", "-ERR option MAXPER is not in this version\r\n", ""},
        {"RETRIEVE top MMR 0.5\r\n", "-ERR option MMR is not in this version\r\n", ""},
        {"RETRIEVE top EXPLORE 0.1\r\n", "-ERR option EXPLORE is not in this version\r\n", ""},
        {"RETRIEVE top SEED 1\r\n", "-ERR option SEED is not in this version\r\n", ""},
        {"ITEM.EMBED a\r\n", "-ERR ITEM.EMBED is not in this version\r\n", ""},
        {"session.open u\r\n", "-ERR session.open is not in this version\r\n", ""},
        {"WATCH a\r\n",
         "-ERR WATCH is refused: keys are not watched; MULTI makes one atomic record of its "
         "writes\r\n",
         ""},
        {"PROMOTE NOW\r\n", "-ERR PROMOTE has no option 'NOW'\r\n", ""},
        {"PROMOTE EXPECT\r\n", "-ERR EXPECT takes a token, as POSITION answers it\r\n", ""},
        {"HANDOVER a b\r\n", "-ERR HANDOVER takes the id of a follower, and perhaps TIMEOUT ms\r\n",
         ""},
        {"CONFIG SET maxmemory 1\r\n",
         "-ERR the settings of this server are fixed at the start\r\n", ""},
        {"CLIENT REPLY OFF\r\n",
         "-ERR CLIENT REPLY takes only ON: a write whose outcome is not told is refused\r\n", ""},
        {"SHUTDOWN ABORT\r\n", "-ERR SHUTDOWN has no option 'ABORT': NOSAVE or SAVE\r\n", ""},
        {"BGSAVE SCHEDULE\r\n", "-ERR BGSAVE has no option 'SCHEDULE'\r\n", ""},
    };
    CHECK(rows);
}

static enum code take_changes(const struct server_change *changes, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(changes[i].name, "mark_interval") == 0) continue;
        return ERR(e, E_INVALID, "%s = %s is refused", changes[i].name, changes[i].value);
    }
    return OK;
}

/* The server asks whoever knows the settings, then tells the database; all pairs or none. */
static void config_set_asks_and_tells_the_database(void **state)
{
    (void)state;
    struct server_options options = *client.conn.service->options;
    const struct server_options *old = client.conn.service->options;
    options.change = take_changes;
    options.database.mark_interval_ms = 7;
    client.conn.service->options = &options;
    static const struct row rows[] = {
        {"CONFIG SET mark_interval 7ms\r\n", "+OK\r\n", "run\nconfigure mark_interval_ms=7\n"},
        {"CONFIG SET mark_interval 7ms other x\r\n", "-ERR other = x is refused\r\n", ""},
        {"CONFIG SET save 1\r\n",
         "-ERR save is fixed: it is what Redis tools ask for, not a setting\r\n", ""},
        {"CONFIG SET a b c\r\n", "-ERR CONFIG SET takes up to 16 pairs of name and value\r\n", ""},
        {"CONFIG SET \"a\\x00b\" c\r\n", "-ERR CONFIG SET takes no zero bytes\r\n", ""},
    };
    CHECK(rows);
    client.conn.service->options = old;
}

static void signals_and_reads_answer(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"CLOCK\r\n",
         "*12\r\n$5\r\nstate\r\n$9\r\nfollowing\r\n$9\r\nleader_ms\r\n:1700000000000\r\n"
         "$7\r\nwall_ms\r\n:1700000000000\r\n$9\r\noffset_ms\r\n:0\r\n"
         "$12\r\nstep_pending\r\n:0\r\n$5\r\nsteps\r\n:0\r\n",
         "run\nclock\n"},
        {"SIGNALS 2 view a 1 skip b -2 KEY k\r\n", "$12\r\n1-1-9f3a21bc\r\n",
         "run\nsignals view a w=1 skip b w=-2 record_key=k\n"},
        {"SCORE view a\r\n", "$1\r\n1\r\n", "run\nscore view a at=0\n"},
        {"SCORE view a AT 1700000000000 READ latest\r\n", "$1\r\n1\r\n",
         "run\nscore view a at=1700000000000\n"},
        {"SCORE view nobody\r\n", "$1\r\n0\r\n", NULL},
        {"COUNT view a all\r\n", ":1\r\n", "run\ncount view a all\n"},
        {"COUNT view a ALL\r\n", ":1\r\n", "run\ncount view a all\n"},
        {"COUNT view a 24H\r\n", ":1\r\n", "run\ncount view a 24h\n"},
        {"RATE view a\r\n", "$1\r\n1\r\n", "run\nrate view a at=0\n"},
        {"TREND view a AT 1700000000000\r\n", "$1\r\n1\r\n",
         "run\ntrend view a at=1700000000000\n"},
        {"COUNT view nobody all\r\n", ":0\r\n", NULL},
        {"UNSIGNAL view a USER u\r\n", "-SCHEMA type counts every signal: nothing to undo\r\n",
         "run\nunsignal view a user=u\n"},
        {"UNSIGNAL view a USER u KEY k PRODUCER p 7\r\n",
         "-SCHEMA type counts every signal: nothing to undo\r\n",
         "run\nunsignal view a user=u record_key=k producer=p n=7\n"},
        {"RETRIEVE top LIMIT 1 NOW 1700000000000 EXCLUDE 2 x y\r\n",
         "*12\r\n$5\r\nitems\r\n*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n$6\r\ncursor\r\n$-1\r\n"
         "$8\r\nposition\r\n$12\r\n1-1-9f3a21bc\r\n$12\r\nstaleness_ms\r\n$1\r\n0\r\n"
         "$5\r\nexact\r\n:1\r\n$7\r\nprofile\r\n$3\r\ntop\r\n",
         "run\nretrieve top limit=1 now=1700000000000 excludes=2 first=x\n"},
        {"RETRIEVE top WHERE 'year > 1' LIMIT 1\r\n",
         "*12\r\n$5\r\nitems\r\n*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n$6\r\ncursor\r\n$-1\r\n"
         "$8\r\nposition\r\n$12\r\n1-1-9f3a21bc\r\n$12\r\nstaleness_ms\r\n$1\r\n0\r\n"
         "$5\r\nexact\r\n:1\r\n$7\r\nprofile\r\n$3\r\ntop\r\n",
         "run\nretrieve top limit=1 now=0 excludes=0 where=year > 1\n"},
        {"RETRIEVE decayed:view EXCLUDE 0\r\n",
         "*12\r\n$5\r\nitems\r\n*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\nb\r\n$2\r\n-2\r\n"
         "$6\r\ncursor\r\n$-1\r\n$8\r\nposition\r\n$12\r\n1-1-9f3a21bc\r\n"
         "$12\r\nstaleness_ms\r\n$1\r\n0\r\n$5\r\nexact\r\n:1\r\n$7\r\nprofile\r\n"
         "$12\r\ndecayed:view\r\n",
         "run\nretrieve decayed:view limit=0 now=0 excludes=0\n"},
        {"RETRIEVE top LIMIT 1 CURSOR abc EXPLAIN\r\n",
         "*12\r\n$5\r\nitems\r\n*1\r\n*3\r\n$1\r\na\r\n$1\r\n1\r\n*4\r\n$3\r\none\r\n$3\r\n0.5\r\n"
         "$3\r\ntwo\r\n$3\r\n0.5\r\n$6\r\ncursor\r\n$4\r\nnext\r\n$8\r\nposition\r\n"
         "$12\r\n1-1-9f3a21bc\r\n$12\r\nstaleness_ms\r\n$1\r\n0\r\n$5\r\nexact\r\n:1\r\n"
         "$7\r\nprofile\r\n$3\r\ntop\r\n",
         "run\nretrieve top limit=1 now=0 excludes=0 cursor=abc explain\n"},
        {"RETRIEVE top CURSOR \"\"\r\n",
         "-ERR CURSOR is empty: leave it out for the first page\r\n", ""},
        {"RETRIEVE nothing\r\n", "-SCHEMA unknown profile\r\n", NULL},
        {"SCHEMA.SIGNAL poke HALFLIFE 1h,7d WINDOWS 1h,all MODE once POLARITY -\r\n",
         "$12\r\n1-2-9f3a21bc\r\n",
         "run\nschema poke halflives=3600000,604800000 windows=17 mode=2 negative=1\n"},
        {"SCHEMA.SIGNAL poke\r\n", "$12\r\n1-3-9f3a21bc\r\n",
         "run\nschema poke halflives=0,0 windows=0 mode=0 negative=0\n"},
        {"SCHEMA.SHOW\r\n", "*2\r\n$15\r\nview count + 7d\r\n$15\r\nskip count - 7d\r\n", NULL},
        {"PRODUCER.GET p\r\n", ":0\r\n", "run\nproducer p\n"},
        {"PRODUCER.SKIP p 9\r\n", "$12\r\n1-4-9f3a21bc\r\n", "run\nskip p 9\n"},
        {"PRODUCER.GET p\r\n", ":9\r\n", NULL},
        {"POSITION\r\n", "$12\r\n1-4-9f3a21bc\r\n", "run\nposition\n"},
        {"DIGEST\r\n",
         "$66\r\n4:abababababababababababababababababababababababababababababababab\r\n",
         "run\ndigest 0\n"},
        {"DIGEST AT 3\r\n",
         "$66\r\n3:abababababababababababababababababababababababababababababababab\r\n",
         "run\ndigest 3\n"},
        {"CHECKPOINT\r\n", "$12\r\n1-4-9f3a21bc\r\n", "run\ncheckpoint\n"},
        {"BGSAVE\r\n", "$12\r\n1-4-9f3a21bc\r\n", "run\ncheckpoint\n"},
        {"LOG.SEAL\r\n", "$12\r\n1-4-9f3a21bc\r\n", "run\nseal\n"},
        {"PROMOTE\r\n", "$12\r\n1-4-9f3a21bc\r\n", "run\npromote expect=0\n"},
        {"PROMOTE force EXPECT 1-4-9f3a21bc\r\n", "$12\r\n1-4-9f3a21bc\r\n",
         "run\npromote expect=4 force\n"},
        {"HANDOVER n2 TIMEOUT 700\r\n", "$12\r\n1-4-9f3a21bc\r\n", "run\nhandover n2 700\n"},
        {"FOLLOW h:7402 ACCEPT-LOSS EXPECT 1-4-9f3a21bc\r\n", "+OK\r\n",
         "run\nfollow h:7402 expect=4 accept-loss\n"},
        {"REPLICAOF h 7402\r\n", "+OK\r\n", "run\nfollow h:7402 expect=0\n"},
        {"REPLICAOF NO ONE\r\n", "+OK\r\n", "run\npromote expect=0\n"},
        {"DBSIZE\r\n", ":2\r\n", "run\nitems\n"},
        {"LASTSAVE\r\n", ":0\r\n", "run\nstatus\n"},
        {"SCHEMA.FIELD topic tag KEY k\r\n", "-ERR SCHEMA.FIELD has no option 'KEY'\r\n", ""},
        {"SCHEMA.FIELD year NUM\r\n", "$12\r\n1-5-9f3a21bc\r\n", "run\nfield year 2\n"},
        {"SCHEMA.FIELD topic tag LEVEL local WITHLEVEL\r\n",
         "*2\r\n$12\r\n1-6-9f3a21bc\r\n$5\r\nlocal\r\n", "run\nfield topic 1 level=local\n"},
    };
    CHECK(rows);
}

static void resp3_has_its_own_types(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"HELLO 3\r\n",
         "%7\r\n$6\r\nserver\r\n$8\r\ntidemark\r\n$7\r\nversion\r\n$5\r\n0.1.0\r\n$5\r\nproto\r\n"
         ":3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
         "$7\r\nmodules\r\n*0\r\n",
         ""},
        {"SIGNAL view a W 0.25\r\n", "$12\r\n1-1-9f3a21bc\r\n", NULL},
        {"SCORE view a\r\n", ",0.25\r\n", NULL},
        {"COUNT view a all\r\n", ":1\r\n", NULL},
        {"CLIENT GETNAME\r\n", "_\r\n", NULL},
        {"RETRIEVE top\r\n",
         "%6\r\n$5\r\nitems\r\n*1\r\n*2\r\n$1\r\na\r\n,0.25\r\n$6\r\ncursor\r\n_\r\n"
         "$8\r\nposition\r\n$12\r\n1-1-9f3a21bc\r\n$12\r\nstaleness_ms\r\n,0\r\n"
         "$5\r\nexact\r\n#t\r\n$7\r\nprofile\r\n$3\r\ntop\r\n",
         NULL},
        {"CONFIG GET save\r\n", "%1\r\n$4\r\nsave\r\n$0\r\n\r\n", NULL},
        {"HELLO 4\r\n", "-NOPROTO unsupported protocol version: 2 and 3 are spoken\r\n", NULL},
        {"HELLO 2\r\n",
         "*14\r\n$6\r\nserver\r\n$8\r\ntidemark\r\n$7\r\nversion\r\n$5\r\n0.1.0\r\n$5\r\nproto\r\n"
         ":2\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
         "$7\r\nmodules\r\n*0\r\n",
         ""},
        {"SCORE view a\r\n", "$4\r\n0.25\r\n", NULL},
    };
    CHECK(rows);
}

static void the_connection_answers_as_redis_does(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"PING\r\n", "+PONG\r\n", ""},
        {"ping hello\r\n", "$5\r\nhello\r\n", ""},
        {"PING a b\r\n", "-ERR wrong number of arguments for 'PING': PING [text]\r\n", ""},
        {"ECHO \"\"\r\n", "$0\r\n\r\n", ""},
        {"SELECT 0\r\n", "+OK\r\n", ""},
        {"SELECT 1\r\n", "-ERR DB index is out of range: the only database is 0\r\n", ""},
        {"SELECT x\r\n", "-ERR SELECT takes a whole number: the only database is 0\r\n", ""},
        {"AUTH x\r\n",
         "-ERR AUTH <password> called without any password configured for the default user\r\n",
         ""},
        {"AUTH default x\r\n", "+OK\r\n", ""},
        {"AUTH eve x\r\n",
         "-WRONGPASS there is no user 'eve': only default, without a password\r\n", ""},
        {"ACL WHOAMI\r\n", "$7\r\ndefault\r\n", ""},
        {"CLIENT ID\r\n", ":1\r\n", ""},
        {"CLIENT GETNAME\r\n", "$-1\r\n", ""},
        {"CLIENT SETNAME worker-1\r\n", "+OK\r\n", ""},
        {"CLIENT GETNAME\r\n", "$8\r\nworker-1\r\n", ""},
        {"CLIENT SETNAME \"a b\"\r\n",
         "-ERR CLIENT SETNAME takes up to 64 printable characters without spaces\r\n", ""},
        {"client setinfo lib-name redis-py\r\n", "+OK\r\n", ""},
        {"CLIENT SETINFO LIB-VER 5.0\r\n", "+OK\r\n", ""},
        {"CLIENT SETINFO FOO x\r\n", "-ERR unknown attribute 'FOO': LIB-NAME or LIB-VER\r\n", ""},
        {"CLIENT NO-EVICT on\r\n", "+OK\r\n", ""},
        {"CLIENT NO-TOUCH maybe\r\n", "-ERR give ON or OFF\r\n", ""},
        {"CLIENT REPLY ON\r\n", "+OK\r\n", ""},
        {"CLIENT KILL ID 77\r\n", ":0\r\n", ""},
        {"CLIENT KILL 1.2.3.4:5\r\n", "-ERR No such client\r\n", ""},
        {"HELLO 2 AUTH default x SETNAME n\r\n", NULL, NULL},
        {"READONLY\r\n", "+OK\r\n", ""},
        {"READWRITE\r\n", "+OK\r\n", ""},
        {"SLOWLOG LEN\r\n", ":0\r\n", ""},
        {"SLOWLOG GET 128\r\n", "*0\r\n", ""},
        {"LATENCY LATEST\r\n", "*0\r\n", ""},
        {"MODULE LIST\r\n", "*0\r\n", ""},
        {"CONFIG GET save\r\n", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n", ""},
        {"CONFIG GET appendonly nothing\r\n", "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n", ""},
        {"CONFIG GET zzz*\r\n", "*0\r\n", ""},
        {"COMMAND INFO ping nothing client|id\r\n",
         "*3\r\n*10\r\n$4\r\nping\r\n:-1\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n*0\r\n$-1\r\n"
         "*10\r\n$9\r\nclient|id\r\n:2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n*0\r\n",
         ""},
        {"COMMAND DOCS echo\r\n",
         "*2\r\n$4\r\necho\r\n*8\r\n$7\r\nsummary\r\n$9\r\nThe text.\r\n$5\r\nsince\r\n"
         "$5\r\n0.1.0\r\n$5\r\ngroup\r\n$10\r\nConnection\r\n$6\r\nsyntax\r\n$4\r\ntext\r\n",
         ""},
        {"HELP echo\r\n", "*1\r\n+ECHO text: The text.\r\n", ""},
        {"HELP nothing\r\n", "-ERR there is no command 'nothing'; HELP lists all\r\n", ""},
        {"ROLE\r\n", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", "run\nstatus\n"},
        {"RESET\r\n", "+RESET\r\n", ""},
        {"CLIENT GETNAME\r\n", "$-1\r\n", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].reply != NULL) {
            check(&rows[i], 1);
        } else {
            assert_memory_equal(client_ask(&client, rows[i].say), "*14\r\n", 5);
        }
    }
}

static void hello_keeps_the_connection_as_it_was_when_it_fails(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"CLIENT SETNAME before\r\n", "+OK\r\n", ""},
        {"HELLO 3 SETNAME after FOO\r\n", "-ERR HELLO does not understand 'FOO'\r\n", ""},
        {"HELLO 3 AUTH eve x SETNAME after\r\n",
         "-WRONGPASS there is no user 'eve': only default, without a password\r\n", ""},
        {"HELLO x\r\n", "-NOPROTO unsupported protocol version: 2 and 3 are spoken\r\n", ""},
        {"CLIENT GETNAME\r\n", "$6\r\nbefore\r\n", ""},
        {"SCORE view a\r\n", "$1\r\n0\r\n", NULL},
    };
    CHECK(rows);
}

static void multi_makes_one_record_of_its_writes(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"MULTI\r\n", "+OK\r\n", ""},
        {"SIGNAL view a\r\n", "+QUEUED\r\n", ""},
        {"SCORE view a\r\n", "+QUEUED\r\n", ""},
        {"PING\r\n", "+QUEUED\r\n", ""},
        {"SIGNALS 1 view b 2 KEY k\r\n", "+QUEUED\r\n", ""},
        {"SIGNAL view a W 4 WITHLEVEL\r\n", "+QUEUED\r\n", ""},
        {"EXEC\r\n",
         "*5\r\n$12\r\n1-1-9f3a21bc\r\n$1\r\n5\r\n+PONG\r\n$12\r\n1-1-9f3a21bc\r\n"
         "*2\r\n$12\r\n1-1-9f3a21bc\r\n$5\r\nlocal\r\n",
         "run\nbegin\nsignal view a\nsignals view b w=2 record_key=k\nsignal view a w=4\nend\n"
         "score view a at=0\n"},
        {"EXEC\r\n", "-ERR EXEC without MULTI\r\n", ""},
        {"DISCARD\r\n", "-ERR DISCARD without MULTI\r\n", ""},
        {"MULTI\r\n", "+OK\r\n", ""},
        {"MULTI\r\n", "-ERR MULTI calls can not be nested\r\n", ""},
        {"DISCARD\r\n", "+OK\r\n", ""},
        {"MULTI\r\n", "+OK\r\n", ""},
        {"EXEC\r\n", "*0\r\n", ""},
        {"MULTI\r\n", "+OK\r\n", ""},
        {"SCORE view a\r\n", "+QUEUED\r\n", ""},
        {"EXEC\r\n", "*1\r\n$1\r\n5\r\n", "run\nscore view a at=0\n"},
    };
    CHECK(rows);
}

/* One refused command, and EXEC does nothing at all. */
static void multi_with_a_bad_command_does_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "SIGNAL view a W x\r\n", "SIGNAL view\r\n",          "FOO\r\n",
        "WAIT 1 1\r\n",          "SCHEMA.SIGNAL x\r\n",      "SIGNAL view a PRODUCER p 1\r\n",
        "WATCH a\r\n",           "SIGNALS 1 view a nan\r\n", "MULTI\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_string_equal(client_ask(&client, "MULTI\r\n"), "+OK\r\n");
        assert_string_equal(client_ask(&client, "SIGNAL view a\r\n"), "+QUEUED\r\n");
        assert_int_equal(client_ask(&client, bad[i])[0], '-');
        assert_string_equal(client_ask(&client, "EXEC\r\n"),
                            "-EXECABORT Transaction discarded because of previous errors; nothing "
                            "of it was done\r\n");
        assert_string_equal(fake_asked(), "");
    }
}

static void multi_fails_as_a_whole(void **state)
{
    (void)state;
    assert_string_equal(client_ask(&client, "MULTI\r\nSIGNAL view a\r\nSIGNAL poke b\r\nEXEC\r\n"),
                        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n"
                        "-SCHEMA an unknown signal type; nothing of the group was done\r\n"
                        "-SCHEMA an unknown signal type; nothing of the group was done\r\n");
    assert_string_equal(client_ask(&client, "SCORE view a\r\n"), "$1\r\n0\r\n");
}

static void multi_is_bounded(void **state)
{
    (void)state;
    assert_string_equal(client_ask(&client, "MULTI\r\n"), "+OK\r\n");
    for (int i = 0; i < MULTI_COMMANDS_MAX; i++) {
        assert_string_equal(client_ask(&client, "SIGNAL view a\r\n"), "+QUEUED\r\n");
    }
    assert_memory_equal(client_ask(&client, "SIGNAL view a\r\n"), "-LIMIT MULTI holds", 18);
    assert_memory_equal(client_ask(&client, "EXEC\r\n"), "-EXECABORT", 10);
}

static void errors_of_the_database_keep_their_word(void **state)
{
    (void)state;
    fake_fail_writes(TIDE_READONLY, "this node follows; write to 127.0.0.1:7400");
    assert_string_equal(client_ask(&client, "SIGNAL view a\r\nSCORE view a\r\n"),
                        "-READONLY this node follows; write to 127.0.0.1:7400\r\n$1\r\n0\r\n");
    fake_fail_writes(TIDE_OK, NULL);
    fake_refuse_submit(TIDE_BUSY, 1);
    assert_string_equal(
        client_ask(&client, "SIGNAL view a\r\nPING\r\n"),
        "-BUSY too many requests are in flight; nothing of it was done\r\n+PONG\r\n");
    fake_refuse_submit(TIDE_CLOSED, 1);
    assert_string_equal(client_ask(&client, "SCORE view a\r\n"),
                        "-ERR the database is closing\r\n");
    assert_string_equal(client_ask(&client, "SIGNAL view a\r\n"), "$12\r\n1-1-9f3a21bc\r\n");
}

static void commands_wait_for_the_database_to_open(void **state)
{
    (void)state;
    tide_db *database = atomic_exchange(&client.conn.service->database, NULL);
    assert_string_equal(client_ask(&client, "SIGNAL view a\r\nPING\r\n"),
                        "-LOADING the database is being opened or closed; try again\r\n+PONG\r\n");
    assert_non_null(strstr(client_ask(&client, "INFO\r\n"), "loading:1\r\n"));
    atomic_store(&client.conn.service->database, database);
    assert_non_null(strstr(client_ask(&client, "INFO\r\n"), "loading:0\r\n"));
}

static void wait_counts_followers(void **state)
{
    (void)state;
    fake_set_stored_by(2);
    static const struct row rows[] = {
        {"WAIT 2 0\r\n", ":2\r\n", "run\nwait 0 2 timeout\n"},
        {"SIGNAL view a\r\n", "$12\r\n1-1-9f3a21bc\r\n", NULL},
        {"WAIT 1 100\r\n", ":2\r\n", "run\nwait 1 1 timeout\n"},
        {"WAITAOF 1 1 100\r\n", "*2\r\n:1\r\n:2\r\n", "run\nwait 1 1 timeout\n"},
        {"WAITAOF 2 0 0\r\n", "-LIMIT WAITAOF local 2 is above 1\r\n", ""},
    };
    CHECK(rows);
}

/* WAIT starts a run of its own, so that the replies before it are not held back, and it knows the
 * position of the write before it. */
static void wait_follows_the_writes_before_it(void **state)
{
    (void)state;
    fake_set_stored_by(1);
    assert_string_equal(client_ask(&client, "SIGNAL view a\r\nWAIT 1 50\r\nPING\r\n"),
                        "$12\r\n1-1-9f3a21bc\r\n:1\r\n+PONG\r\n");
    assert_string_equal(fake_asked(), "run\nsignal view a\nrun\nwait 1 1 timeout\n");
}

static struct tide_follower_status follower = {
    .node_id = "f1",
    .address = "127.0.0.1:7500",
    .state = "streaming",
    .is_connected = true,
    .was_synced = true,
    .applied = 5,
    .stored = 6,
    .lag_records = 2,
    .lag_bytes = 200,
    .lag_seconds = 0.4,
};

static void followers_are_listed(void **state)
{
    (void)state;
    struct tide_follower_status lost = follower;
    lost.node_id = "f2";
    lost.is_connected = false;
    lost.was_synced = false;
    lost.lag_seconds = (double)INFINITY;
    lost.last_seen_ms_ago = 9000;
    struct tide_follower_status both[] = {follower, lost};
    fake_status()->role = TIDE_ROLE_LEADER;
    fake_status()->follower_count = 2;
    fake_status()->followers = both;
    static const struct tide_event event = {
        .number = 7, .kind = "slot", .level = "warn", .text = "slot f2 is at risk"};
    static const struct tide_quarantined tail = {
        .name = "12-3.seg", .kind = "replaced", .size = 640, .first = 12, .last = 19, .epoch = 3};
    fake_status()->quarantine_files = 1;
    fake_status()->quarantine_bytes = 640;
    fake_status()->quarantine_count = 1;
    fake_status()->quarantine = &tail;
    fake_status()->event_count = 1;
    fake_status()->events = &event;
    assert_string_equal(
        client_ask(&client, "ROLE\r\n"),
        "*3\r\n$6\r\nmaster\r\n:0\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n7500\r\n$1\r\n5\r\n");
    const char *info = client_ask(&client, "INFO replication\r\n");
    assert_non_null(strstr(info, "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n"
                                 "slave0:ip=127.0.0.1,port=7500,state=online,offset=5,lag=1\r\n"
                                 "slave1:ip=127.0.0.1,port=7500,state=offline,offset=5,lag=9\r\n"));
    assert_non_null(strstr(info, "master_repl_offset:0\r\n"));
    const char *slots = client_ask(&client, "HELLO 3\r\nSLOT.LIST\r\n");
    assert_non_null(strstr(slots, "*2\r\n%26\r\n$2\r\nid\r\n$2\r\nf1\r\n"));
    assert_non_null(strstr(slots, "$11\r\nlag_records\r\n:2\r\n"));
    assert_non_null(strstr(slots, "$11\r\nlag_records\r\n_\r\n"));
    assert_non_null(strstr(slots, "$11\r\nlag_seconds\r\n,inf\r\n"));
    const char *all = client_ask(&client, "REPL.STATUS\r\n");
    assert_memory_equal(all, "%23\r\n$4\r\nrole\r\n$6\r\nleader\r\n", 27);
    assert_non_null(strstr(all, "$6\r\nevents\r\n*1\r\n%5\r\n$6\r\nnumber\r\n:7\r\n"));
    assert_non_null(strstr(all, "$4\r\nkind\r\n$4\r\nslot\r\n"));
    assert_non_null(strstr(all, "$16\r\nretention_holder\r\n"));
    assert_non_null(strstr(all,
                           "$16\r\nquarantine_files\r\n:1\r\n$16\r\nquarantine_bytes\r\n:640\r\n"
                           "$10\r\nquarantine\r\n*1\r\n%6\r\n$4\r\nname\r\n$8\r\n12-3.seg\r\n"
                           "$4\r\nkind\r\n$8\r\nreplaced\r\n$5\r\nbytes\r\n:640\r\n"
                           "$5\r\nepoch\r\n:3\r\n$5\r\nfirst\r\n:12\r\n$4\r\nlast\r\n:19\r\n"));
}

static void a_follower_names_its_leader(void **state)
{
    (void)state;
    fake_status()->role = TIDE_ROLE_FOLLOWER;
    fake_status()->leader_data_address = "10.0.0.1:7400";
    fake_status()->leader_replication_address = "10.0.0.1:7402";
    fake_status()->link_state = "streaming";
    fake_status()->is_link_up = true;
    fake_status()->was_synced = true;
    fake_status()->path = "n0";
    assert_string_equal(
        client_ask(&client, "ROLE\r\n"),
        "*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.1\r\n:7400\r\n$9\r\nconnected\r\n:0\r\n");
    const char *info = client_ask(&client, "INFO ALL\r\n");
    assert_non_null(strstr(info, "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:7400\r\n"
                                 "master_link_status:up\r\n"));
    assert_non_null(strstr(info, "# Commandstats\r\n"));
    assert_memory_equal(client_ask(&client, "REPL.STATUS\r\n"), "*60\r\n", 5);
}

static void info_has_what_tools_look_for(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "# Server\r\n",        "redis_version:",
        "uptime_in_seconds:",  "connected_clients:1\r\n",
        "used_memory:",        "loading:0\r\n",
        "role:master\r\n",     "connected_slaves:0\r\n",
        "master_repl_offset:", "total_commands_processed:",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        assert_non_null(strstr(client_ask(&client, "INFO\r\n"), lines[i]));
    }
    assert_memory_equal(client_ask(&client, "INFO keyspace\r\n"), "$12\r\n# Keyspace\r\n", 17);
    assert_string_equal(client_ask(&client, "INFO modules\r\n"), "$0\r\n\r\n");
    (void)client_ask(&client, "HELLO 3\r\n");
    assert_memory_equal(client_ask(&client, "INFO keyspace\r\n"), "=16\r\ntxt:# Keyspace\r\n", 21);
}

static void shutdown_stops_the_server_without_a_reply(void **state)
{
    (void)state;
    assert_string_equal(client_ask(&client, "SHUTDOWN NOSAVE\r\nPING\r\n"), "");
    assert_int_equal(client_stops(), 1);
    assert_true(client.is_finished);
}

/* Every row of the table can be found, has its docs, and refuses a wrong number of words. */
static void the_table_is_whole(void **state)
{
    (void)state;
    size_t count = 0;
    const struct command *table = commands_table(&count);
    for (size_t i = 0; i < count; i++) {
        const struct command *c = &table[i];
        struct slice words[2] = {slice_of_text(c->name)};
        if (c->sub != NULL) words[1] = slice_of_text(c->sub);
        assert_ptr_equal(commands_find(words, c->sub != NULL ? 2 : 1), c);
        assert_true(strlen(c->summary) > 5 && c->summary[strlen(c->summary) - 1] == '.');
        char line[64];
        (void)snprintf(line, sizeof(line), "%s\r\n", c->name); /* not in the list of later ones */
        assert_null(strstr(client_ask(&client, line), "is not in this version"));
        if (client.is_finished) {
            client_close(&client);
            client_open(&client);
        }
        bool is_write = (c->flags & COMMAND_WRITE) != 0;
        assert_true(!is_write || (c->flags & COMMAND_DATABASE) != 0);
    }
    struct slice none = slice_of_text("");
    assert_null(commands_find(&none, 1));
}

static const char docs_marker[] = "<!-- Below this line: made from the table in commands.c. -->\n";

/* The whole file, with a zero behind it. */
static char *read_docs(const char *path)
{
    enum { SIZE_MAX_OF_DOCS = 256 * 1024 };
    char *text = calloc(1, SIZE_MAX_OF_DOCS);
    FILE *f = fopen(path, "r");
    assert_non_null(text);
    assert_non_null(f);
    assert_true(fread(text, 1, SIZE_MAX_OF_DOCS - 1, f) > 0);
    assert_int_equal(fclose(f), 0);
    return text;
}

/* UPDATE=1 rewrites the part behind the marker. */
static void the_docs_are_what_the_table_says(void **state)
{
    (void)state;
    struct out docs;
    out_init(&docs, &client.conn.service->alloc);
    commands_write_docs(&docs);
    out_bytes(&docs, "", 1);
    const char *path = tm_source_path("docs/COMMANDS.md");
    char *text = read_docs(path);
    char *marker = strstr(text, docs_marker);
    assert_non_null(marker);
    const char *update = getenv("UPDATE");
    if (update != NULL && strcmp(update, "1") == 0) {
        marker[sizeof(docs_marker) - 1] = '\0';
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0 && fputs((const char *)docs.data, f) >= 0);
        assert_int_equal(fclose(f), 0);
        free(text);
        text = read_docs(path);
        marker = strstr(text, docs_marker);
    }
    assert_string_equal(marker + sizeof(docs_marker) - 1, (const char *)docs.data);
    free(text);
    out_fini(&docs);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void puts_take_options_first_and_then_fields(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"ITEM.PUT a\r\n", "$12\r\n1-1-9f3a21bc\r\n", "run\nitem put a\n"},
        {"item.put a creator bob AT 1700000000000 title Hello lang en\r\n",
         "$12\r\n1-2-9f3a21bc\r\n",
         "run\nitem put a creator=bob at=1700000000000 [title=Hello] [lang=en]\n"},
        {"ITEM.PUT a KEY k WITHLEVEL UNSET 2 x y title T KEY inside\r\n",
         "*2\r\n$12\r\n1-3-9f3a21bc\r\n$5\r\nlocal\r\n",
         "run\nitem put a [title=T] [KEY=inside] -x -y record_key=k\n"},
        {"ITEM.PUT a FIELDS key v\r\n", "$12\r\n1-4-9f3a21bc\r\n", "run\nitem put a [key=v]\n"},
        {"ITEM.PUT a PRODUCER p 3 FIELDS\r\n", "$12\r\n1-5-9f3a21bc\r\n",
         "run\nitem put a producer=p n=3\n"},
        {"USER.PUT u CREATOR x\r\n", "$12\r\n1-6-9f3a21bc\r\n", "run\nuser put u [CREATOR=x]\n"},
        {"CREATOR.PUT c name Bob\r\n", "$12\r\n1-7-9f3a21bc\r\n",
         "run\ncreator put c [name=Bob]\n"},
        {"ITEM.DEL a KEY k\r\n", "$12\r\n1-8-9f3a21bc\r\n", "run\nitem delete a record_key=k\n"},
        {"ITEM.PUT a title\r\n", "-ERR field 'title' has no value\r\n", ""},
        {"ITEM.PUT a CREATOR ''\r\n",
         "-LIMIT CREATOR is empty: an item keeps its creator until it gets another\r\n", ""},
        {"ITEM.PUT a UNSET 3 x\r\n", "-ERR UNSET 3 is followed by 1 words\r\n", ""},
        {"ITEM.DEL a b\r\n", "-ERR ITEM.DEL has no option 'b'\r\n", ""},
    };
    CHECK(rows);
}

static void gets_answer_maps_or_the_named_values(void **state)
{
    (void)state;
    static const struct tide_bytes tags[] = {{"red", 3}, {"light blue", 10}};
    static const struct tide_field fields[] = {
        {.name = {"a", 1}, .kind = TIDE_VALUE_TEXT, .text = {"hi", 2}},
        {.name = {"b", 1}, .kind = TIDE_VALUE_INTEGER, .integer = -5},
        {.name = {"c", 1}, .kind = TIDE_VALUE_REAL, .real = 0.1},
        {.name = {"d", 1}, .kind = TIDE_VALUE_BOOL, .integer = 1},
        {.name = {"e", 1}, .kind = TIDE_VALUE_TAGS, .tags = tags, .tag_count = 2},
        {.name = {"f", 1}, .kind = TIDE_VALUE_TAGS},
        {.name = {"g", 1}, .kind = TIDE_VALUE_NONE},
    };
    static const struct row unknown[] = {
        {"ITEM.GET a\r\n", "*0\r\n", "run\nitem get a\n"},
        {"USER.GET a\r\n", "*0\r\n", "run\nuser get a\n"},
        {"CREATOR.GET a\r\n", "*0\r\n", "run\ncreator get a\n"},
    };
    CHECK(unknown);
    struct tide_entity known = {.is_known = true,
                                .created_ms = 1700000000000,
                                .creator = {"bob", 3},
                                .fields = fields,
                                .field_count = 2};
    fake_set_entity(&known);
    static const struct row resp2[] = {
        {"ITEM.GET a\r\n",
         "*8\r\n$7\r\ncreator\r\n$3\r\nbob\r\n$10\r\ncreated_at\r\n$13\r\n1700000000000\r\n"
         "$1\r\na\r\n$2\r\nhi\r\n$1\r\nb\r\n$2\r\n-5\r\n",
         NULL},
    };
    CHECK(resp2);
    known.fields = fields + 1;
    known.field_count = 6;
    fake_set_entity(&known);
    static const struct row named[] = {
        {"ITEM.GET a FIELDS b c d e f g\r\n",
         "*6\r\n$2\r\n-5\r\n$3\r\n0.1\r\n$4\r\ntrue\r\n$14\r\nred,light blue\r\n$0\r\n\r\n$-1\r\n",
         "run\nitem get a b c d e f g\n"},
        {"ITEM.GET a b c d e f g\r\n",
         "*6\r\n$2\r\n-5\r\n$3\r\n0.1\r\n$4\r\ntrue\r\n$14\r\nred,light blue\r\n$0\r\n\r\n$-1\r\n",
         "run\nitem get a b c d e f g\n"},
    };
    CHECK(named);
    (void)client_ask(&client, "HELLO 3\r\n");
    known.field_count = 1;
    fake_set_entity(&known);
    static const struct row resp3[] = {
        {"ITEM.GET a\r\n",
         "%3\r\n$7\r\ncreator\r\n$3\r\nbob\r\n$10\r\ncreated_at\r\n$13\r\n1700000000000\r\n"
         "$1\r\nb\r\n$2\r\n-5\r\n",
         NULL},
    };
    CHECK(resp3);
    known.is_known = false;
    fake_set_entity(&known);
    static const struct row none[] = {{"ITEM.GET a\r\n", "%0\r\n", NULL}};
    CHECK(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(signal_logs_one_signal),
        TEST(puts_take_options_first_and_then_fields),
        TEST(gets_answer_maps_or_the_named_values),
        TEST(bad_words_are_named),
        TEST(what_is_not_built_is_refused_by_name),
        TEST(config_set_asks_and_tells_the_database),
        TEST(signals_and_reads_answer),
        TEST(resp3_has_its_own_types),
        TEST(the_connection_answers_as_redis_does),
        TEST(hello_keeps_the_connection_as_it_was_when_it_fails),
        TEST(multi_makes_one_record_of_its_writes),
        TEST(multi_with_a_bad_command_does_nothing),
        TEST(multi_fails_as_a_whole),
        TEST(multi_is_bounded),
        TEST(errors_of_the_database_keep_their_word),
        TEST(commands_wait_for_the_database_to_open),
        TEST(wait_counts_followers),
        TEST(wait_follows_the_writes_before_it),
        TEST(followers_are_listed),
        TEST(a_follower_names_its_leader),
        TEST(info_has_what_tools_look_for),
        TEST(shutdown_stops_the_server_without_a_reply),
        TEST(the_table_is_whole),
        TEST(the_docs_are_what_the_table_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
