/* jsontext: between JSON and RESP, for the bridge of the HTTP port: a JSON array of words becomes a
 * RESP request, a RESP3 reply becomes JSON text. It knows no command. Pure: no input or output, no
 * clock.
 *
 * Words are strings, numbers, or {"base64": "..."} for bytes that are no UTF-8. Replies:
 *     map -> object, array and set -> array, double -> number, nil -> null, boolean -> true, false;
 *     integer -> number, beyond 2^53 -> string; infinite and NaN -> "inf", "-inf", "nan";
 *     string -> string, or {"base64": "..."} when its bytes are no UTF-8; as a name "base64:..."
 */
#ifndef TIDEMARK_SERVER_JSONTEXT_H
#define TIDEMARK_SERVER_JSONTEXT_H

#include "base/types.h"
#include "server/out.h"

#define JSONTEXT_WORDS_MAX 65536
#define JSONTEXT_DEPTH_MAX 16 /* of a reply; the deepest one of a command has 5 */

/* Where to tell what is wrong with a body. */
#define JSONTEXT_REASON_SIZE 160

/* Append the request that the body asks for. Copies the first word, as a text that is cut where it
 * does not fit, into name. False: reason says why. Any thread. */
MUST_CHECK bool jsontext_request(struct slice body, struct out *request, char *name,
                                 size_t name_size, char reason[JSONTEXT_REASON_SIZE]);

enum jsontext_outcome {
    JSONTEXT_VALUE,  /* its JSON was appended */
    JSONTEXT_ERROR,  /* an error line; *error is its text, "READONLY this node ..." */
    JSONTEXT_BROKEN, /* not a whole reply in RESP3 */
};

/* Take one reply from the front of *bytes. On JSONTEXT_BROKEN what was appended is of no use. */
MUST_CHECK enum jsontext_outcome jsontext_reply(struct slice *bytes, struct out *json,
                                                struct slice *error);

/* A string with its quotes; is_utf8 must hold. */
void jsontext_string(struct out *json, struct slice text);
bool jsontext_is_utf8(struct slice text);
void jsontext_name(struct out *json, const char *name); /* "name": */

#endif
