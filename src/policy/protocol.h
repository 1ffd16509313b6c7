/*
 * Reading policy requests: lines of name=value, ended by an empty line.
 *
 * The parser takes bytes as they come and owns no buffer: what it has understood is in the
 * request's arena. Limits are those of behaviour.md, "The policy protocol".
 */
#ifndef POSTERN_POLICY_PROTOCOL_H
#define POSTERN_POLICY_PROTOCOL_H

#include <postern/request.h>

#define PROTOCOL_LINE_LIMIT 8192 /* bytes without the newline */
#define PROTOCOL_LINES      256

enum protocol_result {
    PROTOCOL_MORE,    /* everything whole has been consumed; the rest needs more bytes */
    PROTOCOL_REQUEST, /* parser->request is complete, bytes after it are not consumed */
    PROTOCOL_ERROR    /* parser->error says why; the connection can't go on */
};

struct protocol_parser {
    struct postern_request *request; /* in its own arena; NULL before the first byte */
    unsigned lines;
    size_t expected; /* the attribute that Postfix sends next */
    bool is_policy;  /* request=smtpd_access_policy has been seen */
    const char *error;
};

/*
 * Consumes whole lines of data. For PROTOCOL_REQUEST the caller takes parser->request, whose
 * arena it then owns, and calls protocol_reset before the next feed.
 */
enum protocol_result protocol_feed(struct protocol_parser *parser, const char *data, size_t length,
                                   size_t *consumed);

/* Whether a request has been begun. */
bool protocol_is_inside(const struct protocol_parser *parser);

/* Ready for the next request. The request, if any is still there, is not freed. */
void protocol_reset(struct protocol_parser *parser);

/* An empty request of its own arena, and one attribute set as if it had been read: for explain
 * and tests. Unknown names are ignored (false). */
struct postern_request *protocol_request_new(void);
bool protocol_set(struct postern_request *request, const char *name, const char *value);

#endif
