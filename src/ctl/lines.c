#include "ctl/lines.h"

#include "ctl/input.h"
#include "util/names.h"
#include <string.h>

#define INPUT_MAX (64 * 1024 * 1024)

static void split(struct ctl *ctl, const struct buffer *input, struct postern_names *lines)
{
    const char *at = input->data, *end = input->data + input->length;
    while (at < end) {
        size_t length = strcspn(at, "\r\n");
        if (length > 0)
            names_add(ctl->arena, lines, postern_strndup(ctl->arena, at, length));
        at += length + 1; /* a NUL ends a line too */
    }
}

static enum ctl_status take_input(struct ctl *ctl, struct postern_names *lines)
{
    struct buffer input = {0};
    bool done = input_text(&input, INPUT_MAX);
    if (done)
        split(ctl, &input, lines);
    buffer_free(&input);
    return done ? CTL_DONE : CTL_UNREACHABLE;
}

enum ctl_status lines_take(struct ctl *ctl, struct postern_names *lines)
{
    if (ctl->operands.count == 0) {
        ctl_complain("there is nothing to work on: give one or more of %s, or - to read them from "
                     "the standard input, a line each",
                     ctl->command->operands);
        return CTL_USAGE;
    }
    if (ctl->operands.count == 1 && strcmp(ctl->operands.items[0], "-") == 0)
        return take_input(ctl, lines);
    *lines = ctl->operands;
    return CTL_DONE;
}
