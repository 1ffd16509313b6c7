/*
 * A client's connection, as the one fiber that serves it reads and writes it.
 *
 * What has come and is not understood yet lies in input[start..end); the reader advances start.
 * A connection that has nothing to read holds no buffer.
 */
#ifndef POSTERN_RUNTIME_STREAM_H
#define POSTERN_RUNTIME_STREAM_H

#include "runtime/fiber.h"

/* What the connections of a service share; spare is NULL at first. */
struct stream_pool {
    size_t size; /* bytes of a buffer; it grows up to a stream's limit */
    char *spare; /* one that nobody needs just now */
};

void stream_pool_free(struct stream_pool *pool);

struct stream {
    struct stream_pool *pool;
    struct fiber_watch watch;
    int fd;
    bool idle;    /* stream_next is waiting: it may be interrupted */
    size_t limit; /* bytes that may wait to be understood, at least pool->size */
    char *input;
    size_t start, end, size;
};

/* fd is non-blocking, and still the caller's to close. */
void stream_open(struct stream *stream, struct stream_pool *pool, int fd, size_t limit);
void stream_close(struct stream *stream); /* gives back what it holds */

/*
 * Waits between two requests, holding nothing, for the first byte of the next one, or the client's
 * end. False when the connection is to be left: it was idle for so long, interrupted, or draining.
 */
bool stream_next(struct stream *stream, const bool *draining, double seconds);
bool stream_is_resting(const struct stream *stream); /* between two requests, without input */

/* More input; false when the client has gone or is too slow, or at the limit. */
bool stream_read(struct stream *stream, double deadline);

bool stream_write(struct stream *stream, const char *data, size_t length, double deadline);

/* Counts and logs that what came is not the protocol, naming the client. */
void stream_refuse(const struct stream *stream, const char *error);

/* In the master, before fork. */
void stream_register_metrics(void);

#endif
