/*
 * An address is read and written in its fields: tag, hash, time, host, local part. What comes
 * quoted is worked on without its quotes and given back with them, since mail servers move them: of
 * "a b"@host, rewritten, the whole local part comes back quoted. So does that of a@[192.0.2.1],
 * since Postfix cuts a local part at the brackets.
 */
#include "srs/srs.h"

#include "srs/hash.h"
#include "srs/local_part.h"
#include <string.h>
#include <strings.h>

#define DAY         86400
#define DAYS        1024 /* then they begin again */
#define SKEW_DAYS   1    /* by which another host's clock may be ahead, at midnight */
#define TIME_LENGTH 2

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

struct address {
    const char *local; /* without quotes when is_quoted */
    const char *domain;
    bool is_quoted;
};

/* A part of a text. */
struct field {
    const char *text;
    size_t length;
};

/* --- addresses --- */

static bool address_read(struct postern_arena *arena, const char *text, struct address *address)
{
    address->domain = postern_address_domain(text);
    if (address->domain[0] == '\0')
        return false;
    address->local = postern_strndup(arena, text, (size_t)(address->domain - text) - 1);
    return true;
}

static void address_unquote(struct postern_arena *arena, struct address *address)
{
    address->is_quoted = true;
    address->local = local_part_unquote(arena, address->local);
}

static const char *address_write(struct postern_arena *arena, const struct address *address)
{
    const char *local =
        address->is_quoted ? local_part_quote(arena, address->local) : address->local;
    return postern_printf(arena, "%s@%s", local, address->domain);
}

/* --- fields --- */

/* What follows the tag, from its separator on; NULL when local has no such tag. */
static const char *after_tag(const char *local, char kind)
{
    bool has_tag = strncasecmp(local, "SRS", 3) == 0 && local[3] == kind && local[4] != '\0' &&
                   strchr("=+-", local[4]) != NULL;
    return has_tag ? local + 4 : NULL;
}

/* Takes what is before the next '='; false when that is nothing. */
static bool take_field(const char **rest, struct field *field)
{
    const char *end = strchr(*rest, '=');
    if (end == NULL || end == *rest)
        return false;
    *field = (struct field){*rest, (size_t)(end - *rest)};
    *rest = end + 1;
    return true;
}

static const char *field_text(struct postern_arena *arena, const struct field *field)
{
    return postern_strndup(arena, field->text, field->length);
}

/* A host that can stand in a field. */
static bool is_host(struct postern_arena *arena, const char *host)
{
    return strchr(host, '=') == NULL &&
           postern_address_is_valid(postern_printf(arena, "x@%s", host));
}

/* --- hash --- */

static bool is_signed(const struct srs *srs, const struct field *hash, const char *data)
{
    if (hash->length < SRS_HASH_LENGTH || hash->length > SRS_HASH_MAX)
        return false;
    bool matches = false;
    char ours[SRS_HASH_MAX + 1];
    for (size_t i = 0; i < srs->secrets.count && !matches; i++)
        matches = srs_hash(srs->secrets.items[i], data, strlen(data), ours) &&
                  srs_hash_matches(ours, hash->text, hash->length);
    return matches;
}

static const char *sign(const struct srs *srs, struct postern_arena *arena, const char *data)
{
    char hash[SRS_HASH_MAX + 1];
    if (srs->secrets.count == 0 || !srs_hash(srs->secrets.items[0], data, strlen(data), hash))
        return NULL;
    return postern_strndup(arena, hash, SRS_HASH_LENGTH);
}

/* --- time --- */

static unsigned day_of(int64_t now)
{
    return (unsigned)(now / DAY) % DAYS;
}

static int base32_digit(char c)
{
    const char *digit = strchr(base32, c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    return c != '\0' && digit != NULL ? (int)(digit - base32) : -1;
}

static bool is_current(const struct field *time, int64_t now)
{
    int high = base32_digit(time->text[0]), low = base32_digit(time->text[1]);
    if (high < 0 || low < 0)
        return false;
    unsigned then = (unsigned)(high * 32 + low);
    return (day_of(now) + SKEW_DAYS + DAYS - then) % DAYS <= SRS_VALID_DAYS + SKEW_DAYS;
}

/* --- forward --- */

/* Of an address that nobody has rewritten yet. */
static const char *local_first(const struct srs *srs, struct postern_arena *arena,
                               const struct address *address, int64_t now)
{
    unsigned day = day_of(now);
    const char time[] = {base32[day / 32], base32[day % 32], '\0'};
    const char *hash =
        sign(srs, arena, postern_printf(arena, "%s%s%s", time, address->domain, address->local));
    if (hash == NULL)
        return NULL;
    return postern_printf(arena, "SRS0=%s=%s=%s=%s", hash, time, address->domain, address->local);
}

/* Of one that leads back to `host`, where `rest` is read. */
static const char *local_next(const struct srs *srs, struct postern_arena *arena, const char *host,
                              const char *rest)
{
    const char *hash = sign(srs, arena, postern_printf(arena, "%s%s", host, rest));
    if (hash == NULL)
        return NULL;
    return postern_printf(arena, "SRS1=%s=%s=%s", hash, host, rest);
}

/* The first host of an SRS1 and what it is to get; false when it is none that could be read. */
static bool read_next(struct postern_arena *arena, const char *local, const char **host,
                      const char **rest)
{
    struct field hash, field;
    const char *at = after_tag(local, '1');
    if (at == NULL)
        return false;
    at++;
    if (!take_field(&at, &hash) || !take_field(&at, &field) || *at == '\0')
        return false;
    *host = field_text(arena, &field);
    *rest = at;
    return is_host(arena, *host);
}

static const char *local_rewritten(const struct srs *srs, struct postern_arena *arena,
                                   const struct address *address, int64_t now)
{
    const char *host, *rest = after_tag(address->local, '0');
    if (rest != NULL)
        return local_next(srs, arena, address->domain, rest);
    if (read_next(arena, address->local, &host, &rest))
        return local_next(srs, arena, host, rest);
    return local_first(srs, arena, address, now);
}

enum srs_result srs_forward(const struct srs *srs, struct postern_arena *arena, const char *address,
                            int64_t now, const char **rewritten)
{
    struct address sender = {0};
    if (!address_read(arena, address, &sender) || !is_host(arena, sender.domain))
        return SRS_NOT_AN_ADDRESS;
    if (strchr(sender.local, '"') != NULL)
        address_unquote(arena, &sender);
    if (sender.local[0] == '\0')
        return SRS_NOT_AN_ADDRESS;
    bool has_literal = sender.domain[0] == '[';
    struct address result = {.domain = srs->domain, .is_quoted = sender.is_quoted || has_literal};
    result.local = local_rewritten(srs, arena, &sender, now);
    if (result.local == NULL)
        return SRS_NOT_AN_ADDRESS;
    *rewritten = address_write(arena, &result);
    return SRS_REWRITTEN;
}

/* --- reverse --- */

static enum srs_result reverse_first(const struct srs *srs, struct postern_arena *arena,
                                     const char *rest, int64_t now, struct address *original)
{
    struct field hash, time, host;
    if (!take_field(&rest, &hash) || !take_field(&rest, &time) || !take_field(&rest, &host) ||
        *rest == '\0' || time.length != TIME_LENGTH)
        return SRS_NOT_AN_ADDRESS;
    const char *data =
        postern_printf(arena, "%.*s%s%s", TIME_LENGTH, time.text, field_text(arena, &host), rest);
    if (!is_signed(srs, &hash, data))
        return SRS_BAD_HASH;
    if (!is_current(&time, now))
        return SRS_EXPIRED;
    original->local = rest;
    original->domain = field_text(arena, &host);
    return SRS_REWRITTEN;
}

static enum srs_result reverse_next(const struct srs *srs, struct postern_arena *arena,
                                    const char *rest, struct address *original)
{
    struct field hash, host;
    if (!take_field(&rest, &hash) || !take_field(&rest, &host) || *rest == '\0')
        return SRS_NOT_AN_ADDRESS;
    original->domain = field_text(arena, &host);
    if (!is_signed(srs, &hash, postern_printf(arena, "%s%s", original->domain, rest)))
        return SRS_BAD_HASH;
    original->local = postern_printf(arena, "SRS0%s", rest);
    return SRS_REWRITTEN;
}

static enum srs_result reverse_local(const struct srs *srs, struct postern_arena *arena,
                                     const char *local, int64_t now, struct address *original)
{
    const char *first = after_tag(local, '0'), *next = after_tag(local, '1');
    if (first != NULL)
        return reverse_first(srs, arena, first + 1, now, original);
    if (next != NULL)
        return reverse_next(srs, arena, next + 1, original);
    return SRS_NOT_AN_ADDRESS;
}

enum srs_result srs_reverse(const struct srs *srs, struct postern_arena *arena, const char *address,
                            int64_t now, const char **original)
{
    struct address ours = {0}, theirs = {0};
    if (!address_read(arena, address, &ours) || strcasecmp(ours.domain, srs->domain) != 0)
        return SRS_NOT_AN_ADDRESS;
    if (ours.local[0] == '"')
        address_unquote(arena, &ours);
    enum srs_result result = reverse_local(srs, arena, ours.local, now, &theirs);
    if (result != SRS_REWRITTEN)
        return result;
    theirs.is_quoted = ours.is_quoted;
    const char *text = address_write(arena, &theirs);
    if (!postern_address_is_valid(text))
        return SRS_NOT_AN_ADDRESS;
    *original = text;
    return SRS_REWRITTEN;
}
