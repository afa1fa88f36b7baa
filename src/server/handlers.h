/* handlers: the functions behind the rows of the command table, by file. Each judges its words; on
 * a dry call (MULTI) it stops there, else it adds operations to the turn or writes its reply. */
#ifndef TIDEMARK_SERVER_HANDLERS_H
#define TIDEMARK_SERVER_HANDLERS_H

struct call;

/* commands_signals.c */
void handle_signal(struct call *call);
void handle_signals(struct call *call);
void handle_unsignal(struct call *call);
void handle_schema_signal(struct call *call);
void handle_schema_field(struct call *call);
void handle_schema_show(struct call *call);
void handle_producer_get(struct call *call);
void handle_producer_skip(struct call *call);
void handle_score(struct call *call);
void handle_count(struct call *call);
void handle_rate(struct call *call);
void handle_trend(struct call *call);
void handle_retrieve(struct call *call);

/* commands_entities.c */
void handle_item_put(struct call *call);
void handle_item_get(struct call *call);
void handle_item_del(struct call *call);
void handle_user_put(struct call *call);
void handle_user_get(struct call *call);
void handle_creator_put(struct call *call);
void handle_creator_get(struct call *call);

/* commands_log.c */
void handle_position(struct call *call);
void handle_digest(struct call *call);
void handle_checkpoint(struct call *call);
void handle_log_seal(struct call *call);
void handle_dbsize(struct call *call);
void handle_member_list(struct call *call);
void handle_member_add(struct call *call);
void handle_member_remove(struct call *call);
void handle_wait(struct call *call);
void handle_waitaof(struct call *call);
void handle_clock(struct call *call);

/* commands_roles.c */
void handle_promote(struct call *call);
void handle_handover(struct call *call);
void handle_follow(struct call *call);
void handle_topology(struct call *call);
void handle_replicaof(struct call *call);

/* commands_status.c */
void handle_info(struct call *call);
void handle_role(struct call *call);
void handle_repl_status(struct call *call);
void handle_slot_list(struct call *call);
void handle_lastsave(struct call *call);

/* commands_slots.c */
void handle_slot_drop(struct call *call);
void handle_slot_rename(struct call *call);

/* commands_plan.c */
void handle_plan(struct call *call);

/* commands_multi.c */
void handle_multi(struct call *call);
void handle_exec(struct call *call);
void handle_discard(struct call *call);
void handle_watch(struct call *call);

/* commands_client.c */
void handle_ping(struct call *call);
void handle_echo(struct call *call);
void handle_quit(struct call *call);
void handle_reset(struct call *call);
void handle_hello(struct call *call);
void handle_auth(struct call *call);
void handle_acl_whoami(struct call *call);
void handle_select(struct call *call);
void handle_readonly(struct call *call);
void handle_client_id(struct call *call);
void handle_client_getname(struct call *call);
void handle_client_setname(struct call *call);
void handle_client_setinfo(struct call *call);
void handle_client_list(struct call *call);
void handle_client_info(struct call *call);
void handle_client_kill(struct call *call);
void handle_client_reply(struct call *call);
void handle_client_no_op(struct call *call);
void handle_monitor(struct call *call);

/* commands_server.c */
void handle_command(struct call *call);
void handle_command_count(struct call *call);
void handle_command_list(struct call *call);
void handle_command_info(struct call *call);
void handle_command_docs(struct call *call);
void handle_help(struct call *call);
void handle_config_get(struct call *call);
void handle_config_set(struct call *call);
void handle_shutdown(struct call *call);
void handle_empty_array(struct call *call);
void handle_zero(struct call *call);
void handle_ok(struct call *call);

#endif
