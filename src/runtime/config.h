/*
 * postern.conf, read and checked (design.md, "postern.conf").
 *
 * A config never changes after config_load: a reload makes another. All of it
 * lives in config->arena.
 */
#ifndef POSTERN_RUNTIME_CONFIG_H
#define POSTERN_RUNTIME_CONFIG_H

#include "build_config.h"
#include "runtime/log.h"
#include <postern/plugin.h>

#define CONFIG_DEFAULT_PATH POSTERN_SYSCONF_DIR "/postern/postern.conf"

enum on_error { ON_ERROR_DUNNO, ON_ERROR_DEFER };
enum tls_mode { TLS_DISABLE, TLS_PREFER, TLS_REQUIRE, TLS_VERIFY };

/* A section `database "name" { ... }`. */
struct database_config {
    const char *name;   /* iredapd, vmail, amavisd */
    const char *driver; /* sqlite, pgsql, mysql */
    const char *path;   /* sqlite */
    const char *host; /* a path to a directory (pgsql) or socket (mysql) when it starts with '/' */
    int64_t port;     /* 0: the driver's default */
    const char *dbname;
    const char *user;
    const char *password; /* of password or password_file, which is read at load */
    int64_t pool_size;
    enum tls_mode tls;
    bool configured; /* has a section, or goes with iredapd into one file */
};

/* A section `plugin "name" { ... }`, or its absence, of a plugin in `plugins`. */
struct plugin_config {
    const struct postern_plugin *plugin; /* as its module declares it */
    bool shadow;
    int64_t priority;    /* the plugin's own unless overridden */
    const void *options; /* the plugin's options structure, filled */
};

enum directory_backend { DIRECTORY_NONE, DIRECTORY_SQL, DIRECTORY_LDAP };

struct config {
    struct postern_arena *arena;
    const char *path;

    const char *user;
    const char *group;
    int64_t workers; /* never 0: one per CPU is filled in */
    struct postern_names listen;
    const char *pid_file;
    const char *plugin_dir;
    int64_t request_timeout; /* seconds */
    int64_t spf_timeout;     /* seconds, of one evaluation */
    int64_t drain_timeout;   /* seconds */
    enum on_error on_error;
    const struct postern_network *mynetworks; /* without loopback, which always counts */
    size_t mynetworks_length;
    const char *recipient_delimiters;
    int64_t max_connections;
    int64_t cache_ttl; /* seconds */
    int64_t cleanup_batch;

    struct log_settings log;
    const char *metrics_listen; /* "" switches the endpoint off */

    struct postern_names dns_servers;
    int64_t dns_timeout; /* seconds */

    /* Always the three of design.md, those not configured as the embedded default. */
    const struct database_config *databases;
    size_t databases_length;

    enum directory_backend directory;
    struct postern_names local_domains;
    struct {
        const char *uri, *base_dn, *bind_dn, *bind_password;
        bool starttls;
    } ldap;
    struct {
        const char *domain;           /* in lower case; "" switches SRS off */
        struct postern_names secrets; /* secrets, then the lines of secrets_file */
        const char *secrets_file;
        const char *listen_forward, *listen_reverse, *listen_socketmap;
    } srs;
    struct {
        struct postern_names recipients;
        const char *sendmail, *smtp_url;
        const char *smtp_password; /* of smtp_password_file, or "" */
    } notify;
    struct {
        bool enabled, bypass_dunno, bypass_greylisting, bypass_whitelist;
        int64_t expire; /* seconds */
    } session_log;

    const struct plugin_config *plugins; /* in the order of the `plugins` list */
    size_t plugins_length;

    void *modules; /* what config_load had loaded; given to hooks->unload by config_free */
};

/*
 * How config finds the modules that `plugins` and plugin sections name; src/policy/
 * module.h has the real one. load returns the module's declaration, the same for the
 * same name, or NULL with error set; *modules is its to use.
 */
struct config_modules {
    const struct postern_plugin *(*load)(void **modules, const char *plugin_dir, const char *name,
                                         struct postern_error *error);
    void (*unload)(void *modules);
};

/*
 * NULL when anything is wrong; each problem is then one line of *errors
 * ("FILE:LINE: key: what was expected"), which the caller frees. Every problem that the
 * parser can get past is reported, not only the first. Reads the password files.
 */
struct config *config_load(const char *path, const struct config_modules *modules, char **errors);
void config_free(struct config *config); /* NULL is fine */

/* NULL when there is none of that name. */
const struct database_config *config_database(const struct config *config, const char *name);

#endif
