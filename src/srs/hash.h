/* The signature of an SRS address: HMAC-SHA1, in base64, cut short, without regard to case. */
#ifndef POSTERN_SRS_HASH_H
#define POSTERN_SRS_HASH_H

#include <stdbool.h>
#include <stddef.h>

#define SRS_HASH_LENGTH 4  /* what is written */
#define SRS_HASH_MAX    28 /* all of it, the '=' at its end included */

/*
 * Of data, which is folded to lower case first (ASCII only). hash is NUL-terminated. False when
 * this build has no libcrypto.
 */
bool srs_hash(const char *secret, const char *data, size_t length, char hash[SRS_HASH_MAX + 1]);

/* Whether the first `length` bytes of both are equal but for case, in a time that tells nothing. */
bool srs_hash_matches(const char *hash, const char *given, size_t length);

#endif
