/*
 * The daemon's own log: syslog or stderr, as text or JSON.
 *
 * A line is a message, or fields (key=value; values are quoted where they need it). Control
 * characters, invalid UTF-8 and quotes from the network are escaped, so one call is
 * always one line. Writing never blocks the loop: a line that a slow receiver
 * has no room for is dropped and counted, and the count is logged when there is
 * room again.
 */
#ifndef POSTERN_RUNTIME_LOG_H
#define POSTERN_RUNTIME_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_settings {
    enum log_target target;
    enum log_level level;
    enum log_format format;
    int facility;              /* LOG_LOCAL5, ... of <syslog.h> */
    const char *syslog_socket; /* "/dev/log" */
};

/* Before the first call everything goes to stderr as text. ident ("posternd") must live on. */
void log_open(const char *ident, const struct log_settings *settings);
void log_reopen(void); /* SIGUSR1: connects to syslog again */

bool log_enabled(enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_message(enum log_level level, const char *format, va_list args);

/* A line of fields. In JSON, numbers (raw) are written without quotes. */
struct log_field {
    const char *key;
    const char *value;
    bool raw; /* value is already a number or word that needs no quotes in either format */
};
void log_fields(enum log_level level, const struct log_field *fields, size_t count);

/* A duration as the value of a field: milliseconds, to a tenth. */
#define LOG_MILLISECONDS 32
const char *log_milliseconds(double seconds, char text[LOG_MILLISECONDS]);

/* Lines dropped so far by this process. */
uint64_t log_dropped(void);

#endif
