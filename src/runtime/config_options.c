/* The keys of postern.conf. etc/postern.conf says what they mean. */
#include "build_config.h"
#include "runtime/config_draft.h"

#include <syslog.h>

#define HOUR  INT64_C(3600)
#define DAY   (24 * HOUR)
#define YEARS (3650 * DAY)

#define OPTION(kind, key, structure, field, text, ...)                                             \
    {                                                                                              \
        .name = key, .type = POSTERN_OPTION_##kind, .offset = offsetof(structure, field),          \
        .fallback = text, __VA_ARGS__                                                              \
    }
#define CONFIG(kind, key, field, text, ...)                                                        \
    OPTION(kind, key, struct config_draft, config.field, text, __VA_ARGS__)
#define DRAFT(kind, key, field, text, ...)                                                         \
    OPTION(kind, key, struct config_draft, field, text, __VA_ARGS__)
#define DATABASE(kind, key, field, text, ...)                                                      \
    OPTION(kind, key, struct database_draft, field, text, __VA_ARGS__)
#define RANGE(least, most) .minimum = least, .maximum = most
#define WORDS(...)                                                                                 \
    .choices = (const char *const[])                                                               \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static const int facility_codes[] = {
    LOG_KERN,   LOG_USER,   LOG_MAIL,   LOG_DAEMON,   LOG_AUTH,   LOG_SYSLOG, LOG_LPR,
    LOG_NEWS,   LOG_UUCP,   LOG_CRON,   LOG_AUTHPRIV, LOG_FTP,    LOG_LOCAL0, LOG_LOCAL1,
    LOG_LOCAL2, LOG_LOCAL3, LOG_LOCAL4, LOG_LOCAL5,   LOG_LOCAL6, LOG_LOCAL7,
};

int config_facility_code(int index)
{
    return facility_codes[index];
}

const char *const config_database_drivers[] = {"sqlite", "pgsql", "mysql", NULL};

static const struct postern_option top_options[] = {
    CONFIG(STRING, "user", user, "postern"),
    CONFIG(STRING, "group", group, "postern"),
    CONFIG(INTEGER, "workers", workers, "0", RANGE(0, 1024)),
    CONFIG(LIST, "listen", listen, "127.0.0.1:7777"),
    CONFIG(STRING, "pid_file", pid_file, "/run/postern/posternd.pid"),
    CONFIG(STRING, "plugin_dir", plugin_dir, POSTERN_PLUGIN_DIR),
    CONFIG(DURATION, "request_timeout", request_timeout, "20s", RANGE(1, DAY)),
    CONFIG(DURATION, "spf_timeout", spf_timeout, "15s", RANGE(1, DAY)),
    CONFIG(DURATION, "drain_timeout", drain_timeout, "30s", RANGE(1, DAY)),
    CONFIG(CHOICE, "on_error", on_error, "dunno", WORDS("dunno", "defer")),
    DRAFT(LIST, "mynetworks", mynetworks, ""),
    CONFIG(STRING, "recipient_delimiters", recipient_delimiters, "+"),
    CONFIG(INTEGER, "max_connections", max_connections, "4096", RANGE(1, 1000000)),
    CONFIG(DURATION, "cache_ttl", cache_ttl, "5s", RANGE(0, DAY)),
    CONFIG(INTEGER, "cleanup_batch", cleanup_batch, "1000", RANGE(1, 1000000)),
    DRAFT(LIST, "plugins", plugins, ""),
    POSTERN_OPTIONS_END,
};

static const struct postern_option log_options[] = {
    CONFIG(CHOICE, "target", log.target, "syslog", WORDS("stderr", "syslog")),
    DRAFT(CHOICE, "facility", facility, "local5",
          WORDS("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",
                "authpriv", "ftp", "local0", "local1", "local2", "local3", "local4", "local5",
                "local6", "local7")),
    CONFIG(CHOICE, "level", log.level, "info", WORDS("error", "warning", "info", "debug")),
    CONFIG(CHOICE, "format", log.format, "text", WORDS("text", "json")),
    CONFIG(STRING, "syslog_socket", log.syslog_socket, "/dev/log"),
    POSTERN_OPTIONS_END,
};

static const struct postern_option metrics_options[] = {
    CONFIG(STRING, "listen", metrics_listen, "127.0.0.1:7780"),
    POSTERN_OPTIONS_END,
};

static const struct postern_option dns_options[] = {
    CONFIG(LIST, "servers", dns_servers, ""),
    CONFIG(DURATION, "timeout", dns_timeout, "3s", RANGE(1, HOUR)),
    POSTERN_OPTIONS_END,
};

static const struct postern_option directory_options[] = {
    CONFIG(CHOICE, "backend", directory, "none", WORDS("none", "sql", "ldap")),
    CONFIG(LIST, "local_domains", local_domains, ""),
    POSTERN_OPTIONS_END,
};

static const struct postern_option ldap_options[] = {
    CONFIG(STRING, "uri", ldap.uri, "ldap://127.0.0.1:389"),
    CONFIG(STRING, "base_dn", ldap.base_dn, "o=domains,dc=iredmail,dc=org"),
    CONFIG(STRING, "bind_dn", ldap.bind_dn, ""),
    CONFIG(STRING, "bind_password", ldap.bind_password, ""),
    DRAFT(STRING, "bind_password_file", bind_password_file, ""),
    CONFIG(BOOL, "starttls", ldap.starttls, "false"),
    POSTERN_OPTIONS_END,
};

static const struct postern_option srs_options[] = {
    CONFIG(STRING, "domain", srs.domain, ""),
    CONFIG(LIST, "secrets", srs.secrets, ""),
    CONFIG(STRING, "secrets_file", srs.secrets_file, ""),
    CONFIG(STRING, "listen_forward", srs.listen_forward, "127.0.0.1:7778"),
    CONFIG(STRING, "listen_reverse", srs.listen_reverse, "127.0.0.1:7779"),
    CONFIG(STRING, "listen_socketmap", srs.listen_socketmap, ""),
    POSTERN_OPTIONS_END,
};

static const struct postern_option notify_options[] = {
    CONFIG(LIST, "recipients", notify.recipients, "root"),
    CONFIG(STRING, "sendmail", notify.sendmail, "/usr/sbin/sendmail"),
    CONFIG(STRING, "smtp_url", notify.smtp_url, ""),
    DRAFT(STRING, "smtp_password_file", smtp_password_file, ""),
    POSTERN_OPTIONS_END,
};

static const struct postern_option session_log_options[] = {
    CONFIG(BOOL, "enabled", session_log.enabled, "true"),
    CONFIG(DURATION, "expire", session_log.expire, "7d", RANGE(1, YEARS)),
    CONFIG(BOOL, "bypass_dunno", session_log.bypass_dunno, "false"),
    CONFIG(BOOL, "bypass_greylisting", session_log.bypass_greylisting, "false"),
    CONFIG(BOOL, "bypass_whitelist", session_log.bypass_whitelist, "false"),
    POSTERN_OPTIONS_END,
};

const struct postern_option config_database_options[] = {
    {.name = "driver",
     .type = POSTERN_OPTION_CHOICE,
     .offset = offsetof(struct database_draft, driver),
     .fallback = "sqlite",
     .choices = config_database_drivers},
    DATABASE(STRING, "path", config.path, ""),
    DATABASE(STRING, "host", config.host, "127.0.0.1"),
    DATABASE(INTEGER, "port", config.port, "0", RANGE(0, 65535)),
    DATABASE(STRING, "name", config.dbname, ""),
    DATABASE(STRING, "user", config.user, ""),
    DATABASE(STRING, "password", config.password, ""),
    DATABASE(STRING, "password_file", password_file, ""),
    DATABASE(INTEGER, "pool_size", config.pool_size, "4", RANGE(1, 1000)),
    DATABASE(CHOICE, "tls", config.tls, "prefer", WORDS("disable", "prefer", "require", "verify")),
    POSTERN_OPTIONS_END,
};

const struct postern_option config_plugin_options[] = {
    OPTION(BOOL, "shadow", struct plugin_config, shadow, "false"),
    OPTION(INTEGER, "priority", struct plugin_config, priority, "0", RANGE(-1000000, 1000000)),
    POSTERN_OPTIONS_END,
};

const struct config_table config_tables[] = {
    {"", top_options},
    {"log", log_options},
    {"metrics", metrics_options},
    {"dns", dns_options},
    {"directory", directory_options},
    {"ldap", ldap_options},
    {"srs", srs_options},
    {"notify", notify_options},
    {"session_log", session_log_options},
    {NULL, NULL},
};

const struct config_section_kind config_section_kinds[] = {
    {"log", false},       {"metrics", false},     {"dns", false},   {"database", true},
    {"directory", false}, {"ldap", false},        {"plugin", true}, {"srs", false},
    {"notify", false},    {"session_log", false}, {NULL, false},
};
