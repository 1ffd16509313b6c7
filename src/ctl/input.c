#include "ctl/input.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES  1000
#define INPUT_MAX_BYTES (16 << 20)
#define COMPLAINTS_MAX  10
#define SPACE           " \t\r\v\f"

static struct input_item *item_new(struct ctl *ctl, struct input *input)
{
    if (input->count == input->room) {
        size_t room = input->room > 0 ? 2 * input->room : 16;
        struct input_item *items = postern_alloc(ctl->arena, room * sizeof *items);
        if (input->count > 0)
            memcpy(items, input->items, input->count * sizeof *items);
        input->items = items;
        input->room = room;
    }
    return &input->items[input->count++];
}

void input_complain(struct ctl *ctl, struct input *input, const struct input_item *item,
                    const char *format, ...)
{
    input->is_bad = true;
    if (++input->complaints == COMPLAINTS_MAX + 1)
        ctl_complain("there are more");
    if (input->complaints > COMPLAINTS_MAX)
        return;
    va_list args;
    va_start(args, format);
    const char *message = postern_vprintf(ctl->arena, format, args);
    va_end(args);
    if (item->line > 0)
        ctl_complain("standard input:%zu: %s", item->line, message);
    else
        ctl_complain("%s: %s", item->option, message);
}

/* --- standard input --- */

bool input_text(struct buffer *text, size_t most)
{
    char piece[16384];
    ssize_t length;
    if (isatty(STDIN_FILENO))
        ctl_complain("type one in each line, and Ctrl-D at the end");
    while ((length = read(STDIN_FILENO, piece, sizeof piece)) != 0) {
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0) {
            ctl_complain("cannot read standard input: %s", strerror(errno));
            return false;
        }
        if (text->length + (size_t)length > most) {
            ctl_complain("standard input has more than %zu MB; give it in parts", most >> 20);
            return false;
        }
        buffer_append(text, piece, (size_t)length);
    }
    return true;
}

/* The length of what comes before a comment and the space before that. */
static size_t content_length(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (line[i] == '#' && (i == 0 || strchr(SPACE, line[i - 1]) != NULL))
            length = i;
    while (length > 0 && strchr(SPACE, line[length - 1]) != NULL)
        length--;
    return length;
}

static void take_line(struct ctl *ctl, struct input *input, const struct input_item *place,
                      const char *line, size_t length)
{
    if (length > LINE_MAX_BYTES) {
        input_complain(ctl, input, place, "the line is longer than %d bytes", LINE_MAX_BYTES);
        return;
    }
    if (memchr(line, '\0', length) != NULL) {
        input_complain(ctl, input, place, "the line has a NUL byte; this is no text");
        return;
    }
    while (length > 0 && strchr(SPACE, line[0]) != NULL) {
        line++;
        length--;
    }
    length = content_length(line, length);
    if (length == 0)
        return;
    struct input_item *item = item_new(ctl, input);
    *item = *place;
    item->text = postern_strndup(ctl->arena, line, length);
}

static void split(struct ctl *ctl, struct input *input, struct input_item place,
                  const struct buffer *text)
{
    static const char BYTE_ORDER_MARK[] = "\xef\xbb\xbf";
    const char *line = text->data, *end = line + text->length;
    if (text->length >= 3 && memcmp(line, BYTE_ORDER_MARK, 3) == 0)
        line += 3;
    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline != NULL ? newline : end;
        place.line++;
        take_line(ctl, input, &place, line, (size_t)(stop - line));
        line = stop + 1;
    }
}

static bool add_lines(struct ctl *ctl, struct input *input, struct input_item place)
{
    struct buffer text = {0};
    bool good = input_text(&text, INPUT_MAX_BYTES);
    if (good && text.length > 0)
        split(ctl, input, place, &text);
    buffer_free(&text);
    return good;
}

bool input_add(struct ctl *ctl, struct input *input, const char *option,
               struct postern_names values, int list)
{
    for (size_t i = 0; i < values.count; i++) {
        struct input_item place = {.text = values.items[i], .option = option, .list = list};
        bool is_stdin = strcmp(place.text, "-") == 0;
        if (!is_stdin) {
            *item_new(ctl, input) = place;
            continue;
        }
        if (input->is_from_stdin) {
            ctl_complain("`-` is standard input, which can be read only once");
            input->is_bad = true;
            continue;
        }
        input->is_from_stdin = true;
        if (!add_lines(ctl, input, place))
            return false;
    }
    return true;
}
