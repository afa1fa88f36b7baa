/* links: two real nodes, a leader and a follower, on disks in memory, and a fuzzer between them
 * that changes the frames of one direction. Their disks are made once: a follower that is some
 * records behind. */
#ifndef TIDEMARK_FUZZ_LINKS_H
#define TIDEMARK_FUZZ_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One meeting of the two. The input says, frame by frame, what happens to what is sent to the
 * follower (or to the leader). Whatever that is, no assertion breaks, the leader loses nothing and
 * the follower holds nothing but a beginning of the leader's log. */
void links_meet(const uint8_t *data, size_t size, bool is_to_follower);

#endif
