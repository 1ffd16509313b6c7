#include "runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

/* While a test runs, stderr is the writing end of a pipe or socket pair. */
static int real_stderr, captured;
static char directory[] = "/tmp/postern-log-XXXXXX";
static char socket_path[64];
static char text[1 << 17];

static void capture(int ends[2])
{
    real_stderr = dup(STDERR_FILENO);
    captured = ends[0];
    assert_int_equal(fcntl(captured, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
}

static int capture_pipe(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    capture(ends);
    return 0;
}

static int capture_socket(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    capture(ends);
    return 0;
}

static int release(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(captured);
    unlink(socket_path);
    log_open("test", &(struct log_settings){.level = LOG_LEVEL_INFO});
    return 0;
}

/* What has come out on stderr. */
static const char *written(void)
{
    size_t length = 0;
    ssize_t got;
    while ((got = read(captured, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    return text;
}

static const char *last_line(const char *lines)
{
    size_t length = strlen(lines);
    while (length > 1 && lines[length - 2] != '\n')
        length--;
    return lines + length - (length > 0);
}

static void open_stderr(enum log_format format)
{
    log_open("posternd", &(struct log_settings){.target = LOG_TARGET_STDERR,
                                                .level = LOG_LEVEL_INFO,
                                                .format = format});
}

static void open_syslog(enum log_format format)
{
    log_open("posternd", &(struct log_settings){.target = LOG_TARGET_SYSLOG,
                                                .level = LOG_LEVEL_INFO,
                                                .format = format,
                                                .facility = LOG_LOCAL5,
                                                .syslog_socket = socket_path});
}

static int receiver_bind(int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    unlink(socket_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* The next record of a datagram receiver, "" when there is none. */
static const char *received(int fd)
{
    ssize_t got = recv(fd, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

static const char *with_pid(const char *format)
{
    static char expected[512];
    snprintf(expected, sizeof expected, format, (int)getpid());
    return expected;
}

/* Also checks that a time as in "Jan  2 03:04:05" is between head and tail. */
static void assert_record(const char *record, const char *head, const char *tail)
{
    char month[4];
    int day, hour, minute, second;
    assert_memory_equal(record, head, strlen(head));
    record += strlen(head);
    assert_int_equal(sscanf(record, "%3s %2d %2d:%2d:%2d", month, &day, &hour, &minute, &second),
                     5);
    assert_int_equal(record[15], ' ');
    assert_string_equal(record + 16, tail);
}

static const struct log_field answered[] = {
    {"client", "192.0.2.7"},  {"sasl", ""},        {"plugin", "greylisting"},
    {"reason", "first seen"}, {"ms", "1.3", true},
};
#define ANSWERED (sizeof answered / sizeof answered[0])

static void message_is_one_line_with_the_process(void **state)
{
    (void)state;
    open_stderr(LOG_FORMAT_TEXT);
    errno = ENOENT;
    log_info("plugin \"%s\": %m", "spf\nforged[1]: line");
    assert_int_equal(errno, ENOENT);
    assert_string_equal(
        written(),
        with_pid("posternd[%d]: plugin \"spf\\nforged[1]: line\": No such file or directory\n"));
}

static void fields_are_keys_and_values(void **state)
{
    (void)state;
    open_stderr(LOG_FORMAT_TEXT);
    log_fields(LOG_LEVEL_INFO, answered, ANSWERED);
    assert_string_equal(written(), with_pid("posternd[%d]: client=192.0.2.7 sasl= "
                                            "plugin=greylisting reason=\"first seen\" ms=1.3\n"));
}

static void lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    open_stderr(LOG_FORMAT_TEXT);
    assert_true(log_enabled(LOG_LEVEL_INFO));
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
    log_debug("quiet");
    log_fields(LOG_LEVEL_DEBUG, answered, ANSWERED);
    assert_string_equal(written(), "");
}

static void child_logs_its_own_process_number(void **state)
{
    (void)state;
    open_stderr(LOG_FORMAT_TEXT);
    log_info("parent");
    pid_t child = fork();
    if (child == 0) {
        log_info("child");
        _exit(0);
    }
    waitpid(child, NULL, 0);
    char expected[128];
    snprintf(expected, sizeof expected, "posternd[%d]: parent\nposternd[%d]: child\n",
             (int)getpid(), (int)child);
    assert_string_equal(written(), expected);
}

static void long_line_is_cut_at_a_whole_character(void **state)
{
    (void)state;
    static char euros[9000];
    for (size_t i = 0; i + 3 < sizeof euros; i += 3)
        memcpy(euros + i, "\xe2\x82\xac", 3);
    open_stderr(LOG_FORMAT_TEXT);
    for (int shift = 0; shift < 3; shift++) {
        log_info("%.*s%s", shift, "ab", euros);
        size_t length = strlen(written());
        assert_in_range(length, 3990, 4001);
        assert_memory_equal(text + length - 4, "\xe2\x82\xac\n", 4);
    }
}

static void one_long_value_leaves_room_for_the_other_fields(void **state)
{
    (void)state;
    static char noise[8000];
    memset(noise, '\n', sizeof noise - 1);
    const struct log_field fields[] = {{"client", noise}, {"action", "reject"}};
    open_stderr(LOG_FORMAT_TEXT);
    log_fields(LOG_LEVEL_INFO, fields, 2);
    assert_in_range(strlen(written()), 1000, 4001);
    assert_non_null(strstr(text, "\\n\" action=reject\n"));
    open_stderr(LOG_FORMAT_JSON);
    log_fields(LOG_LEVEL_INFO, fields, 2);
    assert_in_range(strlen(written()), 1000, 4001);
    assert_non_null(strstr(text, "\\n\",\"action\":\"reject\"}\n"));
}

/* Checks the time and returns what comes after it. */
static const char *after_time(const char *line)
{
    int year, month, day, hour, minute, second, milliseconds, end = 0;
    sscanf(line, "{\"time\":\"%4d-%2d-%2dT%2d:%2d:%2d.%3dZ\",%n", &year, &month, &day, &hour,
           &minute, &second, &milliseconds, &end);
    assert_int_equal(end, (int)strlen("{\"time\":\"2026-01-02T03:04:05.123Z\","));
    return line + end;
}

static void json_message_is_one_object(void **state)
{
    (void)state;
    open_stderr(LOG_FORMAT_JSON);
    log_error("a \"word\" and\n\x1b");
    assert_string_equal(after_time(written()),
                        with_pid("\"level\":\"error\",\"ident\":\"posternd\",\"pid\":%d,"
                                 "\"message\":\"a \\\"word\\\" and\\n\\u001b\"}\n"));
}

static void json_fields_are_members_and_numbers_have_no_quotes(void **state)
{
    (void)state;
    const struct log_field odd[] = {
        {"state", "RCPT", true}, {"a", "-0.5", true}, {"b", "01", true}, {"c", "", true},
        {"d", "1.2.3.4", true},  {"e", "true", true}, {"f", NULL},       {"g", "7"}};
    open_stderr(LOG_FORMAT_JSON);
    log_fields(LOG_LEVEL_INFO, answered, ANSWERED);
    assert_string_equal(after_time(written()),
                        with_pid("\"level\":\"info\",\"ident\":\"posternd\",\"pid\":%d,"
                                 "\"client\":\"192.0.2.7\",\"sasl\":\"\","
                                 "\"plugin\":\"greylisting\",\"reason\":\"first seen\","
                                 "\"ms\":1.3}\n"));
    log_fields(LOG_LEVEL_INFO, odd, 8);
    assert_non_null(strstr(written(), "\"state\":\"RCPT\",\"a\":-0.5,\"b\":\"01\",\"c\":\"\","
                                      "\"d\":\"1.2.3.4\",\"e\":true,\"f\":\"\",\"g\":\"7\"}\n"));
}

static void slow_reader_of_stderr_loses_lines_and_is_told_how_many(void **state)
{
    (void)state;
    open_stderr(LOG_FORMAT_TEXT);
    uint64_t before = log_dropped();
    int sent = 0;
    while (log_dropped() == before && sent++ < 1000000)
        log_info("%0200d", sent);
    log_info("lost");
    assert_int_equal(log_dropped() - before, 2);
    written();
    log_info("after");
    assert_non_null(strstr(written(), "]: after\nposternd["));
    assert_non_null(
        strstr(last_line(text), "]: 2 log lines were dropped: the receiver was too slow\n"));
    assert_int_equal(log_dropped() - before, 2);
}

static void syslog_record_has_priority_time_and_tag(void **state)
{
    (void)state;
    int fd = receiver_bind(SOCK_DGRAM);
    open_syslog(LOG_FORMAT_TEXT);
    log_warning("hello");
    assert_record(received(fd), "<172>", with_pid("posternd[%d]: hello"));
    log_fields(LOG_LEVEL_INFO, answered, 1);
    assert_record(received(fd), "<174>", with_pid("posternd[%d]: client=192.0.2.7"));
    open_syslog(LOG_FORMAT_JSON);
    log_error("hello");
    assert_memory_equal(received(fd), "<171>", 5);
    assert_non_null(strstr(text, with_pid("posternd[%d]: {\"time\":\"")));
    assert_string_equal(written(), "");
    close(fd);
}

static void syslog_stream_gets_records_that_end_in_nul(void **state)
{
    (void)state;
    int listener = receiver_bind(SOCK_STREAM);
    assert_int_equal(listen(listener, 5), 0);
    open_syslog(LOG_FORMAT_TEXT);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    log_warning("one");
    log_warning("two");
    ssize_t got = recv(fd, text, sizeof text, 0);
    assert_record(text, "<172>", with_pid("posternd[%d]: one"));
    size_t first = strlen(text) + 1;
    assert_record(text + first, "<172>", with_pid("posternd[%d]: two"));
    assert_int_equal(got, first + strlen(text + first) + 1);
    close(fd);
    close(listener);
}

static void slow_syslog_loses_lines_and_is_told_how_many(void **state)
{
    (void)state;
    int fd = receiver_bind(SOCK_DGRAM);
    open_syslog(LOG_FORMAT_TEXT);
    uint64_t before = log_dropped();
    int sent = 0;
    while (log_dropped() == before && sent++ < 1000000)
        log_info("%d", sent);
    log_info("lost");
    assert_int_equal(log_dropped() - before, 2);
    assert_string_equal(written(), "");
    while (*received(fd) != '\0')
        continue;
    log_info("after");
    assert_record(received(fd), "<174>", with_pid("posternd[%d]: after"));
    assert_record(received(fd), "<172>",
                  with_pid("posternd[%d]: 2 log lines were dropped: the receiver was too slow"));
    close(fd);
}

static void absent_syslog_leaves_errors_on_stderr(void **state)
{
    (void)state;
    open_syslog(LOG_FORMAT_TEXT);
    uint64_t before = log_dropped();
    log_info("lost");
    assert_int_equal(log_dropped() - before, 1);
    assert_string_equal(written(), with_pid("posternd[%d]: cannot reach syslog: No such file or "
                                            "directory; until it is back only errors are shown, "
                                            "here\n"));
    log_error("bad news");
    log_info("lost too");
    assert_string_equal(written(), with_pid("posternd[%d]: bad news\n"));
    assert_int_equal(log_dropped() - before, 3);

    int fd = receiver_bind(SOCK_DGRAM);
    log_reopen();
    log_info("found");
    assert_record(received(fd), "<174>", with_pid("posternd[%d]: found"));
    assert_non_null(strstr(received(fd), "3 log lines were dropped"));
    close(fd);
}

static void restarted_syslog_is_connected_to_again(void **state)
{
    (void)state;
    int fd = receiver_bind(SOCK_DGRAM);
    open_syslog(LOG_FORMAT_TEXT);
    log_info("one");
    close(fd);
    fd = receiver_bind(SOCK_DGRAM);
    for (int i = 0; i < 3000 && *received(fd) == '\0'; i++) {
        log_info("again");
        usleep(1000);
    }
    assert_non_null(strstr(text, "again"));
    close(fd);
}

#define THREADS 4
#define LINES   50

static void *log_many(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_info("%s %s", (const char *)arg, "line");
    return NULL;
}

static void threads_do_not_mix_their_lines(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    open_stderr(LOG_FORMAT_TEXT);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, "thread's"), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    int lines = 0;
    const char *expected = with_pid("posternd[%d]: thread's line\n");
    for (const char *at = written(); *at != '\0'; at += strlen(expected), lines++)
        assert_memory_equal(at, expected, strlen(expected));
    assert_int_equal(lines, THREADS * LINES);
}

#define ON_STDERR(test, kind) cmocka_unit_test_setup_teardown(test, capture_##kind, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STDERR(message_is_one_line_with_the_process, pipe),
        ON_STDERR(fields_are_keys_and_values, pipe),
        ON_STDERR(lines_below_the_level_are_not_written, pipe),
        ON_STDERR(child_logs_its_own_process_number, pipe),
        ON_STDERR(long_line_is_cut_at_a_whole_character, pipe),
        ON_STDERR(one_long_value_leaves_room_for_the_other_fields, pipe),
        ON_STDERR(json_message_is_one_object, pipe),
        ON_STDERR(json_fields_are_members_and_numbers_have_no_quotes, pipe),
        ON_STDERR(slow_reader_of_stderr_loses_lines_and_is_told_how_many, pipe),
        ON_STDERR(slow_reader_of_stderr_loses_lines_and_is_told_how_many, socket),
        ON_STDERR(syslog_record_has_priority_time_and_tag, pipe),
        ON_STDERR(syslog_stream_gets_records_that_end_in_nul, pipe),
        ON_STDERR(slow_syslog_loses_lines_and_is_told_how_many, pipe),
        ON_STDERR(absent_syslog_leaves_errors_on_stderr, pipe),
        ON_STDERR(restarted_syslog_is_connected_to_again, pipe),
        ON_STDERR(threads_do_not_mix_their_lines, pipe),
    };
    assert_non_null(mkdtemp(directory));
    snprintf(socket_path, sizeof socket_path, "%s/log", directory);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(directory);
    return failed;
}
