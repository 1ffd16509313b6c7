#include "srs/hash.h"

#include "build_config.h"

#if HAVE_CRYPTO

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#define SHA1_BYTES 20
#define PIECE      256

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void fold_bytes(char *folded, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        folded[i] = fold(text[i]);
}

/* Made once: finding the algorithm takes OpenSSL longer than a hash. NULL: it can't. */
static EVP_MAC_CTX *hmac_sha1(void)
{
    static EVP_MAC_CTX *context;
    const OSSL_PARAM sha1[] = {OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA1", 0),
                               OSSL_PARAM_END};
    if (context != NULL)
        return context;
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    context = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac);
    if (context != NULL && EVP_MAC_CTX_set_params(context, sha1) != 1) {
        EVP_MAC_CTX_free(context);
        context = NULL;
    }
    return context;
}

static bool add_folded(EVP_MAC_CTX *context, const char *data, size_t length)
{
    char folded[PIECE];
    for (size_t done = 0, piece; done < length; done += piece) {
        piece = length - done < PIECE ? length - done : PIECE;
        fold_bytes(folded, data + done, piece);
        if (EVP_MAC_update(context, (const unsigned char *)folded, piece) != 1)
            return false;
    }
    return true;
}

bool srs_hash(const char *secret, const char *data, size_t length, char hash[SRS_HASH_MAX + 1])
{
    unsigned char digest[SHA1_BYTES];
    size_t digested = 0;
    EVP_MAC_CTX *context = hmac_sha1();
    if (context == NULL ||
        EVP_MAC_init(context, (const unsigned char *)secret, strlen(secret), NULL) != 1 ||
        !add_folded(context, data, length) ||
        EVP_MAC_final(context, digest, &digested, sizeof digest) != 1)
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
