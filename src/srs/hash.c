#include "srs/hash.h"

#include "build_config.h"

#if HAVE_CRYPTO

#include "util/memory.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#define SHA1_BYTES 20

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void fold_bytes(char *folded, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        folded[i] = fold(text[i]);
}

bool srs_hash(const char *secret, const char *data, size_t length, char hash[SRS_HASH_MAX + 1])
{
    unsigned char digest[SHA1_BYTES];
    unsigned int digested = 0;
    char *folded = memory_new(length + 1);
    fold_bytes(folded, data, length);
    bool done = HMAC(EVP_sha1(), secret, (int)strlen(secret), (const unsigned char *)folded, length,
                     digest, &digested) != NULL;
    free(folded);
    if (!done)
        return false;
    assert(digested == sizeof digest);
    EVP_EncodeBlock((unsigned char *)hash, digest, sizeof digest);
    return true;
}

bool srs_hash_matches(const char *hash, const char *given, size_t length)
{
    char left[SRS_HASH_MAX], right[SRS_HASH_MAX];
    assert(length <= sizeof left);
    fold_bytes(left, hash, length);
    fold_bytes(right, given, length);
    return CRYPTO_memcmp(left, right, length) == 0;
}

#else

bool srs_hash(const char *secret, const char *data, size_t length, char hash[SRS_HASH_MAX + 1])
{
    (void)secret, (void)data, (void)length;
    hash[0] = '\0';
    return false;
}

bool srs_hash_matches(const char *hash, const char *given, size_t length)
{
    (void)hash, (void)given, (void)length;
    return false;
}

#endif
