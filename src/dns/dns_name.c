#include "dns/dns_name.h"

#include <stdio.h>
#include <string.h>

#define LABEL_MAX    63
#define POINTERS_MAX 127 /* as many as a name has labels */

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static bool add_label(struct dns_name *name, const unsigned char *label, size_t length)
{
    if (length == 0 || length > LABEL_MAX || name->length + 1 + length + 1 > DNS_NAME_MAX)
        return false;
    name->wire[name->length++] = (unsigned char)length;
    for (size_t i = 0; i < length; i++)
        name->wire[name->length++] = lower(label[i]);
    return true;
}

static void add_root(struct dns_name *name)
{
    name->wire[name->length++] = 0;
}

bool dns_name_parse(const char *text, struct dns_name *name)
{
    name->length = 0;
    for (const char *label = text;;) {
        size_t length = strcspn(label, ".");
        if (!add_label(name, (const unsigned char *)label, length))
            return false;
        label += length;
        if (label[0] == '\0' || label[1] == '\0')
            break;
        label++;
    }
    add_root(name);
    return true;
}

/* Where the pointer at `at` leads; `at` itself, which is not allowed, when it is cut off. */
static size_t pointer_target(const unsigned char *message, size_t size, size_t at)
{
    return at + 1 < size ? (size_t)(message[at] & 0x3f) << 8 | message[at + 1] : at;
}

bool dns_name_read(const unsigned char *message, size_t size, size_t *at, struct dns_name *name)
{
    size_t here = *at, end = 0, pointers = 0;
    name->length = 0;
    while (here < size && message[here] != 0) {
        if (message[here] <= LABEL_MAX) {
            size_t length = message[here];
            if (length >= size - here || !add_label(name, message + here + 1, length))
                return false;
            here += 1 + length;
            continue;
        }
        size_t target = pointer_target(message, size, here);
        if (message[here] < 0xc0 || target >= here || ++pointers > POINTERS_MAX)
            return false;
        end = end == 0 ? here + 2 : end;
        here = target;
    }
    if (here >= size)
        return false;
    *at = end == 0 ? here + 1 : end;
    add_root(name);
    return true;
}

bool dns_name_skip(const unsigned char *message, size_t size, size_t *at)
{
    while (*at < size && message[*at] != 0) {
        bool is_pointer = message[*at] >= 0xc0;
        *at += is_pointer ? 2 : 1 + (size_t)message[*at];
        if (is_pointer)
            return *at <= size;
    }
    ++*at;
    return *at <= size;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
    return a->length == b->length && memcmp(a->wire, b->wire, a->length) == 0;
}

static char *write_byte(char *to, unsigned char c)
{
    if (c <= ' ' || c >= 0x7f)
        return to + snprintf(to, 5, "\\%03u", c);
    if (c == '.' || c == '\\')
        *to++ = '\\';
    *to++ = (char)c;
    return to;
}

char *dns_name_text(const struct dns_name *name, char text[DNS_NAME_TEXT])
{
    char *to = text;
    size_t length;
    for (size_t at = 0; (length = name->wire[at]) != 0; at += 1 + length) {
        if (to > text)
            *to++ = '.';
        for (size_t i = 0; i < length; i++)
            to = write_byte(to, name->wire[at + 1 + i]);
    }
    *to = '\0';
    return text;
}
