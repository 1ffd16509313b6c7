/*
 * One line is made at a time, in memory that is kept, under a lock: a log call never waits
 * in a fiber, and the few threads there are may log too. Lines are shorter than PIPE_BUF,
 * so that those of several processes do not mix on one pipe.
 */
#define _GNU_SOURCE /* program_invocation_short_name */
#include "runtime/log.h"

#include "runtime/log_escape.h"
#include "runtime/log_sink.h"
#include "util/buffer.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_LIMIT     4000
#define REPORT_SECONDS 1.0

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_int lowest_level = LOG_LEVEL_INFO;
static atomic_uint_fast64_t dropped;

static enum log_target target = LOG_TARGET_STDERR;
static enum log_format line_format = LOG_FORMAT_TEXT;
static int facility;
static const char *ident;
static bool forks_are_seen; /* by the handlers of pthread_atfork */

static struct buffer line;
static size_t line_body;       /* where the part that stderr gets begins */
static uint64_t unreported;    /* lines dropped since it was last said */
static double last_report;     /* log_monotonic() */
static bool receiver_was_away; /* and it was said */

static const struct {
    const char *word;
    int severity;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
    [LOG_LEVEL_WARNING] = {"warning", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

/* --- what lines begin with; kept as text until the second or the process is another --- */

static struct {
    pid_t pid;
    const char *ident;
    struct buffer tag;  /* posternd[PID]:  */
    struct buffer json; /* ","ident":"posternd","pid":PID */
} self;

static void self_update(void)
{
    if (ident == NULL)
        ident = program_invocation_short_name;
    if (forks_are_seen && self.pid != 0 && ident == self.ident)
        return;
    pid_t pid = getpid();
    self.pid = pid;
    self.ident = ident;
    buffer_clear(&self.tag);
    buffer_printf(&self.tag, "%s[%d]: ", ident, (int)pid);
    buffer_clear(&self.json);
    buffer_text(&self.json, "\",\"ident\":\"");
    log_escape_json(&self.json, ident, strlen(ident), LINE_LIMIT / 2);
    buffer_printf(&self.json, "\",\"pid\":%d", (int)pid);
}

static struct {
    time_t second;
    struct buffer utc;   /* 2026-01-02T03:04:05 */
    struct buffer local; /* Jan  2 03:04:05 */
} stamp = {.second = -1};

static void stamp_update(time_t second)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    if (second == stamp.second)
        return;
    stamp.second = second;
    struct tm tm;
    gmtime_r(&second, &tm);
    buffer_clear(&stamp.utc);
    buffer_printf(&stamp.utc, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    localtime_r(&second, &tm);
    buffer_clear(&stamp.local);
    buffer_printf(&stamp.local, "%s %2d %02d:%02d:%02d", months[tm.tm_mon], tm.tm_mday, tm.tm_hour,
                  tm.tm_min, tm.tm_sec);
}

/* RFC 3164, 4.1 */
static void syslog_head(enum log_level level)
{
    buffer_printf(&line, "<%d>", facility | levels[level].severity);
    buffer_append(&line, stamp.local.data, stamp.local.length);
    buffer_char(&line, ' ');
    line_body = line.length;
}

static void json_head(enum log_level level, long milliseconds)
{
    const char fraction[] = {'.', (char)('0' + milliseconds / 100),
                             (char)('0' + milliseconds / 10 % 10), (char)('0' + milliseconds % 10)};
    line_body = line.length;
    buffer_text(&line, "{\"time\":\"");
    buffer_append(&line, stamp.utc.data, stamp.utc.length);
    buffer_append(&line, fraction, sizeof fraction);
    buffer_text(&line, "Z\",\"level\":\"");
    buffer_text(&line, levels[level].word);
    buffer_append(&line, self.json.data, self.json.length);
}

static void line_begin(enum log_level level)
{
    struct timespec now = {0};
    bool json = line_format == LOG_FORMAT_JSON, syslog_line = target == LOG_TARGET_SYSLOG;
    self_update();
    if (json || syslog_line) {
        clock_gettime(CLOCK_REALTIME, &now);
        stamp_update(now.tv_sec);
    }
    buffer_clear(&line);
    line_body = 0;
    if (syslog_line)
        syslog_head(level);
    if (!json || syslog_line)
        buffer_append(&line, self.tag.data, self.tag.length);
    if (json)
        json_head(level, now.tv_nsec / 1000000);
}

/* --- the rest of a line --- */

static void message_append(const char *message)
{
    size_t length = strlen(message);
    if (line_format == LOG_FORMAT_TEXT) {
        log_escape_message(&line, message, length, LINE_LIMIT);
        return;
    }
    buffer_text(&line, ",\"message\":\"");
    log_escape_json(&line, message, length, LINE_LIMIT - strlen("\"}"));
    buffer_text(&line, "\"}");
}

static bool is_json_literal(const char *text)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0 || strcmp(text, "null") == 0)
        return true;
    const char *at = text + (*text == '-');
    size_t digits = strspn(at, "0123456789");
    if (digits == 0 || (digits > 1 && *at == '0'))
        return false;
    at += digits;
    if (*at == '.') {
        digits = strspn(at + 1, "0123456789");
        at += digits > 0 ? 1 + digits : 0;
    }
    return *at == '\0';
}

static bool field_append_text(const struct log_field *field, const char *value, size_t length,
                              bool first)
{
    if (line.length + strlen(field->key) + 2 > LINE_LIMIT)
        return false;
    if (!first)
        buffer_char(&line, ' ');
    buffer_text(&line, field->key);
    buffer_char(&line, '=');
    return log_escape_value(&line, value, length, LINE_LIMIT);
}

static bool field_append_json(const struct log_field *field, const char *value, size_t length)
{
    if (line.length + strlen(field->key) + strlen(",\"\":\"\"}") > LINE_LIMIT)
        return false;
    buffer_text(&line, ",\"");
    buffer_text(&line, field->key);
    buffer_text(&line, "\":");
    if (field->raw && is_json_literal(value) && line.length + length < LINE_LIMIT) {
        buffer_append(&line, value, length);
        return true;
    }
    buffer_char(&line, '"');
    bool whole = log_escape_json(&line, value, length, LINE_LIMIT - strlen("\"}"));
    buffer_char(&line, '"');
    return whole;
}

/* False when the line has no room for all of it. Of each value at most value_limit bytes. */
static bool fields_append(const struct log_field *fields, size_t count, size_t value_limit)
{
    bool whole = true, json = line_format == LOG_FORMAT_JSON;
    for (size_t i = 0; i < count && whole; i++) {
        const char *value = fields[i].value != NULL ? fields[i].value : "";
        size_t length = log_text_cut(value, strlen(value), value_limit);
        whole = json ? field_append_json(&fields[i], value, length)
                     : field_append_text(&fields[i], value, length, i == 0);
    }
    if (json)
        buffer_char(&line, '}');
    return whole;
}

/* One long value must not push out the fields after it: all long ones are cut to the same. */
static void fields_line(enum log_level level, const struct log_field *fields, size_t count)
{
    static const size_t value_limits[] = {LINE_LIMIT, 2000, 1000, 500, 250, 125, 60, 30};
    for (size_t i = 0; i < sizeof value_limits / sizeof value_limits[0]; i++) {
        line_begin(level);
        if (fields_append(fields, count, value_limits[i]))
            return;
    }
}

static void message_line(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void message_line_va(enum log_level level, const char *format, va_list args)
{
    static char message[LINE_LIMIT + 1];
    if (vsnprintf(message, sizeof message, format, args) < 0)
        message[0] = '\0';
    line_begin(level);
    message_append(message);
}

static void message_line(enum log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    message_line_va(level, format, args);
    va_end(args);
}

/* --- sending --- */

static enum log_sink_result line_to_stderr(void)
{
    buffer_char(&line, '\n');
    return log_stderr_write(line.data + line_body, line.length - line_body);
}

static enum log_sink_result line_to_target(void)
{
    return target == LOG_TARGET_STDERR ? line_to_stderr()
                                       : log_syslog_write(line.data, line.length);
}

static void report_drops(void)
{
    if (unreported == 0)
        return;
    double now = log_monotonic();
    if (last_report != 0 && now - last_report < REPORT_SECONDS)
        return;
    message_line(LOG_LEVEL_WARNING, "%llu log lines were dropped: the receiver was too slow%s",
                 (unsigned long long)unreported, receiver_was_away ? " or away" : "");
    if (line_to_target() != LOG_SINK_TAKEN)
        return;
    last_report = now;
    unreported = 0;
    receiver_was_away = false;
}

/* Says it once for each time the receiver goes away. */
static void report_away(int error)
{
    if (receiver_was_away)
        return;
    receiver_was_away = true;
    message_line(LOG_LEVEL_ERROR,
                 "cannot reach syslog: %s; until it is back only errors are shown, here",
                 strerror(error));
    line_to_stderr();
}

static void line_send(enum log_level level)
{
    enum log_sink_result result = line_to_target();
    if (result == LOG_SINK_TAKEN) {
        report_drops();
        return;
    }
    int error = errno;
    atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
    unreported++;
    if (target == LOG_TARGET_STDERR)
        return;
    if (level == LOG_LEVEL_ERROR)
        line_to_stderr();
    if (result == LOG_SINK_AWAY)
        report_away(error);
}

/* --- the interface --- */

static void lock(void)
{
    pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

static void child_begin(void)
{
    self.pid = 0;
    unlock();
}

void log_open(const char *name, const struct log_settings *settings)
{
    lock();
    if (!forks_are_seen)
        forks_are_seen = pthread_atfork(lock, unlock, child_begin) == 0;
    ident = name;
    target = settings->target;
    line_format = settings->format;
    facility = settings->facility;
    atomic_store_explicit(&lowest_level, settings->level, memory_order_relaxed);
    last_report = 0;
    receiver_was_away = false;
    log_stderr_open();
    log_syslog_close();
    if (target == LOG_TARGET_SYSLOG)
        log_syslog_open(settings->syslog_socket);
    unlock();
}

void log_reopen(void)
{
    lock();
    log_stderr_open();
    if (target == LOG_TARGET_SYSLOG)
        log_syslog_reopen();
    unlock();
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&lowest_level, memory_order_relaxed);
}

void log_message(enum log_level level, const char *format, va_list args)
{
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    lock();
    errno = saved_errno;
    message_line_va(level, format, args);
    line_send(level);
    unlock();
    errno = saved_errno;
}

#define LOG_AT(level)                                                                              \
    va_list args;                                                                                  \
    va_start(args, format);                                                                        \
    log_message(level, format, args);                                                              \
    va_end(args)

void log_error(const char *format, ...)
{
    LOG_AT(LOG_LEVEL_ERROR);
}

void log_warning(const char *format, ...)
{
    LOG_AT(LOG_LEVEL_WARNING);
}

void log_info(const char *format, ...)
{
    LOG_AT(LOG_LEVEL_INFO);
}

void log_debug(const char *format, ...)
{
    LOG_AT(LOG_LEVEL_DEBUG);
}

void log_fields(enum log_level level, const struct log_field *fields, size_t count)
{
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    lock();
    fields_line(level, fields, count);
    line_send(level);
    unlock();
    errno = saved_errno;
}

const char *log_milliseconds(double seconds, char text[LOG_MILLISECONDS])
{
    long tenths = lround(seconds * 1e4); /* printf's floating point is slow for 60,000 lines/s */
    snprintf(text, LOG_MILLISECONDS, "%ld.%ld", tenths / 10, tenths % 10);
    return text;
}

uint64_t log_dropped(void)
{
    return atomic_load_explicit(&dropped, memory_order_relaxed);
}
