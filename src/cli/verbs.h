/* verbs: the verbs of the program, one file each; main.c lists them. */
#ifndef TIDEMARK_CLI_VERBS_H
#define TIDEMARK_CLI_VERBS_H

#include "cli/cli.h"

/* Filled by the functions below; valid for the life of the program. */
struct cli_verb serve_verb(void);
struct cli_verb demo_verb(void);
struct cli_verb import_verb(void);
struct cli_verb status_verb(void);
struct cli_verb top_verb(void);
struct cli_verb log_verb(void);
struct cli_verb slot_verb(void);
struct cli_verb plan_verb(void);
struct cli_verb member_verb(void);
struct cli_verb promote_verb(void); /* and the two others that change roles */
struct cli_verb handover_verb(void);
struct cli_verb follow_verb(void);
struct cli_verb bench_verb(void);

#endif
