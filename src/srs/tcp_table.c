#include "srs/table.h"

#include <stdbool.h>
#include <string.h>

#define LINE_LIMIT 4096 /* bytes; of requests without CR and newline, of replies with it */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* What %XX stands for, -1 where that is no code; a NUL is none, since no address has one. */
static int coded_byte(const char *text, size_t length)
{
    int high = length > 2 ? hex_digit(text[1]) : -1;
    int low = length > 2 ? hex_digit(text[2]) : -1;
    return high < 0 || low < 0 || (high == 0 && low == 0) ? -1 : high << 4 | low;
}

/* NULL when the coding is wrong. */
static const char *decode(struct postern_arena *arena, const char *text, size_t length)
{
    char *decoded = postern_alloc(arena, length + 1), *to = decoded;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\0')
            return NULL;
        if (text[i] != '%') {
            *to++ = text[i];
            continue;
        }
        int byte = coded_byte(text + i, length - i);
        if (byte < 0)
            return NULL;
        *to++ = (char)byte;
        i += 2;
    }
    return decoded;
}

static bool needs_code(unsigned char c)
{
    return c <= ' ' || c == '%' || c >= 0x7f;
}

static char *encode(char *to, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (!needs_code(c)) {
            *to++ = *text;
            continue;
        }
        *to++ = '%';
        *to++ = digits[c >> 4];
        *to++ = digits[c & 15];
    }
    return to;
}

/* The rest of a line after a word and a space; NULL when it begins otherwise. */
static const char *after_word(const char *line, size_t length, const char *word)
{
    size_t head = strlen(word);
    return length >= head && memcmp(line, word, head) == 0 ? line + head : NULL;
}

static enum table_reading refuse(struct table_request *request, const char *refusal,
                                 enum table_reading reading)
{
    request->refusal = refusal;
    return reading;
}

static enum table_reading read_line(const char *line, size_t length, struct postern_arena *arena,
                                    struct table_request *request)
{
    request->key = "";
    request->refusal = NULL;
    if (length > LINE_LIMIT)
        return refuse(request, "a line may have 4096 bytes", TABLE_ERROR);
    if (after_word(line, length, "put ") != NULL)
        return refuse(request, "this table can't be changed", TABLE_REQUEST);
    const char *key = after_word(line, length, "get ");
    if (key == NULL)
        return refuse(request, "a line that begins with neither \"get \" nor \"put \"",
                      TABLE_ERROR);
    const char *decoded = decode(arena, key, length - (size_t)(key - line));
    if (decoded == NULL)
        return refuse(request, "the key is not %XX coded text", TABLE_REQUEST);
    request->key = decoded;
    return TABLE_REQUEST;
}

static enum table_reading read_request(const char *data, size_t length, struct postern_arena *arena,
                                       struct table_request *request, size_t *consumed)
{
    const char *end = length > 0 ? memchr(data, '\n', length) : NULL;
    *consumed = 0;
    if (end == NULL && length < tcp_table.input_limit)
        return TABLE_MORE;
    size_t line = end != NULL ? (size_t)(end - data) : length;
    *consumed = end != NULL ? line + 1 : length;
    if (line > 0 && data[line - 1] == '\r')
        line--;
    return read_line(data, line, arena, request);
}

static const char *write_reply(struct postern_arena *arena, enum table_status status,
                               const char *text, size_t *length)
{
    static const char *const codes[] = {[TABLE_FOUND] = "200 ",
                                        [TABLE_NOT_FOUND] = "500 ",
                                        [TABLE_TRY_AGAIN] = "400 ",
                                        [TABLE_BROKEN] = "500 "};
    char *reply = postern_alloc(arena, strlen(codes[status]) + 3 * strlen(text) + 2);
    memcpy(reply, codes[status], strlen(codes[status]));
    char *end = encode(reply + strlen(codes[status]), text);
    *end++ = '\n';
    *length = (size_t)(end - reply);
    return *length <= LINE_LIMIT ? reply : NULL;
}

const struct table_protocol tcp_table = {
    .input_limit = LINE_LIMIT + 2,
    .read = read_request,
    .write = write_reply,
};
