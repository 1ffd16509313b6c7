/*
 * Writing JSON (RFC 8259) to a growing buffer. Strings are escaped; bytes that are not UTF-8
 * become U+FFFD. Commas are put where they belong.
 */
#ifndef POSTERN_UTIL_JSON_H
#define POSTERN_UTIL_JSON_H

#include "util/buffer.h"
#include <stdbool.h>
#include <stdint.h>

struct json {
    struct buffer *out;
    bool comma; /* an item of the innermost object or array is already there */
};

struct json json_on(struct buffer *out);

void json_object(struct json *json); /* opens; as an item or, after json_key, as a value */
void json_object_end(struct json *json);
void json_array(struct json *json);
void json_array_end(struct json *json);
void json_key(struct json *json, const char *key);
void json_string(struct json *json, const char *text);
void json_integer(struct json *json, int64_t number);
void json_number(struct json *json, double number);
void json_bool(struct json *json, bool value);
void json_null(struct json *json);

/* The escaped form of text without quotes, appended to out. */
void json_escape(struct buffer *out, const char *text);

#endif
