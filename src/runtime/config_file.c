/*
 * libconfuse wants every key declared before it reads; here any key is read, so that all unknown
 * ones can be reported at once, and each is judged where its meaning is known. Therefore the
 * text is scanned first, and every word before an '=' is declared as a list of texts. The scan
 * also replaces comments by spaces, because libconfuse 3.3 loses count of the lines after one and
 * refuses them inside of lists, and it finds what is never closed, which libconfuse accepts at
 * the end of a section.
 */
#include "runtime/config_file.h"

#include "util/names.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#define FILE_LIMIT    ((size_t)1 << 20)
#define KEYS_LIMIT    1000
#define DEPTH_LIMIT   8
#define SECTION_START " start of section"

struct config_problem {
    int line;
    const char *text;
    struct config_problem *next;
};

/* A value as it was read: which option it is of, and where. */
struct value_line {
    const cfg_opt_t *option;
    int line;
};

/* KEY = in the text; depth 0 is outside of sections. */
struct key_place {
    const char *key;
    size_t depth;
    int line;
};

struct reader {
    struct config_problems *problems;
    struct postern_arena *arena;
    const struct config_section_kind *kinds;
    char *text;
    int line;
    struct {
        char bracket;
        int line;
    } open[DEPTH_LIMIT];
    size_t depth;
    struct postern_names keys; /* each once */
    struct key_place *places;
    size_t places_count, places_room;
    struct value_line *values;
    size_t values_count, values_room;
    struct config_file file;
};

/* libconfuse's callbacks carry no context of the caller's. */
static struct reader *current;

void config_problem_add(struct config_problems *problems, int line, const char *format, ...)
{
    struct config_problem *problem = postern_alloc(problems->arena, sizeof *problem);
    problem->line = line;
    va_list args;
    va_start(args, format);
    problem->text = postern_vprintf(problems->arena, format, args);
    va_end(args);
    LL_PREPEND(problems->list, problem);
}

static int problem_order(const struct config_problem *a, const struct config_problem *b)
{
    return a->line - b->line;
}

char *config_problems_text(struct config_problems *problems)
{
    struct config_problem *ordered = NULL, *problem, *next;
    LL_FOREACH_SAFE(problems->list, problem, next)
    LL_PREPEND(ordered, problem);
    LL_SORT(ordered, problem_order);
    problems->list = NULL;

    struct buffer text = {0};
    LL_FOREACH(ordered, problem)
    {
        if (problem->line > 0)
            buffer_printf(&text, "%s:%d: ", problems->path, problem->line);
        buffer_printf(&text, "%s\n", problem->text);
    }
    return text.data;
}

char *config_read_all(struct postern_arena *arena, const char *path, size_t limit, size_t *length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    struct buffer text = {0};
    char piece[4096];
    ssize_t got = 0;
    while (text.length <= limit && (got = read(fd, piece, sizeof piece)) > 0)
        buffer_append(&text, piece, (size_t)got);
    int cause = got < 0 ? errno : text.length > limit ? EFBIG : 0;
    close(fd);
    char *copy = postern_alloc(arena, text.length + 1);
    if (text.length > 0)
        memcpy(copy, text.data, text.length);
    *length = text.length;
    buffer_free(&text);
    errno = cause;
    return cause == 0 ? copy : NULL;
}

static bool is_word(char c)
{
    return c != '\0' && strchr(" \t\r\n#\"'={}()+,*", c) == NULL;
}

static void open_bracket(struct reader *reader, char bracket)
{
    if (reader->depth < DEPTH_LIMIT) {
        reader->open[reader->depth].bracket = bracket;
        reader->open[reader->depth].line = reader->line;
    }
    reader->depth++;
}

static size_t end_of_comment(const char *text)
{
    if (text[0] != '/' || text[1] != '*')
        return strcspn(text, "\n");
    const char *end = strstr(text + 2, "*/");
    return end != NULL ? (size_t)(end - text) + 2 : strlen(text);
}

/* Leaves the line ends, so that lines stay what they are. */
static size_t blank_comment(struct reader *reader, size_t at)
{
    char *text = reader->text + at;
    size_t length = end_of_comment(text);
    if (text[length] == '\0' && text[1] == '*' && text[0] == '/')
        open_bracket(reader, '*');
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\n')
            reader->line++;
        else
            text[i] = ' ';
    return at + length;
}

/* ${NAME} or ${NAME:-default}, which libconfuse replaces; 0 when it is not one. */
static size_t variable_length(const char *text)
{
    const char *end = text[0] == '$' && text[1] == '{' ? strchr(text, '}') : NULL;
    return end != NULL ? (size_t)(end - text) + 1 : 0;
}

static size_t skip_string(struct reader *reader, size_t at)
{
    char quote = reader->text[at];
    open_bracket(reader, quote);
    for (at++; reader->text[at] != '\0'; at++) {
        if (reader->text[at] == quote) {
            reader->depth--;
            return at + 1;
        }
        size_t variable = quote == '"' ? variable_length(reader->text + at) : 0;
        if (variable > 0)
            at += variable - 1;
        else if (reader->text[at] == '\\' && reader->text[at + 1] != '\0')
            at++;
        if (reader->text[at] == '\n')
            reader->line++;
    }
    return at;
}

/* Room for one more item in an array of the arena. */
static void *grow(struct postern_arena *arena, void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room * 2 + 64;
    void *more = postern_alloc(arena, *room * size);
    if (count > 0)
        memcpy(more, items, count * size);
    return more;
}

static void note_key(struct reader *reader, const char *key)
{
    reader->places = grow(reader->arena, reader->places, reader->places_count, &reader->places_room,
                          sizeof *reader->places);
    reader->places[reader->places_count++] = (struct key_place){key, reader->depth, reader->line};
    if (reader->keys.count < KEYS_LIMIT && !names_hold(&reader->keys, key))
        names_add(reader->arena, &reader->keys, key);
}

static size_t skip_word(struct reader *reader, size_t at)
{
    size_t start = at;
    while (is_word(reader->text[at]))
        at++;
    size_t after = at + strspn(reader->text + at, " \t\r\n+");
    if (reader->text[after] != '=')
        return at;
    note_key(reader, postern_strndup(reader->arena, reader->text + start, at - start));
    return at;
}

static size_t scan_token(struct reader *reader, size_t at)
{
    const char *text = reader->text + at;
    if (text[0] == '#' || (text[0] == '/' && (text[1] == '/' || text[1] == '*')))
        return blank_comment(reader, at);
    if (text[0] == '"' || text[0] == '\'')
        return skip_string(reader, at);
    if (variable_length(text) > 0)
        return at + variable_length(text);
    if (is_word(text[0]))
        return skip_word(reader, at);
    if (text[0] == '{')
        open_bracket(reader, '{');
    if (text[0] == '}' && reader->depth > 0)
        reader->depth--;
    if (text[0] == '\n')
        reader->line++;
    return at + 1;
}

static bool scan(struct reader *reader, size_t length)
{
    reader->line = 1;
    if (strlen(reader->text) != length) {
        config_problem_add(reader->problems, 0, "%s is not a text: it has a NUL byte",
                           reader->problems->path);
        return false;
    }
    for (size_t at = 0; reader->text[at] != '\0';)
        at = scan_token(reader, at);
    if (length > 0 && reader->text[length - 1] == '\n')
        reader->line--;
    if (reader->depth == 0)
        return true;
    size_t deepest = reader->depth < DEPTH_LIMIT ? reader->depth - 1 : DEPTH_LIMIT - 1;
    config_problem_add(reader->problems, reader->open[deepest].line, "this %s is never closed",
                       reader->open[deepest].bracket == '*'   ? "/*"
                       : reader->open[deepest].bracket == '{' ? "{"
                                                              : "quoted text");
    return false;
}

static int value_read(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
    struct reader *reader = current;
    reader->values = grow(reader->arena, reader->values, reader->values_count, &reader->values_room,
                          sizeof *reader->values);
    reader->values[reader->values_count++] = (struct value_line){option, section->line};
    *(const char **)result = value;
    return 0;
}

static void syntax_error(cfg_t *section, const char *format, va_list args)
{
    const char *text = postern_vprintf(current->arena, format, args);
    int line = section->line < current->line ? section->line : current->line;
    config_problem_add(current->problems, line, "%s", text);
}

static bool is_section(const struct reader *reader, const char *name)
{
    for (const struct config_section_kind *kind = reader->kinds; kind->name != NULL; kind++)
        if (strcmp(kind->name, name) == 0)
            return true;
    return false;
}

static cfg_opt_t *declare_keys(const struct reader *reader, cfg_opt_t *option, bool top)
{
    for (size_t i = 0; i < reader->keys.count; i++) {
        if (top && is_section(reader, reader->keys.items[i]))
            continue;
        *option =
            (cfg_opt_t)CFG_STR_LIST_CB(reader->keys.items[i], NULL, CFGF_NODEFAULT, value_read);
        option++;
    }
    return option;
}

/* A section's defaults are read where it begins: one with a default tells the line of that. */
static cfg_opt_t *declare_section_keys(const struct reader *reader)
{
    cfg_opt_t *options = postern_alloc(reader->arena, (reader->keys.count + 2) * sizeof *options);
    cfg_opt_t *option = declare_keys(reader, options, false);
    *option = (cfg_opt_t)CFG_STR_CB(SECTION_START, NULL, CFGF_NONE, value_read);
    option->def.parsed = postern_strdup(reader->arena, "here");
    option[1] = (cfg_opt_t)CFG_END();
    return options;
}

static cfg_opt_t *declare_all(const struct reader *reader)
{
    size_t kinds = 0;
    while (reader->kinds[kinds].name != NULL)
        kinds++;
    cfg_opt_t *options =
        postern_alloc(reader->arena, (reader->keys.count + kinds + 1) * sizeof *options);
    cfg_opt_t *option = declare_keys(reader, options, true);
    cfg_opt_t *keys = declare_section_keys(reader);
    for (const struct config_section_kind *kind = reader->kinds; kind->name != NULL; kind++) {
        int title = kind->titled ? CFGF_TITLE | CFGF_NO_TITLE_DUPES : 0;
        *option++ = (cfg_opt_t)CFG_SEC(kind->name, keys, CFGF_MULTI | title);
    }
    *option = (cfg_opt_t)CFG_END();
    return options;
}

/* A list given again keeps only its last values: those are the last lines of this option. */
static int *option_lines(const struct reader *reader, const cfg_opt_t *option)
{
    int *lines = postern_alloc(reader->arena, (option->nvalues + 1) * sizeof *lines);
    size_t left = option->nvalues;
    for (size_t i = reader->values_count; i > 0 && left > 0; i--)
        if (reader->values[i - 1].option == option)
            lines[--left] = reader->values[i - 1].line;
    return lines;
}

/* For an empty list, which has no values to tell it. */
static int key_line(const struct reader *reader, const struct config_section *section,
                    const char *key)
{
    size_t depth = section->name[0] == '\0' ? 0 : 1;
    for (size_t i = 0; i < reader->places_count; i++)
        if (reader->places[i].depth == depth && reader->places[i].line >= section->line &&
            strcmp(reader->places[i].key, key) == 0)
            return reader->places[i].line;
    return section->line;
}

static void take_setting(const struct reader *reader, struct config_section *section,
                         const cfg_opt_t *option)
{
    struct config_setting *setting = &section->settings[section->count++];
    setting->key = postern_strdup(reader->arena, option->name);
    setting->lines = option_lines(reader, option);
    setting->line = option->nvalues > 0 ? setting->lines[option->nvalues - 1]
                                        : key_line(reader, section, option->name);
    for (unsigned i = 0; i < option->nvalues; i++)
        if (option->values[i]->string != NULL)
            names_add(reader->arena, &setting->values,
                      postern_strdup(reader->arena, option->values[i]->string));
}

/* Before a syntax error, a key without values may be one whose value was not reached. */
static bool is_given(const struct reader *reader, const cfg_opt_t *option)
{
    return option->type == CFGT_STR && (option->flags & CFGF_MODIFIED) != 0 &&
           strcmp(option->name, SECTION_START) != 0 &&
           (option->nvalues > 0 || reader->problems->list == NULL);
}

static void take_section(struct reader *reader, const cfg_t *tree, const char *name)
{
    struct config_section *section = &reader->file.sections[reader->file.count++];
    section->name = name;
    section->title = postern_strdup(reader->arena, tree->title != NULL ? tree->title : "");
    section->line = 1;
    section->settings =
        postern_alloc(reader->arena, (reader->keys.count + 1) * sizeof *section->settings);
    for (const cfg_opt_t *option = tree->opts; option->name != NULL; option++)
        if (strcmp(option->name, SECTION_START) == 0)
            section->line = option_lines(reader, option)[0];
    for (const cfg_opt_t *option = tree->opts; option->name != NULL; option++)
        if (is_given(reader, option))
            take_setting(reader, section, option);
}

static void take_all(struct reader *reader, const cfg_t *tree)
{
    size_t sections = 1;
    for (const cfg_opt_t *option = tree->opts; option->name != NULL; option++)
        sections += option->type == CFGT_SEC ? option->nvalues : 0;
    reader->file.sections = postern_alloc(reader->arena, sections * sizeof *reader->file.sections);
    take_section(reader, tree, "");
    for (const cfg_opt_t *option = tree->opts; option->name != NULL; option++)
        for (unsigned i = 0; option->type == CFGT_SEC && i < option->nvalues; i++)
            take_section(reader, option->values[i]->section,
                         postern_strdup(reader->arena, option->name));
}

static void parse(struct reader *reader)
{
    char *text = reader->text[0] != '\0' ? reader->text : (char[]){"\n"};
    FILE *stream = fmemopen(text, strlen(text), "r");
    cfg_t *tree = stream != NULL ? cfg_init(declare_all(reader), CFGF_NONE) : NULL;
    if (tree == NULL) {
        fputs("out of memory\n", stderr);
        abort();
    }
    cfg_set_error_function(tree, syntax_error);
    cfg_parse_fp(tree, stream);
    fclose(stream);
    take_all(reader, tree);
    cfg_free(tree);
}

struct config_file config_file_read(const struct config_section_kind *kinds,
                                    struct config_problems *problems)
{
    struct reader reader = {.problems = problems, .arena = problems->arena, .kinds = kinds};
    size_t length;
    char *text = config_read_all(reader.arena, problems->path, FILE_LIMIT, &length);
    if (text == NULL) {
        config_problem_add(problems, 0, "cannot read %s: %s; give another with -c FILE",
                           problems->path, strerror(errno));
        return reader.file;
    }
    reader.text = text;
    if (!scan(&reader, length))
        return reader.file;
    current = &reader;
    parse(&reader);
    current = NULL;
    return reader.file;
}

const struct config_setting *config_setting_find(const struct config_section *section,
                                                 const char *key)
{
    for (size_t i = 0; i < section->count; i++)
        if (strcmp(section->settings[i].key, key) == 0)
            return &section->settings[i];
    return NULL;
}
