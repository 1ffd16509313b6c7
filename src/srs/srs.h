/*
 * The Sender Rewriting Scheme: SRS0 and SRS1 addresses, written and read.
 *
 * Source: behaviour.md, "SRS"; M. Meng Weng Wong, S. Hardie: SRS, 2003/2004.
 */
#ifndef POSTERN_SRS_SRS_H
#define POSTERN_SRS_SRS_H

#include <postern/address.h>
#include <stdint.h>

#define SRS_VALID_DAYS 21

/* domain is ours, in lower case; the first secret signs, all of them verify. */
struct srs {
    const char *domain;
    struct postern_names secrets;
};

enum srs_result {
    SRS_REWRITTEN,
    SRS_NOT_AN_ADDRESS, /* forward: nothing to rewrite; reverse: not one of ours */
    SRS_BAD_HASH,
    SRS_EXPIRED
};

/*
 * local@host becomes an address in srs->domain that leads back to it. Whether that should be done
 * (behaviour.md, "Forward") is the caller's to know. now is in Unix seconds.
 */
enum srs_result srs_forward(const struct srs *srs, struct postern_arena *arena, const char *address,
                            int64_t now, const char **rewritten);

/* Back again: one step for an SRS1, the original for an SRS0. The tag is read in any case. */
enum srs_result srs_reverse(const struct srs *srs, struct postern_arena *arena, const char *address,
                            int64_t now, const char **original);

#endif
