#include "ctl/help.h"

#include "ctl/nouns.h"
#include "ctl/output.h"
#include "ctl/usage.h"

static void command_json(struct json *json, const struct noun *noun, const struct command *command)
{
    struct buffer usage = {0};
    usage_command(&usage, noun, command);
    json_object(json);
    json_key(json, "noun");
    json_string(json, noun->name);
    json_key(json, "verb");
    json_string(json, command->verb);
    json_key(json, "usage");
    json_string(json, usage.data);
    json_key(json, "help");
    json_string(json, command->help);
    json_object_end(json);
    buffer_free(&usage);
}

/* The commands that the words are the beginning of. */
static void help_json(struct ctl *ctl, struct found found)
{
    struct json json = json_on(ctl->out);
    json_array(&json);
    for (size_t i = 0; nouns[i] != NULL; i++) {
        const struct command *each = nouns[i]->commands;
        for (; each->verb != NULL; each++) {
            bool is_meant =
                found.noun == NULL || (found.noun == nouns[i] &&
                                       command_words(each, &ctl->operands, 1) + 1 >= found.used);
            if (is_meant)
                command_json(&json, nouns[i], each);
        }
    }
    json_array_end(&json);
}

enum ctl_status help_print(struct ctl *ctl)
{
    struct found found = command_find(&ctl->operands);
    if (found.command == NULL && found.used < ctl->operands.count)
        return usage_unknown(&ctl->operands);
    if (ctl->json)
        help_json(ctl, found);
    else
        usage_help(ctl->out, &ctl->operands);
    return CTL_DONE;
}

static enum ctl_status help(struct ctl *ctl)
{
    if (ctl_option(ctl, "complete") == NULL)
        return help_print(ctl);
    usage_completion(ctl->out);
    return CTL_DONE;
}

static const struct command commands[] = {
    {"", "[NOUN [VERB]]", "what posternctl can do, or what one noun or verb is for",
     (const struct command_option[]){
         {"complete", NULL, "print all commands with their options, for shells"}, {NULL}},
     NEEDS_NOTHING, help},
    {NULL},
};

const struct noun noun_help = {"help", "what posternctl can do", commands};
