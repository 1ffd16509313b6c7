/* The parts of the throttle plugin. */
#ifndef PLUGINS_THROTTLE_H
#define PLUGINS_THROTTLE_H

#include "limits.h"

#include <postern/plugin.h>

struct options {
    bool bypass_same_domain;
    bool bypass_mynetworks;
    bool bypass_local_recipient;
    bool all_wildcards;
};

/* --- settings.c: which rows of the table throttle match --- */

/* The rows that may matter to a message: of the kind of its sender, and inbound ones. */
struct settings {
    size_t count;
    struct throttle_row *rows;
};

struct postern_listing *settings_listing(void); /* per process */

/* user: its candidates are asked for together with those of the client's address. */
struct postern_names settings_names(struct postern_request *req, const char *user);
struct postern_names settings_client_names(struct postern_request *req,
                                           const struct options *options);

/* Adds the rows of these kinds whose account is one of names, or a network of the client's. */
enum postern_lookup settings_find(struct postern_request *req, struct postern_names kinds,
                                  struct postern_names names, struct settings *settings);

/* --- counters.c: which counters a message touches --- */

/* A row of throttle_tracking, and what this message would do to it. */
struct counter {
    const struct throttle_row *row;
    const char *key;                /* throttle_tracking.account */
    const char *name;               /* "tid key", unlike any other's */
    int64_t max_messages, max_size; /* 0: not limited */
    int64_t messages;               /* to be added */
};

struct counters {
    size_t count;
    struct counter *items; /* those of the sender first */
    bool refused;          /* by size or number of recipients alone: the request has been told */
};

/* Of one message, or FAILED. */
enum postern_lookup counters_find(struct postern_request *req, const struct options *options,
                                  struct counters *counters);

/* --- additions.c: the values of count.c's statements --- */

/* What is to be added to a counter, if what is there leaves room for it. */
struct addition {
    const char *name; /* as struct counter has them */
    const char *key;
    int64_t tid;
    int64_t messages, size;
    int64_t room_messages, room_size; /* what may be there before; INT64_MAX: not limited */
    int64_t expired;                  /* the start of a window that is over by now */
    int64_t period;
};

/* In their order; all but the last two are lists, of an item for each counter. */
enum addition_value {
    ADDED_NAMES,
    ADDED_TIDS,
    ADDED_KEYS,
    ADDED_MESSAGES,
    ADDED_ROOM_MESSAGES,
    ADDED_ROOM_SIZE,
    ADDED_EXPIRED,
    ADDED_PERIODS,
    ADDED_SIZES,
    ADDED_NOW,
    ADDED_COUNT,
    ADDED_VALUES
};

/* Sorts them: by the key of their rows, the order in which all messages lock them. */
struct postern_value *additions_values(struct postern_arena *arena, struct addition *additions,
                                       size_t count, int64_t now);

/* A postern_merge of such values. */
const struct postern_value *additions_merge(struct postern_arena *arena,
                                            const struct postern_value *const *given,
                                            size_t messages);

/* --- count.c: the database --- */

enum count_status {
    COUNT_ADDED,   /* to all of them */
    COUNT_REFUSED, /* nothing was added anywhere */
    COUNT_FAILED   /* the request has been told */
};

struct refusal {
    const struct counter *counter;
    bool by_size;    /* by max_quota, else by max_msgs */
    int64_t counted; /* messages or bytes, in this window */
};

/* Checks all counters and adds to all of them, in one atomic step. */
enum count_status count_message(struct postern_request *req, const struct counters *counters,
                                struct refusal *refusal);

#endif
