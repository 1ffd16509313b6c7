#include "reply.h"

#include <string.h>
#include <strings.h>

const char *const load_action_names[LOAD_ACTIONS] = {
    [ACTION_DUNNO] = "dunno",   [ACTION_OK] = "ok",           [ACTION_REJECT] = "reject",
    [ACTION_DEFER] = "defer",   [ACTION_DISCARD] = "discard", [ACTION_PREPEND] = "prepend",
    [ACTION_PERMIT] = "permit", [ACTION_WARN] = "warn",       [ACTION_OTHER] = "other",
};

static const struct {
    const char *word;
    enum load_action action;
} words[] = {
    {"dunno", ACTION_DUNNO},
    {"ok", ACTION_OK},
    {"reject", ACTION_REJECT},
    {"defer", ACTION_DEFER},
    {"defer_if_permit", ACTION_DEFER},
    {"defer_if_reject", ACTION_DEFER},
    {"discard", ACTION_DISCARD},
    {"prepend", ACTION_PREPEND},
    {"permit", ACTION_PERMIT},
    {"permit_auth_destination", ACTION_PERMIT},
    {"warn", ACTION_WARN},
    {"info", ACTION_WARN},
};

static bool is_code(const char *word, size_t length)
{
    return length == 3 && word[1] >= '0' && word[1] <= '9' && word[2] >= '0' && word[2] <= '9';
}

static enum load_action action_of(const char *word, size_t length)
{
    if (is_code(word, length) && word[0] == '4')
        return ACTION_DEFER;
    if (is_code(word, length) && word[0] == '5')
        return ACTION_REJECT;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == length && strncasecmp(words[i].word, word, length) == 0)
            return words[i].action;
    return ACTION_OTHER;
}

enum reply_state reply_read(const char *data, size_t length, enum load_action *action)
{
    static const char start[] = "action=";
    size_t start_length = sizeof start - 1;
    if (memcmp(data, start, length < start_length ? length : start_length) != 0)
        return REPLY_WRONG;
    const char *end = memchr(data, '\n', length);
    if (end == NULL || end + 1 == data + length)
        return length < REPLY_MAX ? REPLY_PARTIAL : REPLY_WRONG;
    if (end[1] != '\n' || end + 2 != data + length)
        return REPLY_WRONG;

    const char *word = data + start_length;
    size_t word_length = 0;
    while (word[word_length] != ' ' && word[word_length] != '\n')
        word_length++;
    if (word_length == 0)
        return REPLY_WRONG;
    *action = action_of(word, word_length);
    return REPLY_COMPLETE;
}
