/* A part of an SPF record: bytes of the record itself, not copied. */
#ifndef POSTERN_DNS_SPF_TEXT_H
#define POSTERN_DNS_SPF_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct spf_text {
    const char *start;
    size_t length;
};

/* Two arguments for "%.*s". */
#define SPF_TEXT(text) (int)(text).length, (text).start

/* ASCII only, whatever the locale. */
static inline bool spf_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool spf_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool spf_is_alphanumeric(char c)
{
    return spf_is_alpha(c) || spf_is_digit(c);
}

static inline struct spf_text spf_text_from(struct spf_text text, size_t offset)
{
    return (struct spf_text){text.start + offset, text.length - offset};
}

static inline struct spf_text spf_text_first(struct spf_text text, size_t length)
{
    return (struct spf_text){text.start, length};
}

#endif
