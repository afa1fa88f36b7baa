/* http_page: the dashboard, a page that draws what /status.json tells. It loads nothing from
 * anywhere else. */
#ifndef TIDEMARK_SERVER_HTTP_PAGE_H
#define TIDEMARK_SERVER_HTTP_PAGE_H

#include "base/types.h"

extern const char *const http_page_lines[]; /* without their ends */
extern const size_t http_page_line_count;

#endif
