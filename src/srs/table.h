/*
 * Postfix's lookup tables over the network: two protocols behind one interface. They do not
 * wait and own no buffer.
 *
 * Source: Postfix tcp_table(5) and socketmap_table(5); behaviour.md, "SRS".
 */
#ifndef POSTERN_SRS_TABLE_H
#define POSTERN_SRS_TABLE_H

#include <postern/arena.h>

enum table_direction { TABLE_FORWARD, TABLE_REVERSE };
#define TABLE_DIRECTIONS 2

struct table_request {
    enum table_direction direction; /* as the caller set it, unless the request says it */
    const char *key;
    const char *refusal; /* NULL: look it up. Else why not: the answer is TABLE_NOT_FOUND */
};

enum table_reading {
    TABLE_MORE,    /* the request is not whole yet, nothing is consumed */
    TABLE_REQUEST, /* bytes behind it are not consumed */
    TABLE_ERROR /* refusal says why; answered with TABLE_BROKEN, and the connection can't go on */
};

enum table_status { TABLE_FOUND, TABLE_NOT_FOUND, TABLE_TRY_AGAIN, TABLE_BROKEN };

struct table_protocol {
    size_t input_limit; /* bytes of the longest request */

    /* Text of the request goes to arena. */
    enum table_reading (*read)(const char *data, size_t length, struct postern_arena *arena,
                               struct table_request *request, size_t *consumed);

    /* The reply, of *length bytes, in arena; NULL when it would be longer than clients accept. */
    const char *(*write)(struct postern_arena *arena, enum table_status status, const char *text,
                         size_t *length);
};

extern const struct table_protocol tcp_table, socketmap;

#endif
