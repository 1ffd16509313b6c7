/* What a command is given in bulk: on the command line, or as lines of standard input. */
#ifndef POSTERN_CTL_INPUT_H
#define POSTERN_CTL_INPUT_H

#include "ctl/ctl.h"
#include "util/buffer.h"

/*
 * Appends all of standard input. On a terminal it says that one thing in a line is expected. False,
 * after a complaint, when it can't be read or has more than that many bytes.
 */
bool input_text(struct buffer *text, size_t most);

struct input_item {
    const char *text;
    const char *option; /* that it is a value of */
    size_t line;        /* of standard input; 0: it was on the command line */
    int list;           /* as input_add was told */
};

/* A zeroed structure is empty. */
struct input {
    size_t count, room;
    struct input_item *items;
    bool is_from_stdin, is_bad;
    size_t complaints;
};

/*
 * Adds the values of an option. One that is "-" stands for the lines of standard input, which may
 * be such once in a command: an item in each, without spaces around it; a line may be empty, and
 * "#" at its beginning or after a space begins a comment. False, after a complaint, when standard
 * input can't be read or is too much; lines that are wrong by themselves are complained of with
 * their numbers and set is_bad.
 */
bool input_add(struct ctl *ctl, struct input *input, const char *option,
               struct postern_names values, int list);

/* Complains of an item, by its place; of the first few that are wrong. Sets is_bad. */
void input_complain(struct ctl *ctl, struct input *input, const struct input_item *item,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
