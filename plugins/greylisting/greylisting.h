/* The parts of the greylisting plugin. */
#ifndef PLUGINS_GREYLISTING_H
#define PLUGINS_GREYLISTING_H

#include <postern/plugin.h>

struct options {
    int64_t block_expire;          /* seconds */
    int64_t unauth_triplet_expire; /* seconds */
    int64_t auth_triplet_expire;   /* seconds */
    int64_t auto_whitelist_after;  /* triplets */
    int64_t ipv4_prefix;           /* bits */
    int64_t ipv6_prefix;           /* bits */
    bool bypass_spf;
    bool training_mode;
    bool delay_header;
    bool all_wildcards;
    const char *message;
};

/* --- settings.c: what is configured for a sender, a client and a recipient --- */

struct settings; /* per process */

struct settings *settings_new(void);
void settings_free(struct settings *settings);

enum greylisting_setting {
    SETTING_OFF,         /* no setting, or one that switches it off */
    SETTING_WHITELISTED, /* *why names the entry */
    SETTING_ON,
    SETTING_FAILED /* the request has been told */
};

enum greylisting_setting settings_find(struct postern_request *req, struct settings *settings,
                                       const struct options *options, const char **why);

/* --- triplet.c: what has been counted for the triplet and its client --- */

/* In the order of the statement's answers. */
enum triplet_status {
    TRIPLET_CLIENT_PASSED, /* the client, or this very triplet, has passed before */
    TRIPLET_FIRST_SEEN,
    TRIPLET_TOO_EARLY,
    TRIPLET_PASSED_NOW,
    TRIPLET_FAILED /* the request has been told */
};

struct triplet {
    const char *sender, *recipient; /* without extension */
    const char *sender_domain, *recipient_domain;
    const char *client; /* the first address of the client's network */
    int64_t seconds;    /* since it was first seen (PASSED_NOW), until it passes (TOO_EARLY) */
};

struct triplet triplet_of(struct postern_request *req, const struct options *options);

/* Counts this attempt and says what comes of it, in one atomic statement. */
enum triplet_status triplet_try(struct postern_request *req, const struct options *options,
                                struct triplet *triplet);

/* The client has passed: its other triplets need not wait any more. */
enum postern_lookup triplet_forget_others(struct postern_request *req,
                                          const struct options *options,
                                          const struct triplet *triplet);

/* A client that has passed before keeps its rows; written only when it gains a tenth. */
enum postern_lookup triplet_extend(struct postern_request *req, const struct options *options,
                                   const struct triplet *triplet);

#endif
