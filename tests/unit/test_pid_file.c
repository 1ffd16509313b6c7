#include "daemon/pid_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/postern-pid-XXXXXX";
static char path[64];

static void read_file(char *text, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t length = read(fd, text, size - 1);
    close(fd);
    assert_true(length >= 0);
    text[length] = '\0';
}

static void file_holds_our_process_until_it_is_removed(void **state)
{
    (void)state;
    struct pid_file file;
    struct postern_error error;
    char text[32], expected[32];
    assert_true(pid_file_open(&file, path, "root", &error));
    read_file(text, sizeof text);
    snprintf(expected, sizeof expected, "%ld\n", (long)getpid());
    assert_string_equal(text, expected);
    pid_file_remove(&file);
    assert_int_equal(access(path, F_OK), -1);
}

static void missing_folder_is_created(void **state)
{
    (void)state;
    struct pid_file file;
    struct postern_error error;
    char deeper[96];
    snprintf(deeper, sizeof deeper, "%s/new/p.pid", folder);
    assert_true(pid_file_open(&file, deeper, "root", &error));
    pid_file_remove(&file);
    snprintf(deeper, sizeof deeper, "%s/new", folder);
    assert_int_equal(rmdir(deeper), 0);
}

static void second_instance_is_refused_by_process(void **state)
{
    (void)state;
    struct pid_file first, second;
    struct postern_error error;
    char expected[32];
    assert_true(pid_file_open(&first, path, "root", &error));
    assert_false(pid_file_open(&second, path, "root", &error));
    snprintf(expected, sizeof expected, "process %ld", (long)getpid());
    assert_non_null(strstr(error.text, expected));
    pid_file_remove(&second);
    assert_int_equal(access(path, F_OK), 0);
    pid_file_remove(&first);
}

static void file_left_by_a_crash_is_taken_over(void **state)
{
    (void)state;
    struct pid_file file;
    struct postern_error error;
    char text[32];
    FILE *left = fopen(path, "w");
    fputs("123456789\n", left);
    fclose(left);
    assert_true(pid_file_open(&file, path, "root", &error));
    read_file(text, sizeof text);
    assert_int_equal(atol(text), getpid());
    pid_file_remove(&file);
}

static void empty_path_means_no_file(void **state)
{
    (void)state;
    struct pid_file file;
    struct postern_error error;
    assert_true(pid_file_open(&file, "", "root", &error));
    pid_file_remove(&file);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/p.pid", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_holds_our_process_until_it_is_removed),
        cmocka_unit_test(missing_folder_is_created),
        cmocka_unit_test(second_instance_is_refused_by_process),
        cmocka_unit_test(file_left_by_a_crash_is_taken_over),
        cmocka_unit_test(empty_path_means_no_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
