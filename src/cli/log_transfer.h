/* log_transfer: the verbs that carry a log from one place to another as files. */
#ifndef TIDEMARK_CLI_LOG_TRANSFER_H
#define TIDEMARK_CLI_LOG_TRANSFER_H

#include "cli/cli.h"

enum { LOG_EXPORT_FOLLOW, LOG_EXPORT_INTERVAL, LOG_EXPORT_JSON, LOG_EXPORT_OPTION_COUNT };
extern const struct cli_option log_export_options[LOG_EXPORT_OPTION_COUNT];
enum { LOG_IMPORT_ID, LOG_IMPORT_JSON, LOG_IMPORT_OPTION_COUNT };
extern const struct cli_option log_import_options[LOG_IMPORT_OPTION_COUNT];

int log_run_export(const struct cli_args *args);
int log_run_import(const struct cli_args *args);

#endif
