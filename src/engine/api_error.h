/* api_error: an error of ours as the public one. */
#ifndef TIDEMARK_ENGINE_API_ERROR_H
#define TIDEMARK_ENGINE_API_ERROR_H

#include "base/error.h"
#include "tidemark.h"

/* Fill *to (may be NULL) from *from unless code is OK; returns the code. */
enum tide_code api_error(enum code code, const struct err *from, struct tide_err *to);

#endif
