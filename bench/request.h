/*
 * What the load generator sends: requests with all the attributes of Postfix 3.7.
 *
 * Every kind of request is rendered once; what differs between two requests of a kind has
 * a fixed width and is written over in place, so that a request costs some 50 ns.
 */
#ifndef POSTERN_BENCH_REQUEST_H
#define POSTERN_BENCH_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum request_kind {
    REQUEST_DUNNO,
    REQUEST_TRUSTED,
    REQUEST_FIRST_SEEN,
    REQUEST_RETRY,
    REQUEST_PASSED,
    REQUEST_NULL_SENDER,
    REQUEST_EOM,
    REQUEST_COUNTED,
    REQUEST_SLOW_SPF,
    REQUEST_KINDS
};

/* How often each kind is sent, out of total. */
struct mix {
    unsigned weights[REQUEST_KINDS];
    unsigned total;
};

/* "first-seen" or "first-seen=8,retry=1"; false when it isn't a mix. */
bool mix_parse(struct mix *mix, const char *text);

/* Prints the kinds and what they are for, one a line. */
void mix_print_kinds(void);

enum request_hole { HOLE_ID, HOLE_DOMAIN, HOLE_USER, HOLE_CLIENT };

struct request_template {
    char *text;
    size_t length;
    struct {
        enum request_hole hole;
        size_t offset;
    } holes[8];
    size_t hole_count;
};

/* One sender of requests (a thread); two with different seeds or numbers share no triplet. */
struct request_source {
    struct mix mix;
    struct request_template templates[REQUEST_KINDS];
    uint64_t identity;
    uint64_t random;
    uint64_t sent[REQUEST_KINDS];
};

/* Enough to render the same request again. */
struct request_name {
    enum request_kind kind;
    uint64_t number;
};

void request_source_init(struct request_source *source, const struct mix *mix, uint64_t seed,
                         unsigned number);
void request_source_end(struct request_source *source);

struct request_name request_next(struct request_source *source);

/* Valid until the next call for the same source. */
const struct request_template *request_render(struct request_source *source,
                                              struct request_name name);

#endif
