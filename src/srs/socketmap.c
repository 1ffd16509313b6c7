#include "srs/table.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define CONTENT_LIMIT 100000 /* bytes of a netstring's content */
#define LENGTH_DIGITS 6

static const struct {
    const char *name;
    enum table_direction direction;
} maps[] = {{"forward", TABLE_FORWARD}, {"reverse", TABLE_REVERSE}};

static enum table_reading refuse(struct table_request *request, const char *refusal,
                                 enum table_reading reading)
{
    request->refusal = refusal;
    return reading;
}

/* The name of the map at the beginning of content, with the space behind it, as one of ours. */
static bool find_map(const char *content, size_t name_length, struct table_request *request)
{
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        if (strlen(maps[i].name) != name_length || memcmp(content, maps[i].name, name_length) != 0)
            continue;
        request->direction = maps[i].direction;
        return true;
    }
    return false;
}

static enum table_reading read_content(const char *content, size_t length,
                                       struct postern_arena *arena, struct table_request *request)
{
    const char *space = length > 0 ? memchr(content, ' ', length) : NULL;
    if (space == NULL || !find_map(content, (size_t)(space - content), request))
        return refuse(request, "a request for another map than \"forward\" or \"reverse\"",
                      TABLE_ERROR);
    const char *key = space + 1;
    size_t key_length = length - (size_t)(key - content);
    if (memchr(key, '\0', key_length) != NULL)
        return refuse(request, "the key has a NUL byte", TABLE_REQUEST);
    request->key = postern_strndup(arena, key, key_length);
    return TABLE_REQUEST;
}

/* The digits of the length; how many there are, with *value. */
static size_t read_length(const char *data, size_t length, size_t *value)
{
    size_t digits = 0;
    *value = 0;
    while (digits < length && digits < LENGTH_DIGITS && data[digits] >= '0' && data[digits] <= '9')
        *value = *value * 10 + (size_t)(data[digits++] - '0');
    return digits;
}

static enum table_reading read_request(const char *data, size_t length, struct postern_arena *arena,
                                       struct table_request *request, size_t *consumed)
{
    size_t content, digits = read_length(data, length, &content);
    request->key = "";
    request->refusal = NULL;
    *consumed = 0;
    if (digits == length && digits < LENGTH_DIGITS)
        return TABLE_MORE;
    if (content > CONTENT_LIMIT)
        return refuse(request, "a request may have 100000 bytes", TABLE_ERROR);
    if (digits == length)
        return TABLE_MORE;
    if (digits == 0 || data[digits] != ':')
        return refuse(request, "not a netstring", TABLE_ERROR);
    size_t whole = digits + 1 + content + 1;
    if (length < whole)
        return TABLE_MORE;
    if (data[whole - 1] != ',')
        return refuse(request, "a netstring without a comma at its end", TABLE_ERROR);
    *consumed = whole;
    return read_content(data + digits + 1, content, arena, request);
}

static const char *write_reply(struct postern_arena *arena, enum table_status status,
                               const char *text, size_t *length)
{
    static const char *const words[] = {[TABLE_FOUND] = "OK",
                                        [TABLE_NOT_FOUND] = "NOTFOUND",
                                        [TABLE_TRY_AGAIN] = "TEMP",
                                        [TABLE_BROKEN] = "PERM"};
    const char *shown = status == TABLE_NOT_FOUND ? "" : text;
    size_t content = strlen(words[status]) + 1 + strlen(shown);
    if (content > CONTENT_LIMIT)
        return NULL;
    const char *reply = postern_printf(arena, "%zu:%s %s,", content, words[status], shown);
    *length = strlen(reply);
    return reply;
}

const struct table_protocol socketmap = {
    .input_limit = LENGTH_DIGITS + 1 + CONTENT_LIMIT + 1,
    .read = read_request,
    .write = write_reply,
};
