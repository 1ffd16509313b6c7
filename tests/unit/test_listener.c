#include "runtime/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/postern-listener-XXXXXX";

static const char *socket_path(const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static uint16_t free_port(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &length), 0);
    close(fd);
    return ntohs(in.sin_port);
}

static int connect_to(const char *text)
{
    struct listener_address address;
    struct postern_error error;
    assert_true(listener_address_parse(text, &address, &error));
    int fd = socket(address.socket.ss_family, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address.socket, address.length) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool open_one(struct listener_set *set, const struct listener_set *previous,
                     const char *address, struct postern_error *error)
{
    struct listener_wish wish = {LISTENER_POLICY, address};
    return listener_set_open(set, previous, &wish, 1, error);
}

static void every_documented_form_is_an_address(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int family;
        bool dual_stack;
    } forms[] = {
        {"127.0.0.1:7777", AF_INET, false},
        {"[::1]:7777", AF_INET6, false},
        {"*:7777", AF_INET6, true},
        {"0.0.0.0:1", AF_INET, false},
        {"[2001:db8::1]:65535", AF_INET6, false},
        {"unix:/run/x.sock", AF_UNIX, false},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct listener_address address;
        struct postern_error error;
        assert_true(listener_address_parse(forms[i].text, &address, &error));
        assert_int_equal(address.socket.ss_family, forms[i].family);
        assert_int_equal(address.dual_stack, forms[i].dual_stack);
    }
}

static void what_is_no_address_is_refused_by_name(void **state)
{
    (void)state;
    char long_path[200] = "unix:/";
    memset(long_path + 6, 'x', sizeof long_path - 7);
    const char *wrong[] = {"",
                           ":7777",
                           "7777",
                           "127.0.0.1",
                           "127.0.0.1:",
                           "127.0.0.1:0",
                           "127.0.0.1:65536",
                           "127.0.0.1:99999999999999999999",
                           "127.0.0.1:+77",
                           "127.0.0.1:77x",
                           "127.0.0.1:77 ",
                           "localhost:7777",
                           "::1:7777",
                           "[::1:7777",
                           "[::1]7777",
                           "[]:7777",
                           "[127.0.0.1]:7777",
                           "unix:",
                           "unix:relative",
                           long_path};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct listener_address address;
        struct postern_error error = {""};
        if (listener_address_parse(wrong[i], &address, &error))
            fail_msg("accepted: %s", wrong[i]);
        assert_non_null(strstr(error.text, wrong[i]));
    }
}

static void port_in_use_names_the_address_and_the_likely_cause(void **state)
{
    (void)state;
    struct listener_set first, second;
    struct postern_error error;
    char address[64], expected[256];
    snprintf(address, sizeof address, "127.0.0.1:%u", free_port());
    assert_true(open_one(&first, NULL, address, &error));
    assert_false(open_one(&second, NULL, address, &error));
    snprintf(expected, sizeof expected,
             "cannot listen on %s: Address already in use; another posternd or iRedAPD may be "
             "running (see: ss -ltnp)",
             address);
    assert_string_equal(error.text, expected);
    assert_int_equal(second.count, 0);
    listener_set_release(&first, NULL);
}

static void accepted_connections_have_nodelay(void **state)
{
    (void)state;
    struct listener_set set;
    struct postern_error error;
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%u", free_port());
    assert_true(open_one(&set, NULL, address, &error));
    int client = connect_to(address);
    int server = accept(set.list[0].fd, NULL, NULL);
    int nodelay = 0;
    socklen_t length = sizeof nodelay;
    assert_int_equal(getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &nodelay, &length), 0);
    assert_int_equal(nodelay, 1);
    close(client);
    close(server);
    listener_set_release(&set, NULL);
}

static void star_takes_clients_of_ipv4(void **state)
{
    (void)state;
    struct listener_set set;
    struct postern_error error;
    char star[64], address[64];
    uint16_t port = free_port();
    snprintf(star, sizeof star, "*:%u", port);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    assert_true(open_one(&set, NULL, star, &error));
    int client = connect_to(address);
    assert_true(client >= 0);
    close(client);
    listener_set_release(&set, NULL);
}

static void reload_keeps_the_queue_of_an_address_that_stays(void **state)
{
    (void)state;
    struct listener_set old, new;
    struct postern_error error;
    char stays[64], goes[64], comes[64];
    snprintf(stays, sizeof stays, "127.0.0.1:%u", free_port());
    snprintf(goes, sizeof goes, "127.0.0.1:%u", free_port());
    struct listener_wish before[] = {{LISTENER_POLICY, stays}, {LISTENER_METRICS, goes}};
    assert_true(listener_set_open(&old, NULL, before, 2, &error));
    int waiting = connect_to(stays);

    snprintf(comes, sizeof comes, "127.0.0.1:%u", free_port());
    struct listener_wish after[] = {{LISTENER_METRICS, comes}, {LISTENER_POLICY, stays}};
    assert_true(listener_set_open(&new, &old, after, 2, &error));
    int early = connect_to(goes);
    assert_true(early >= 0);
    listener_set_release(&old, &new);

    assert_int_equal(connect_to(goes), -1);
    int server = accept(new.list[1].fd, NULL, NULL);
    assert_true(server >= 0);
    close(server);
    close(early);
    close(waiting);
    listener_set_release(&new, NULL);
}

static void reload_that_cannot_bind_leaves_everything_as_it_was(void **state)
{
    (void)state;
    struct listener_set old, new, stranger;
    struct postern_error error;
    char path[128], address[160], taken[64];
    snprintf(address, sizeof address, "unix:%s", socket_path("kept", path, sizeof path));
    snprintf(taken, sizeof taken, "127.0.0.1:%u", free_port());
    assert_true(open_one(&old, NULL, address, &error));
    assert_true(open_one(&stranger, NULL, taken, &error));

    struct listener_wish wishes[] = {{LISTENER_POLICY, address}, {LISTENER_METRICS, taken}};
    assert_false(listener_set_open(&new, &old, wishes, 2, &error));
    int client = connect_to(address);
    assert_true(client >= 0);
    close(client);
    listener_set_release(&stranger, NULL);
    listener_set_release(&old, NULL);
}

static void reload_to_an_overlapping_address_asks_for_a_restart(void **state)
{
    (void)state;
    struct listener_set old, new;
    struct postern_error error;
    char star[64], address[64];
    uint16_t port = free_port();
    snprintf(star, sizeof star, "*:%u", port);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    assert_true(open_one(&old, NULL, address, &error));
    assert_false(open_one(&new, &old, star, &error));
    assert_non_null(strstr(error.text, address));
    assert_non_null(strstr(error.text, "restart"));
    listener_set_release(&old, NULL);
}

static void one_address_is_not_listened_on_twice(void **state)
{
    (void)state;
    struct listener_set set;
    struct postern_error error;
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%u", free_port());
    struct listener_wish wishes[] = {{LISTENER_POLICY, address}, {LISTENER_METRICS, address}};
    assert_false(listener_set_open(&set, NULL, wishes, 2, &error));
    assert_non_null(strstr(error.text, "twice"));
}

static void stale_socket_file_is_replaced(void **state)
{
    (void)state;
    struct listener_set set;
    struct postern_error error;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char address[160];
    socket_path("stale", un.sun_path, sizeof un.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    close(fd);

    snprintf(address, sizeof address, "unix:%s", un.sun_path);
    assert_true(open_one(&set, NULL, address, &error));
    struct stat status;
    assert_int_equal(stat(un.sun_path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0666);
    listener_set_release(&set, NULL);
    assert_int_equal(stat(un.sun_path, &status), -1);
}

static void live_socket_file_is_in_use(void **state)
{
    (void)state;
    struct listener_set set, second;
    struct postern_error error;
    char path[128], address[160];
    snprintf(address, sizeof address, "unix:%s", socket_path("live", path, sizeof path));
    assert_true(open_one(&set, NULL, address, &error));
    assert_false(open_one(&second, NULL, address, &error));
    assert_non_null(strstr(error.text, "Address already in use"));
    int client = connect_to(address);
    assert_true(client >= 0);
    close(client);
    listener_set_release(&set, NULL);
}

static void file_that_is_no_socket_is_left_alone(void **state)
{
    (void)state;
    struct listener_set set;
    struct postern_error error;
    char path[128], address[160];
    snprintf(address, sizeof address, "unix:%s", socket_path("file", path, sizeof path));
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_false(open_one(&set, NULL, address, &error));
    assert_non_null(strstr(error.text, "is no socket"));
    assert_int_equal(unlink(path), 0);
}

static void socket_file_of_a_successor_is_not_removed(void **state)
{
    (void)state;
    struct listener_set ours, theirs;
    struct postern_error error;
    char path[128], address[160];
    snprintf(address, sizeof address, "unix:%s", socket_path("shared", path, sizeof path));
    assert_true(open_one(&ours, NULL, address, &error));
    assert_int_equal(unlink(path), 0);
    assert_true(open_one(&theirs, NULL, address, &error));
    listener_set_release(&ours, NULL);
    int client = connect_to(address);
    assert_true(client >= 0);
    close(client);
    listener_set_release(&theirs, NULL);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_documented_form_is_an_address),
        cmocka_unit_test(what_is_no_address_is_refused_by_name),
        cmocka_unit_test(port_in_use_names_the_address_and_the_likely_cause),
        cmocka_unit_test(accepted_connections_have_nodelay),
        cmocka_unit_test(star_takes_clients_of_ipv4),
        cmocka_unit_test(reload_keeps_the_queue_of_an_address_that_stays),
        cmocka_unit_test(reload_that_cannot_bind_leaves_everything_as_it_was),
        cmocka_unit_test(reload_to_an_overlapping_address_asks_for_a_restart),
        cmocka_unit_test(one_address_is_not_listened_on_twice),
        cmocka_unit_test(stale_socket_file_is_replaced),
        cmocka_unit_test(live_socket_file_is_in_use),
        cmocka_unit_test(file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(socket_file_of_a_successor_is_not_removed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
