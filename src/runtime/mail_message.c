#include "runtime/mail_message.h"

#include "runtime/log_escape.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define LINE_LENGTH 76
#define TEXT_LIMIT  600 /* of a header; a line may have 998 bytes */
#define WORD_BYTES  39  /* fit an encoded word, on one line with the name of the header */
#define BODY_BYTES  57  /* fill a line of base64 */

static bool is_ascii(const char *text)
{
    while (*text != '\0' && (unsigned char)*text < 0x80)
        text++;
    return *text == '\0';
}

static void append_base64(struct buffer *out, const char *bytes, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t group = (uint32_t)(unsigned char)bytes[i] << 16;
        if (left > 1)
            group |= (uint32_t)(unsigned char)bytes[i + 1] << 8;
        if (left > 2)
            group |= (unsigned char)bytes[i + 2];
        char text[4] = {digits[group >> 18], digits[group >> 12 & 63],
                        left > 1 ? digits[group >> 6 & 63] : '=',
                        left > 2 ? digits[group & 63] : '='};
        buffer_append(out, text, sizeof text);
    }
}

static void append_encoded_words(struct buffer *out, const char *text, size_t length)
{
    for (size_t at = 0, part; at < length; at += part) {
        part = log_text_cut(text + at, length - at, WORD_BYTES);
        buffer_text(out, at == 0 ? " =?UTF-8?B?" : "\n =?UTF-8?B?");
        append_base64(out, text + at, part);
        buffer_text(out, "?=");
    }
}

/* Breaks lines at spaces, which stay. */
static void append_folded(struct buffer *out, const char *text, size_t column)
{
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        bool fits = column + 1 + word <= LINE_LENGTH;
        buffer_text(out, fits ? " " : "\n ");
        buffer_append(out, text, word);
        column = fits ? column + 1 + word : 1 + word;
        text += word;
        text += *text == ' ';
    }
}

void mail_header_text(struct buffer *out, const char *name, const char *text)
{
    struct buffer clean = {0};
    buffer_text(&clean, "");
    log_escape_message(&clean, text, strlen(text), TEXT_LIMIT);
    buffer_printf(out, "%s:", name);
    if (is_ascii(clean.data) && strstr(clean.data, "=?") == NULL)
        append_folded(out, clean.data, strlen(name) + 1);
    else
        append_encoded_words(out, clean.data, clean.length);
    buffer_char(out, '\n');
    buffer_free(&clean);
}

void mail_header_addresses(struct buffer *out, const char *name, struct postern_names addresses,
                           const char *host)
{
    buffer_printf(out, "%s: ", name);
    for (size_t i = 0; i < addresses.count; i++) {
        buffer_printf(out, "%s%s", i > 0 ? ",\n " : "", addresses.items[i]);
        if (strchr(addresses.items[i], '@') == NULL)
            buffer_printf(out, "@%s", host);
    }
    buffer_char(out, '\n');
}

static void append_date(struct buffer *out, int64_t time)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm = {0};
    gmtime_r(&(time_t){time}, &tm);
    buffer_printf(out, "Date: %s, %d %s %d %02d:%02d:%02d +0000\n", days[tm.tm_wday], tm.tm_mday,
                  months[tm.tm_mon], 1900 + tm.tm_year, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void mail_header_origin(struct buffer *out, int64_t time, const char *host)
{
    uint64_t unique[2] = {0};
    if (getrandom(unique, sizeof unique, 0) != sizeof unique)
        unique[0] = (uint64_t)getpid();
    append_date(out, time);
    buffer_printf(out, "Message-ID: <%" PRId64 ".%016" PRIx64 "%016" PRIx64 "@%s>\n", time,
                  unique[0], unique[1], host);
    buffer_text(out, "Auto-Submitted: auto-generated\n");
}

void mail_body(struct buffer *out, const char *text)
{
    bool ascii = is_ascii(text);
    buffer_printf(out,
                  "MIME-Version: 1.0\n"
                  "Content-Type: text/plain; charset=%s\n"
                  "Content-Transfer-Encoding: %s\n\n",
                  ascii ? "us-ascii" : "utf-8", ascii ? "7bit" : "base64");
    if (ascii) {
        buffer_text(out, text);
        return;
    }
    for (size_t length = strlen(text), part; length > 0; text += part, length -= part) {
        part = length < BODY_BYTES ? length : BODY_BYTES;
        append_base64(out, text, part);
        buffer_char(out, '\n');
    }
}
