/* directory: objects of a log, served as a leader would serve them: the other end of a follower's
 * link is a directory. One way only: what the follower acknowledges is heard, and goes nowhere.
 *
 * It has a thread and an env of its own, because it reads files; the follower reaches it over an
 * in-process pair. Owner of everything below: that thread. */
#ifndef TIDEMARK_ENGINE_DIRECTORY_H
#define TIDEMARK_ENGINE_DIRECTORY_H

#include "engine/log_object.h"
#include "tidemark.h"

struct directory;

/* path must be a directory; it is looked at again and again while followers are there. */
MUST_CHECK enum code directory_open(const char *path, struct directory **out, struct err *e);
/* Any thread but its own; waits for the thread's end. No follower uses it any more. */
void directory_close(struct directory *d);
/* How followers reach it, at any address. Lives as long as d, and its free closes d. */
struct tide_transport *directory_transport(struct directory *d);

#endif
