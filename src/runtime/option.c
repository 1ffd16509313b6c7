#include "runtime/option.h"

#include "util/names.h"
#include "util/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define QUANTITY_TEXT 64

struct option_kind {
    const char *expected; /* of one value; NULL: of a list */
    size_t size, alignment;
    bool (*parse)(struct postern_arena *arena, const struct postern_option *option,
                  const char *value, void *field, struct postern_error *error);
    void (*text)(const struct postern_option *option, const void *field, struct buffer *out);
};

static const struct option_kind *kind_of(const struct postern_option *option);

static bool refuse(const struct postern_option *option, const char *value,
                   struct postern_error *error)
{
    return postern_error_set(error, "expected %s, not `%s`", kind_of(option)->expected, value);
}

static bool parse_bool(struct postern_arena *arena, const struct postern_option *option,
                       const char *value, void *field, struct postern_error *error)
{
    (void)arena;
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i]) == 0) {
            *(bool *)field = i % 2 == 1;
            return true;
        }
    return refuse(option, value, error);
}

static void text_bool(const struct postern_option *option, const void *field, struct buffer *out)
{
    (void)option;
    buffer_text(out, *(const bool *)field ? "true" : "false");
}

static char *integer_text(int64_t number, char *text, size_t size)
{
    snprintf(text, size, "%" PRId64, number);
    return text;
}

typedef char *quantity_text(int64_t number, char *text, size_t size);

static void refuse_range(const struct postern_option *option, quantity_text *text,
                         const char *value, struct postern_error *error)
{
    char least[QUANTITY_TEXT], most[QUANTITY_TEXT];
    text(option->minimum, least, sizeof least);
    if (option->maximum == 0 && option->minimum == 0)
        postern_error_set(error, "expected %s or more, not `%s`", least, value);
    else
        postern_error_set(error, "expected %s to %s, not `%s`", least,
                          text(option->maximum, most, sizeof most), value);
}

static bool parse_quantity(const struct postern_option *option, const char *value, int64_t *field,
                           bool (*parse)(const char *, int64_t *), quantity_text *text,
                           struct postern_error *error)
{
    int64_t number;
    if (!parse(value, &number))
        return refuse(option, value, error);
    bool limited = option->minimum != 0 || option->maximum != 0;
    if (number < option->minimum || (limited && number > option->maximum)) {
        refuse_range(option, text, value, error);
        return false;
    }
    *field = number;
    return true;
}

static bool parse_integer(struct postern_arena *arena, const struct postern_option *option,
                          const char *value, void *field, struct postern_error *error)
{
    (void)arena;
    return parse_quantity(option, value, field, quantity_parse_integer, integer_text, error);
}

static void text_integer(const struct postern_option *option, const void *field, struct buffer *out)
{
    (void)option;
    buffer_printf(out, "%" PRId64, *(const int64_t *)field);
}

static bool parse_duration(struct postern_arena *arena, const struct postern_option *option,
                           const char *value, void *field, struct postern_error *error)
{
    (void)arena;
    return parse_quantity(option, value, field, quantity_parse_duration, quantity_duration_text,
                          error);
}

static void text_duration(const struct postern_option *option, const void *field,
                          struct buffer *out)
{
    (void)option;
    char text[QUANTITY_TEXT];
    buffer_text(out, quantity_duration_text(*(const int64_t *)field, text, sizeof text));
}

static bool parse_size(struct postern_arena *arena, const struct postern_option *option,
                       const char *value, void *field, struct postern_error *error)
{
    (void)arena;
    return parse_quantity(option, value, field, quantity_parse_size, quantity_size_text, error);
}

static void text_size(const struct postern_option *option, const void *field, struct buffer *out)
{
    (void)option;
    char text[QUANTITY_TEXT];
    buffer_text(out, quantity_size_text(*(const int64_t *)field, text, sizeof text));
}

static bool parse_string(struct postern_arena *arena, const struct postern_option *option,
                         const char *value, void *field, struct postern_error *error)
{
    (void)option;
    (void)error;
    *(const char **)field = postern_strdup(arena, value);
    return true;
}

static void append_quoted(struct buffer *out, const char *text)
{
    buffer_char(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buffer_char(out, '\\');
        if (*text == '\n')
            buffer_text(out, "\\n");
        else
            buffer_char(out, *text);
    }
    buffer_char(out, '"');
}

static void text_string(const struct postern_option *option, const void *field, struct buffer *out)
{
    (void)option;
    append_quoted(out, *(const char *const *)field);
}

static void refuse_choice(const struct postern_option *option, const char *value,
                          struct postern_error *error)
{
    struct buffer words = {0};
    for (const char *const *word = option->choices; *word != NULL; word++) {
        const char *before = word == option->choices ? "" : word[1] == NULL ? " or " : ", ";
        buffer_printf(&words, "%s\"%s\"", before, *word);
    }
    postern_error_set(error, "expected %s, not `%s`", words.length > 0 ? words.data : "nothing",
                      value);
    buffer_free(&words);
}

static bool parse_choice(struct postern_arena *arena, const struct postern_option *option,
                         const char *value, void *field, struct postern_error *error)
{
    (void)arena;
    for (int i = 0; option->choices[i] != NULL; i++)
        if (strcasecmp(option->choices[i], value) == 0) {
            *(int *)field = i;
            return true;
        }
    refuse_choice(option, value, error);
    return false;
}

static void text_choice(const struct postern_option *option, const void *field, struct buffer *out)
{
    append_quoted(out, option->choices[*(const int *)field]);
}

static bool parse_item(struct postern_arena *arena, const struct postern_option *option,
                       const char *value, void *field, struct postern_error *error)
{
    (void)option;
    (void)error;
    names_add(arena, field, postern_strdup(arena, value));
    return true;
}

static void text_list(const struct postern_option *option, const void *field, struct buffer *out)
{
    (void)option;
    const struct postern_names *names = field;
    buffer_char(out, '{');
    for (size_t i = 0; i < names->count; i++) {
        if (i > 0)
            buffer_text(out, ", ");
        append_quoted(out, names->items[i]);
    }
    buffer_char(out, '}');
}

#define FIELD(type) sizeof(type), _Alignof(type)

static const struct option_kind kinds[] = {
    [POSTERN_OPTION_BOOL] = {"true or false", FIELD(bool), parse_bool, text_bool},
    [POSTERN_OPTION_INTEGER] = {"a number", FIELD(int64_t), parse_integer, text_integer},
    [POSTERN_OPTION_DURATION] = {"a duration like 30s, 15m, 12h or 30d", FIELD(int64_t),
                                 parse_duration, text_duration},
    [POSTERN_OPTION_SIZE] = {"a size like 10KB, 5MB or 1GB", FIELD(int64_t), parse_size, text_size},
    [POSTERN_OPTION_STRING] = {"one text", FIELD(const char *), parse_string, text_string},
    [POSTERN_OPTION_CHOICE] = {"one word", FIELD(int), parse_choice, text_choice},
    [POSTERN_OPTION_LIST] = {NULL, FIELD(struct postern_names), parse_item, text_list},
};

static const struct option_kind *kind_of(const struct postern_option *option)
{
    return (size_t)option->type < sizeof kinds / sizeof *kinds ? &kinds[option->type] : NULL;
}

const struct postern_option *option_find(const struct postern_option *table, const char *name)
{
    for (; table != NULL && table->name != NULL; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

void option_names(const struct postern_option *table, struct buffer *out)
{
    for (const struct postern_option *option = table; option != NULL && option->name != NULL;
         option++)
        buffer_printf(out, "%s%s", option == table ? "" : ", ", option->name);
}

bool option_parse(struct postern_arena *arena, const struct postern_option *option,
                  const struct postern_names *values, void *options, struct postern_error *error)
{
    const struct option_kind *kind = kind_of(option);
    void *field = (char *)options + option->offset;
    if (kind->expected == NULL)
        *(struct postern_names *)field = (struct postern_names){0};
    else if (values->count != 1)
        return postern_error_set(error, "expected %s, not a list", kind->expected);
    for (size_t i = 0; i < values->count; i++)
        if (!kind->parse(arena, option, values->items[i], field, error))
            return false;
    return true;
}

static struct postern_names split_items(struct postern_arena *arena, const char *text)
{
    struct postern_names items = {0};
    while (*(text += strspn(text, ", ")) != '\0') {
        size_t length = strcspn(text, ",");
        const char *next = text + length;
        while (text[length - 1] == ' ')
            length--;
        names_add(arena, &items, postern_strndup(arena, text, length));
        text = next;
    }
    return items;
}

bool option_parse_fallback(struct postern_arena *arena, const struct postern_option *option,
                           void *options, struct postern_error *error)
{
    struct postern_names values = {1, (const char *[]){option->fallback}};
    if (kind_of(option)->expected == NULL)
        values = split_items(arena, option->fallback);
    return option_parse(arena, option, &values, options, error);
}

void option_text(const struct postern_option *option, const void *options, struct buffer *out)
{
    kind_of(option)->text(option, (const char *)options + option->offset, out);
}

static const char *option_fault(const struct postern_plugin *plugin,
                                const struct postern_option *option)
{
    const struct option_kind *kind = kind_of(option);
    if (kind == NULL)
        return "its type is unknown";
    if (kind->size > plugin->options_size || option->offset > plugin->options_size - kind->size)
        return "its field is outside the options structure";
    if (option->offset % kind->alignment != 0)
        return "its field is not aligned for its type";
    if (option->fallback == NULL)
        return "it has no default";
    if (option->type == POSTERN_OPTION_CHOICE && option->choices == NULL)
        return "it has no choices";
    if (option_find(plugin->options, option->name) != option)
        return "it is declared twice";
    return NULL;
}

static bool option_default(struct postern_arena *arena, const struct postern_plugin *plugin,
                           const struct postern_option *option, void *options,
                           struct postern_error *error)
{
    const char *fault = option_fault(plugin, option);
    struct postern_error cause = {{0}};
    if (fault == NULL && !option_parse_fallback(arena, option, options, &cause))
        fault = cause.text;
    return fault == NULL ||
           postern_error_set(error, "the module %s declares the option %s wrongly: %s",
                             plugin->name, option->name, fault);
}

bool option_defaults(struct postern_arena *arena, const struct postern_plugin *plugin,
                     void **options, struct postern_error *error)
{
    *options = plugin->options_size > 0 ? postern_alloc(arena, plugin->options_size) : NULL;
    for (const struct postern_option *option = plugin->options;
         option != NULL && option->name != NULL; option++)
        if (!option_default(arena, plugin, option, *options, error))
            return false;
    return true;
}
