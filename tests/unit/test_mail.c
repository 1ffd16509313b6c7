#define _GNU_SOURCE
#include "fibers.h"

#include "build_config.h"
#include "runtime/mail.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A script or a server that takes a mail, and how that ended. */
struct attempt {
    const char *script;
    struct server *server;
    double seconds;
    bool sent;
    struct postern_error error;
};

static char folder[] = "/tmp/postern-mail-XXXXXX";
static char program[64], result[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(program, sizeof program, "%s/program", folder);
    snprintf(result, sizeof result, "%s/result", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(program);
    unlink(result);
    return rmdir(folder);
}

static void write_script(const char *text)
{
    int fd = open(program, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "#!/bin/sh\n%s\n", text) > 0);
    close(fd);
}

static char *read_result(char *text, size_t size)
{
    int fd = open(result, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

static void send_in_fiber(void *arg)
{
    struct attempt *attempt = arg;
    struct mail_route route = {program, "", ""};
    struct mail mail = {{2, (const char *[]){"root", "a b;c"}}, "Subject: x\n\nHello\n"};
    attempt->sent = mail_send(&route, &mail, fiber_now() + attempt->seconds, &attempt->error);
}

static struct attempt send_with(const char *script, double seconds)
{
    struct attempt attempt = {.script = script, .seconds = seconds};
    if (script != NULL)
        write_script(script);
    in_fiber(send_in_fiber, &attempt);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    return attempt;
}

static void program_gets_the_mail_and_each_recipient_as_an_argument(void **state)
{
    (void)state;
    char script[200], text[400];
    snprintf(script, sizeof script, "{ printf '%%s|' \"$@\"; cat; } > %s", result);
    assert_true(send_with(script, 60).sent);
    assert_string_equal(read_result(text, sizeof text),
                        "-i|-f|<>|--|root|a b;c|Subject: x\n\nHello\n");
}

static void program_gets_no_files_and_little_environment_of_ours(void **state)
{
    (void)state;
    char script[400], text[400];
    int leak = open("/dev/null", O_RDONLY);
    setenv("SECRET", "s", 1);
    snprintf(script, sizeof script,
             "rm -f %2$s; [ -e /proc/$$/fd/%1$d ] && echo leak > %2$s; echo \"$SECRET\" >> %2$s",
             leak, result);
    assert_true(leak > 2);
    assert_true(send_with(script, 60).sent);
    assert_string_equal(read_result(text, sizeof text), "\n");
    close(leak);
}

static void signals_are_as_a_program_expects_them(void **state)
{
    (void)state;
    char text[100], script[200];
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    signal(SIGPIPE, SIG_IGN);
    snprintf(script, sizeof script, "grep -E '^Sig(Blk|Ign)' /proc/self/status > %s", result);
    bool sent = send_with(script, 60).sent;
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, SIG_DFL);
    assert_true(sent);
    unsigned long long blocked = 1, ignored = 1;
    assert_int_equal(
        sscanf(read_result(text, sizeof text), "SigBlk:%llx SigIgn:%llx", &blocked, &ignored), 2);
    assert_int_equal(blocked, 0);
    assert_int_equal(ignored & 0x7fffffff, 0); /* the C library's own two come behind */
}

static void exit_status_and_last_line_are_told(void **state)
{
    (void)state;
    struct attempt attempt = send_with("echo first; echo 'no room' >&2; exit 75", 60);
    assert_false(attempt.sent);
    assert_non_null(strstr(attempt.error.text, "/program ended with status 75: no room"));
}

static void much_output_does_not_stop_the_program(void **state)
{
    (void)state;
    struct attempt attempt =
        send_with("i=0; while [ $i -lt 3000 ]; do echo '0123456789 0123456789 0123456789'; "
                  "i=$((i+1)); done 2>/dev/null; exit 3",
                  60);
    assert_non_null(strstr(attempt.error.text, "/program ended with status 3: 0123456789 "));
}

static void program_that_is_killed_has_not_sent(void **state)
{
    (void)state;
    struct attempt attempt = send_with("kill -9 $$", 60);
    assert_false(attempt.sent);
    assert_non_null(strstr(attempt.error.text, "/program was ended by signal 9"));
}

static void program_that_hangs_is_killed_with_its_children(void **state)
{
    (void)state;
    char script[200], text[100] = "";
    snprintf(script, sizeof script, "sleep 600 & echo $! > %s; echo stuck; wait", result);
    struct attempt attempt = send_with(script, 1);
    assert_false(attempt.sent);
    assert_non_null(strstr(attempt.error.text, "/program took too long and was killed: stuck"));
    pid_t child = (pid_t)atoi(read_result(text, sizeof text));
    assert_true(child > 1);
    char path[64], state_of[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, state_of, sizeof state_of - 1) > 0)
        assert_non_null(strstr(state_of, ") Z"));
    if (fd >= 0)
        close(fd);
}

static void program_that_is_missing_is_named(void **state)
{
    (void)state;
    unlink(program);
    struct attempt attempt = send_with(NULL, 60);
    assert_false(attempt.sent);
    assert_non_null(strstr(attempt.error.text, "/program: No such file or directory"));
}

#if HAVE_CURL

static void urls_for_smtp_are_taken_and_no_others(void **state)
{
    (void)state;
    static const char *const good[] = {"smtp://h", "smtp://127.0.0.1:25", "smtp://[::1]:25",
                                       "smtps://user%40a.example:p@h.example:465", "smtp://h/"};
    static const char *const bad[] = {"",           "h",          "http://h",    "smtp://",
                                      "smtp://u@",  "smtp:h",     "smtp://h:0x", "smtp://h/p",
                                      "smtp://h?q", "smtp://h h", "smtp://h\n",  "smtp://h#f"};
    struct mail_login login;
    struct postern_error error;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(mail_check_url(good[i], &login, &error));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(mail_check_url(bad[i], &login, &error));
}

static void url_says_whether_it_has_a_login(void **state)
{
    (void)state;
    struct mail_login login;
    struct postern_error error;
    assert_true(mail_check_url("smtp://h", &login, &error));
    assert_false(login.user || login.password);
    assert_true(mail_check_url("smtp://u@h", &login, &error));
    assert_true(login.user && !login.password);
    assert_true(mail_check_url("smtp://u:p@h", &login, &error));
    assert_true(login.user && login.password);
}

/* A server in a fiber of its own: greets, says yes to everything, and keeps what it hears. */
struct server {
    int listening;
    const char *verb, *reply; /* its answer to lines that begin with that; NULL is silence */
    char heard[2000];
    char url[64];
};

static bool say(int fd, const char *text)
{
    return write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static const char *reply_to(const struct server *server, const char *line, bool *data)
{
    if (*data && strcmp(line, ".") != 0)
        return "";
    if (server->verb != NULL && strncmp(line, server->verb, strlen(server->verb)) == 0)
        return server->reply;
    *data = strcmp(line, "DATA") == 0;
    return *data ? "354 go on\r\n" : "250 ok\r\n";
}

static void converse(struct server *server, int fd)
{
    bool data = false;
    size_t begin = 0, length = 0;
    ssize_t got;
    say(fd, "220 here\r\n");
    while (fiber_wait_fd(fd, EV_READ, NEVER) != 0 &&
           (got = read(fd, server->heard + length, sizeof server->heard - 1 - length)) > 0) {
        length += (size_t)got;
        for (char *end; (end = strstr(server->heard + begin, "\r\n")) != NULL;) {
            *end = '\0';
            const char *reply = reply_to(server, server->heard + begin, &data);
            *end = '\r';
            begin = (size_t)(end - server->heard) + 2;
            if (reply != NULL)
                say(fd, reply);
        }
    }
}

static void serve(void *arg)
{
    struct server *server = arg;
    int fd;
    assert_int_not_equal(fiber_wait_fd(server->listening, EV_READ, NEVER), 0);
    fd = accept4(server->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(fd >= 0);
    converse(server, fd);
    close(fd);
    close(server->listening);
}

static void send_by_smtp(void *arg)
{
    struct attempt *attempt = arg;
    struct server *server = attempt->server;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listening, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listening, 1), 0);
    assert_int_equal(getsockname(server->listening, (struct sockaddr *)&address, &size), 0);
    snprintf(server->url, sizeof server->url, "smtp://127.0.0.1:%d", ntohs(address.sin_port));
    assert_true(fiber_spawn(serve, server));
    struct mail_route route = {"/none", server->url, ""};
    struct mail mail = {{2, (const char *[]){"root", "a@b.example"}}, "Subject: x\n\n.Hello\n"};
    attempt->sent = mail_send(&route, &mail, fiber_now() + attempt->seconds, &attempt->error);
}

static struct attempt send_to(struct server *server, double seconds)
{
    struct attempt attempt = {.server = server, .seconds = seconds};
    in_fiber(send_by_smtp, &attempt);
    return attempt;
}

static void server_gets_the_mail_with_the_null_sender(void **state)
{
    (void)state;
    struct server server = {0};
    struct attempt attempt = send_to(&server, 60);
    assert_string_equal(attempt.error.text, "");
    assert_true(attempt.sent);
    assert_non_null(strstr(server.heard, "MAIL FROM:<>"));
    assert_non_null(strstr(server.heard, "\r\nRCPT TO:<root>\r\nRCPT TO:<a@b.example>\r\n"));
    assert_non_null(strstr(server.heard, "\r\nSubject: x\r\n\r\n..Hello\r\n.\r\n"));
}

static void server_that_refuses_is_quoted(void **state)
{
    (void)state;
    struct server server = {.verb = "DATA", .reply = "554 5.7.1 not today\r\n"};
    struct attempt attempt = send_to(&server, 60);
    assert_false(attempt.sent);
    assert_non_null(strstr(attempt.error.text, "127.0.0.1: "));
    assert_non_null(strstr(attempt.error.text, "(554 5.7.1 not today)"));
}

static void server_that_is_silent_is_left_in_time(void **state)
{
    (void)state;
    struct server server = {.verb = "MAIL"};
    struct attempt attempt = send_to(&server, 0.5);
    assert_false(attempt.sent);
    assert_non_null(strstr(attempt.error.text, "timed out"));
}

#else

static void build_without_libcurl_says_so(void **state)
{
    (void)state;
    struct mail_login login;
    struct postern_error error;
    assert_false(mail_check_url("smtp://h", &login, &error));
    assert_non_null(strstr(error.text, "no libcurl"));
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(program_gets_the_mail_and_each_recipient_as_an_argument),
        cmocka_unit_test(program_gets_no_files_and_little_environment_of_ours),
        cmocka_unit_test(signals_are_as_a_program_expects_them),
        cmocka_unit_test(exit_status_and_last_line_are_told),
        cmocka_unit_test(much_output_does_not_stop_the_program),
        cmocka_unit_test(program_that_is_killed_has_not_sent),
        cmocka_unit_test(program_that_hangs_is_killed_with_its_children),
        cmocka_unit_test(program_that_is_missing_is_named),
#if HAVE_CURL
        cmocka_unit_test(urls_for_smtp_are_taken_and_no_others),
        cmocka_unit_test(url_says_whether_it_has_a_login),
        cmocka_unit_test(server_gets_the_mail_with_the_null_sender),
        cmocka_unit_test(server_that_refuses_is_quoted),
        cmocka_unit_test(server_that_is_silent_is_left_in_time),
#else
        cmocka_unit_test(build_without_libcurl_says_so),
#endif
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
