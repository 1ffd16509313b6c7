#include "runtime/log_escape.h"

#include "util/json.h"
#include <stdint.h>
#include <string.h>

/* Where a byte can't stand as it is. */
enum { IN_MESSAGE = 1, IN_QUOTES = 2, BARE = 4, NOWHERE = IN_MESSAGE | IN_QUOTES | BARE };

static const unsigned char special[256] = {
    [0 ... 31] = NOWHERE, [' '] = BARE,     ['"'] = IN_QUOTES | BARE,
    ['='] = BARE,         ['\\'] = NOWHERE, [127 ... 255] = NOWHERE};

static size_t utf8_decode(const unsigned char *text, size_t length, uint32_t *code)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    size_t form = 0;
    while (form < 3 && (text[0] & forms[form].mask) != forms[form].lead)
        form++;
    if (form == 3 || length < form + 2)
        return 0;
    *code = text[0] & (unsigned char)~forms[form].mask;
    for (size_t i = 1; i < form + 2; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (text[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code <= 0xdfff;
    return *code < forms[form].least || *code > 0x10ffff || surrogate ? 0 : form + 2;
}

/* C1 controls, line and paragraph separators, bidirectional embeddings and isolates. */
static bool code_is_control(uint32_t code)
{
    return code < 0xa0 || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

static size_t harmless_span(const char *text, size_t length, unsigned where)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t i = 0;
    for (;;) {
        while (i < length && !(special[bytes[i]] & where))
            i++;
        uint32_t code;
        size_t sequence = i < length && bytes[i] >= 0x80 //
                              ? utf8_decode(bytes + i, length - i, &code)
                              : 0;
        if (sequence == 0 || code_is_control(code))
            return i;
        i += sequence;
    }
}

size_t log_text_cut(const char *text, size_t length, size_t limit)
{
    if (length <= limit)
        return length;
    size_t cut = limit;
    while (cut > 0 && limit - cut < 3 && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--;
    return cut;
}

static size_t byte_escape(char out[4], unsigned char byte)
{
    static const char plain[] = "\"\\\n\r\t", words[] = "\"\\nrt", hex[] = "0123456789abcdef";
    out[0] = '\\';
    const char *found = byte == '\0' ? NULL : strchr(plain, byte);
    if (found != NULL) {
        out[1] = words[found - plain];
        return 2;
    }
    out[1] = 'x';
    out[2] = hex[byte >> 4];
    out[3] = hex[byte & 15];
    return 4;
}

static bool append_escaped(struct buffer *out, const char *text, size_t length, size_t end,
                           unsigned where)
{
    while (length > 0) {
        size_t room = out->length < end ? end - out->length : 0;
        size_t span = harmless_span(text, length, where);
        size_t fits = log_text_cut(text, span, room);
        buffer_append(out, text, fits);
        if (fits < span)
            return false;
        text += span;
        length -= span;
        if (length == 0)
            break;
        char escape[4];
        size_t escape_length = byte_escape(escape, (unsigned char)*text);
        if (out->length + escape_length > end)
            return false;
        buffer_append(out, escape, escape_length);
        text++;
        length--;
    }
    return true;
}

bool log_escape_message(struct buffer *out, const char *text, size_t length, size_t end)
{
    return append_escaped(out, text, length, end, IN_MESSAGE);
}

bool log_escape_value(struct buffer *out, const char *text, size_t length, size_t end)
{
    bool bare = harmless_span(text, length, BARE) == length;
    if (bare && out->length + length <= end) {
        buffer_append(out, text, length);
        return true;
    }
    if (bare)
        return append_escaped(out, text, length, end, BARE);
    if (out->length + 2 > end)
        return false;
    buffer_char(out, '"');
    bool whole = append_escaped(out, text, length, end - 1, IN_QUOTES);
    buffer_char(out, '"');
    return whole;
}

static void buffer_cut(struct buffer *buffer, size_t length)
{
    buffer->length = length;
    buffer->data[length] = '\0';
}

bool log_escape_json(struct buffer *out, const char *text, size_t length, size_t end)
{
    buffer_append(out, "", 0);
    size_t start = out->length;
    if (text[length] == '\0') {
        json_escape(out, text);
        if (out->length <= end)
            return true;
        buffer_cut(out, start);
    }
    while (length > 0) {
        char part[65];
        size_t part_length = log_text_cut(text, length, sizeof part - 1);
        memcpy(part, text, part_length);
        part[part_length] = '\0';
        start = out->length;
        json_escape(out, part);
        if (out->length > end) {
            buffer_cut(out, start);
            return false;
        }
        text += part_length;
        length -= part_length;
    }
    return true;
}
