#include "util/json.h"

#include "util/utf8.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct json json_on(struct buffer *out)
{
    return (struct json){.out = out};
}

static void item_begin(struct json *json)
{
    if (json->comma)
        buffer_char(json->out, ',');
    json->comma = true;
}

static void item_text(struct json *json, const char *text)
{
    item_begin(json);
    buffer_text(json->out, text);
}

static void open_with(struct json *json, char bracket)
{
    item_begin(json);
    buffer_char(json->out, bracket);
    json->comma = false;
}

static void close_with(struct json *json, char bracket)
{
    buffer_char(json->out, bracket);
    json->comma = true;
}

void json_object(struct json *json)
{
    open_with(json, '{');
}

void json_object_end(struct json *json)
{
    close_with(json, '}');
}

void json_array(struct json *json)
{
    open_with(json, '[');
}

void json_array_end(struct json *json)
{
    close_with(json, ']');
}

void json_key(struct json *json, const char *key)
{
    json_string(json, key);
    buffer_char(json->out, ':');
    json->comma = false;
}

void json_string(struct json *json, const char *text)
{
    item_begin(json);
    buffer_char(json->out, '"');
    json_escape(json->out, text);
    buffer_char(json->out, '"');
}

void json_integer(struct json *json, int64_t number)
{
    item_begin(json);
    buffer_printf(json->out, "%lld", (long long)number);
}

/* The decimal point is a point in JSON, whatever it is in the locale. */
static void append_number(struct buffer *out, const char *text)
{
    static const char digits[] = "-0123456789";
    size_t whole = strspn(text, digits);
    buffer_append(out, text, whole);
    text += whole;
    if (*text != '\0' && *text != 'e') {
        buffer_char(out, '.');
        text += strcspn(text, digits);
    }
    buffer_text(out, text);
}

void json_number(struct json *json, double number)
{
    char text[48];
    if (!isfinite(number)) {
        json_null(json);
        return;
    }
    snprintf(text, sizeof text, "%.15g", number);
    if (strtod(text, NULL) != number)
        snprintf(text, sizeof text, "%.17g", number);
    item_begin(json);
    append_number(json->out, text);
}

void json_bool(struct json *json, bool value)
{
    item_text(json, value ? "true" : "false");
}

void json_null(struct json *json)
{
    item_text(json, "null");
}

/* C1 controls are escaped too: some terminals obey them. */
static unsigned control_code(const unsigned char *text, size_t length)
{
    if (length == 1 && (text[0] < 0x20 || text[0] == 0x7f))
        return text[0];
    if (length == 2 && text[0] == 0xc2 && text[1] < 0xa0)
        return text[1];
    return 0;
}

static bool is_plain(const unsigned char *text, size_t length)
{
    if (length == 0 || control_code(text, length) != 0)
        return false;
    return *text != '"' && *text != '\\';
}

static void append_escape(struct buffer *out, const unsigned char *text, size_t length)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = length == 1 ? strchr(plain, *text) : NULL;
    if (length == 0)
        buffer_text(out, "\xef\xbf\xbd");
    else if (found != NULL)
        buffer_printf(out, "\\%c", letters[found - plain]);
    else
        buffer_printf(out, "\\u%04x", control_code(text, length));
}

void json_escape(struct buffer *out, const char *text)
{
    const unsigned char *c = (const unsigned char *)text, *pending = c;
    while (*c != '\0') {
        size_t length = utf8_length((const char *)c), step = length > 0 ? length : 1;
        if (!is_plain(c, length)) {
            buffer_append(out, pending, (size_t)(c - pending));
            append_escape(out, c, length);
            pending = c + step;
        }
        c += step;
    }
    buffer_append(out, pending, (size_t)(c - pending));
}
