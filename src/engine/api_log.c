/* api_log: the public calls on files: export and import of a log, and the directory as a transport.
 */
#include <stdlib.h>

#include "engine/api_error.h"
#include "engine/directory.h"
#include "engine/log_export.h"
#include "engine/log_import.h"

static enum code export_to(struct env *from, const char *dir, const char *out_dir,
                           struct log_export_report *report, struct err *e)
{
    struct env *to = NULL;
    struct env_uv_options options = {
        .size = sizeof(options), .dir = out_dir, .background_threads = 1, .read_threads = 1};
    if (strcmp(dir, out_dir) == 0) return ERR(e, E_INVALID, "a log is exported to another place");
    TRY(env_uv_open(&options, &to, e));
    enum code code = to->v->lock(to, e);
    if (code == OK) code = log_export(from, to, report, e);
    env_uv_close(to);
    return code;
}

enum tide_code tide_log_export(const char *dir, const char *out_dir, struct tide_log_report *out,
                               struct tide_err *e)
{
    struct err err = {.code = OK};
    struct log_export_report report = {0};
    struct env *from = NULL;
    struct env_uv_options options = {.size = sizeof(options),
                                     .dir = dir,
                                     .is_existing = true,
                                     .background_threads = 1,
                                     .read_threads = 1};
    enum code code = env_uv_open(&options, &from, &err);
    if (code == OK) code = export_to(from, dir, out_dir, &report, &err);
    env_uv_close(from);
    if (out != NULL) {
        *out = (struct tide_log_report){
            .objects = report.objects,
            .records = report.records,
            .bytes = report.bytes,
            .position = {.epoch = report.end.epoch, .seqno = report.end.seqno.v},
        };
        memcpy(out->position.chain4, report.end.chain.bytes, sizeof(out->position.chain4));
    }
    return api_error(code, &err, e);
}

enum tide_code tide_log_import(const char *dir, const char *in_dir, const char *node_id,
                               struct tide_log_report *out, struct tide_err *e)
{
    struct err err = {.code = OK};
    struct tide_log_report report = {0};
    enum code code = log_import(dir, in_dir, node_id, &report, &err);
    if (out != NULL) *out = report;
    return api_error(code, &err, e);
}

enum tide_code tide_transport_directory(const char *dir, struct tide_transport **out,
                                        struct tide_err *e)
{
    struct err err = {.code = OK};
    struct directory *d = NULL;
    enum code code = directory_open(dir, &d, &err);
    if (code == OK) *out = directory_transport(d);
    return api_error(code, &err, e);
}
