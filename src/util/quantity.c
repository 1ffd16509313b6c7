#include "util/quantity.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"w", 604800}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}, {NULL, 0},
};

static const struct unit size_units[] = {
    {"TB", INT64_C(1) << 40},
    {"GB", INT64_C(1) << 30},
    {"MB", INT64_C(1) << 20},
    {"KB", INT64_C(1) << 10},
    {"TiB", INT64_C(1) << 40},
    {"GiB", INT64_C(1) << 30},
    {"MiB", INT64_C(1) << 20},
    {"KiB", INT64_C(1) << 10},
    {"T", INT64_C(1) << 40},
    {"G", INT64_C(1) << 30},
    {"M", INT64_C(1) << 20},
    {"K", INT64_C(1) << 10},
    {"B", 1},
    {NULL, 0},
};

/* The digits at *text, which is moved past them. */
static bool read_digits(const char **text, int64_t *number)
{
    if (!isdigit((unsigned char)**text))
        return false;
    char *end;
    errno = 0;
    *number = strtoll(*text, &end, 10);
    *text = end;
    return errno == 0;
}

static const struct unit *unit_find(const struct unit *units, const char *name, size_t length)
{
    for (; units->name != NULL; units++)
        if (strncasecmp(units->name, name, length) == 0 && units->name[length] == '\0')
            return units;
    return NULL;
}

static size_t word_length(const char *text)
{
    size_t length = 0;
    while (isalpha((unsigned char)text[length]))
        length++;
    return length;
}

bool quantity_parse_duration(const char *text, int64_t *seconds)
{
    int64_t total = 0, smallest = INT64_MAX, number;
    do {
        if (!read_digits(&text, &number))
            return false;
        if (*text == '\0' && smallest == INT64_MAX) {
            *seconds = number;
            return true;
        }
        size_t length = word_length(text);
        const struct unit *unit = unit_find(duration_units, text, length);
        if (unit == NULL || unit->factor >= smallest)
            return false;
        if (__builtin_mul_overflow(number, unit->factor, &number) ||
            __builtin_add_overflow(total, number, &total))
            return false;
        smallest = unit->factor;
        text += length;
    } while (*text != '\0');
    *seconds = total;
    return true;
}

bool quantity_parse_size(const char *text, int64_t *bytes)
{
    int64_t number, factor = 1;
    if (!read_digits(&text, &number))
        return false;
    if (*text != '\0') {
        size_t length = word_length(text);
        const struct unit *unit = unit_find(size_units, text, length);
        if (unit == NULL || text[length] != '\0')
            return false;
        factor = unit->factor;
    }
    return !__builtin_mul_overflow(number, factor, bytes);
}

bool quantity_parse_integer(const char *text, int64_t *number)
{
    if (!isdigit((unsigned char)text[text[0] == '-']))
        return false;
    char *end;
    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0';
}

char *quantity_duration_text(int64_t seconds, char *text, size_t size)
{
    snprintf(text, size, "0s");
    size_t length = 0;
    for (const struct unit *unit = duration_units + 1; unit->name != NULL; unit++) {
        int64_t count = seconds / unit->factor;
        if (count == 0 || length >= size)
            continue;
        length +=
            (size_t)snprintf(text + length, size - length, "%" PRId64 "%s", count, unit->name);
        seconds %= unit->factor;
    }
    return text;
}

char *quantity_size_text(int64_t bytes, char *text, size_t size)
{
    for (const struct unit *unit = size_units; unit < size_units + 4; unit++)
        if (bytes != 0 && bytes % unit->factor == 0) {
            snprintf(text, size, "%" PRId64 "%s", bytes / unit->factor, unit->name);
            return text;
        }
    snprintf(text, size, "%" PRId64, bytes);
    return text;
}
