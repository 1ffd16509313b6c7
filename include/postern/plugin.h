/*
 * The plugin API. A plugin is one shared object, NAME.so in `plugin_dir`:
 *
 *     #include <postern/plugin.h>
 *
 *     static void check(struct postern_request *req)
 *     {
 *         if (req->sasl_username[0] && !req->sender[0])
 *             postern_reject(req, "Policy rejection due to null sender");
 *     }
 *
 *     POSTERN_PLUGIN(reject_null_sender,
 *         .summary  = "refuses the null sender from authenticated users",
 *         .priority = 100,
 *         .states   = POSTERN_RCPT,
 *         .check    = check);
 *
 *     cc -shared -fPIC -o NAME.so NAME.c $(pkg-config --cflags postern)
 *
 * check runs in the request's fiber: it may wait (query, look up) and reads like
 * straight-line code. No locks are needed; what is static is shared by all
 * requests of the process and may change across a wait.
 */
#ifndef POSTERN_PLUGIN_H
#define POSTERN_PLUGIN_H

#include <postern/address.h>
#include <postern/arena.h>
#include <postern/db.h>
#include <postern/listing.h>
#include <postern/network.h>
#include <postern/request.h>
#include <postern/verdict.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Changes whenever a structure or function of these headers changes its meaning or layout. */
#define POSTERN_ABI_VERSION 1

enum postern_option_type {
    POSTERN_OPTION_BOOL,     /* bool */
    POSTERN_OPTION_INTEGER,  /* int64_t */
    POSTERN_OPTION_DURATION, /* int64_t, seconds */
    POSTERN_OPTION_SIZE,     /* int64_t, bytes */
    POSTERN_OPTION_STRING,   /* const char *, never NULL */
    POSTERN_OPTION_CHOICE,   /* int, index into .choices */
    POSTERN_OPTION_LIST      /* struct postern_names */
};

struct postern_option {
    const char *name;
    enum postern_option_type type;
    size_t offset;              /* of the field in the plugin's options structure */
    const char *fallback;       /* default, as written in postern.conf; a list: "" or "a, b" */
    const char *help;           /* one line, for `posternctl plugin list` and the manual */
    const char *const *choices; /* CHOICE: words, NULL at the end */
    int64_t minimum, maximum;   /* INTEGER, DURATION, SIZE; both 0: no limits but >= 0 */
};

/* .options = (const struct postern_option[]){ POSTERN_OPTION(...), ..., POSTERN_OPTIONS_END } */
/* `...` is the help text, and then what else is to be set (.choices, .minimum, .maximum). */
#define POSTERN_OPTION(kind, structure, field, fallback_text, ...)                                 \
    {                                                                                              \
        .name = #field, .type = POSTERN_OPTION_##kind, .offset = offsetof(structure, field),       \
        .fallback = fallback_text, .help = __VA_ARGS__                                             \
    }
#define POSTERN_OPTIONS_END                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

struct postern_error {
    char text[512];
};

/* Says what is wrong and what to do; cut at the size of the structure. Returns false. */
bool postern_error_set(struct postern_error *error, const char *format, ...) POSTERN_PRINTF(2, 3);

struct postern_plugin {
    uint32_t abi_version;
    const char *name;
    const char *summary;  /* one line */
    int priority;         /* larger is earlier */
    unsigned states;      /* set of enum postern_state */
    const char *database; /* one besides "iredapd" that must be configured for it; or NULL */
    bool aside; /* what it does is beside the answer: when it fails, that is logged and the chain
                   goes on, whatever `on_error` says */

    size_t options_size; /* sizeof the options structure */
    const struct postern_option *options;

    /* All may be NULL but check. */
    bool (*validate)(const void *options, struct postern_error *error);           /* config check */
    bool (*init)(const void *options, void **state, struct postern_error *error); /* per process */
    void (*check)(struct postern_request *req);
    void (*cleanup)(void *state);
};

/* The running plugin's options structure, and what its init put into *state. */
const void *postern_options(const struct postern_request *req);
void *postern_state(const struct postern_request *req);

/* One line in the daemon's log, at level "info", with the plugin's name. */
void postern_log(struct postern_request *req, const char *format, ...) POSTERN_PRINTF(2, 3);

#define POSTERN_PLUGIN(plugin_name, ...)                                                           \
    __attribute__((visibility("default"))) const struct postern_plugin postern_plugin = {          \
        .abi_version = POSTERN_ABI_VERSION, .name = #plugin_name, __VA_ARGS__}

#endif
