/* What the tests of postern.conf share: made-up modules, a folder for files, expected errors. */
#ifndef POSTERN_TESTS_CONFIG_FIXTURE_H
#define POSTERN_TESTS_CONFIG_FIXTURE_H

#include "runtime/config_draft.h"
#include "util/arena.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct grey_options {
    bool training_mode;
    int64_t ipv4_prefix;
    int64_t block_expire;
    int64_t quota;
    const char *message;
    int header;
    struct postern_names skip;
};

static inline bool grey_validate(const void *options, struct postern_error *error)
{
    const struct grey_options *grey = options;
    return grey->block_expire < 86400 ||
           postern_error_set(error, "block_expire must be shorter than a day");
}

static inline void check(struct postern_request *req)
{
    (void)req;
}

static const struct postern_option grey_table[] = {
    POSTERN_OPTION(BOOL, struct grey_options, training_mode, "false", "answers nothing"),
    POSTERN_OPTION(INTEGER, struct grey_options, ipv4_prefix, "32", "bits", .minimum = 8,
                   .maximum = 32),
    POSTERN_OPTION(DURATION, struct grey_options, block_expire, "15m", "blocked for"),
    POSTERN_OPTION(SIZE, struct grey_options, quota, "5MB", "bytes"),
    POSTERN_OPTION(STRING, struct grey_options, message, "come again", "reply"),
    POSTERN_OPTION(CHOICE, struct grey_options, header, "none", "which",
                   .choices = (const char *const[]){"none", "received", "both", NULL}),
    POSTERN_OPTION(LIST, struct grey_options, skip, "a.example, b.example", "domains"),
    POSTERN_OPTIONS_END,
};

static const struct postern_plugin greylisting = {
    .name = "greylisting",
    .priority = 80,
    .options_size = sizeof(struct grey_options),
    .options = grey_table,
    .validate = grey_validate,
    .check = check,
};
static const struct postern_plugin null_sender = {
    .name = "reject_null_sender", .priority = 100, .check = check};
static const struct postern_plugin to_hostname = {
    .name = "reject_to_hostname", .priority = 100, .check = check};
static const struct postern_plugin throttle = {.name = "throttle", .priority = 60, .check = check};
static const struct postern_plugin rdns = {.name = "wblist_rdns", .priority = 99, .check = check};
static const struct postern_plugin wblist = {
    .name = "wblist", .priority = 40, .database = "amavisd", .check = check};
static struct postern_plugin broken = {.name = "broken", .check = check};

static const struct {
    const char *name;
    const struct postern_plugin *plugin;
} modules[] = {
    {"greylisting", &greylisting},
    {"old_greylisting", &greylisting},
    {"reject_null_sender", &null_sender},
    {"reject_to_hostname", &to_hostname},
    {"throttle", &throttle},
    {"wblist", &wblist},
    {"wblist_rdns", &rdns},
    {"broken", &broken},
};

static int loads, unloads;

static inline const struct postern_plugin *fake_load(void **context, const char *plugin_dir,
                                                     const char *name, struct postern_error *error)
{
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (strcmp(modules[i].name, name) == 0) {
            if (*context == NULL) {
                *context = malloc(1);
                loads++;
            }
            return modules[i].plugin;
        }
    postern_error_set(error, "cannot load %s/%s.so", plugin_dir, name);
    return NULL;
}

static inline void fake_unload(void *context)
{
    free(context);
    unloads++;
}

static const struct config_modules hooks = {fake_load, fake_unload};

static char directory[] = "/tmp/postern-config-XXXXXX";
static char path[64];

static inline const char *write_file(const char *name, const char *data, size_t length)
{
    static char written[128];
    snprintf(written, sizeof written, "%s/%s", directory, name);
    FILE *file = fopen(written, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    fclose(file);
    return written;
}

static inline struct config *load_text(const char *text, char **errors)
{
    write_file("postern.conf", text, strlen(text));
    return config_load(path, &hooks, errors);
}

static inline struct config *load_good(const char *text)
{
    char *errors;
    struct config *config = load_text(text, &errors);
    if (config == NULL)
        fail_msg("refused: %s", errors);
    assert_null(errors);
    return config;
}

/* Each argument is the start of an expected line, after "PATH:"; there are no others. */
static inline void expect_errors(const char *text, const char *const *expected, size_t count)
{
    char *errors, *rest = NULL;
    struct config *config = load_text(text, &errors);
    assert_null(config);
    assert_non_null(errors);
    char *copy = strdup(errors), *line = strtok_r(copy, "\n", &rest);
    for (size_t i = 0; i < count; i++, line = strtok_r(NULL, "\n", &rest)) {
        bool placed = line != NULL && strncmp(line, path, strlen(path)) == 0;
        const char *said = placed ? line + strlen(path) + 1 : "";
        if (strncmp(said, expected[i], strlen(expected[i])) != 0)
            fail_msg("expected `%s` in:\n%s", expected[i], errors);
    }
    if (line != NULL)
        fail_msg("not expected: `%s`", line);
    free(copy);
    free(errors);
}

#define EXPECT_ERRORS(text, ...)                                                                   \
    expect_errors(text, (const char *const[]){__VA_ARGS__},                                        \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static inline int make_directory(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/postern.conf", directory);
    return 0;
}

static inline int remove_directory(void **state)
{
    (void)state;
    static const char *const names[] = {"postern.conf", "pw", "srs", "big", "empty"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[128];
        snprintf(file, sizeof file, "%s/%s", directory, names[i]);
        unlink(file);
    }
    return rmdir(directory);
}

#endif
