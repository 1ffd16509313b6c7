#include "util/arena.h"
#include "util/buffer.h"
#include "util/names.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdalign.h>
#include <string.h>

static int make_arena(void **state)
{
    *state = arena_new();
    return 0;
}

static int drop_arena(void **state)
{
    arena_free(*state);
    return 0;
}

static bool is_all(const unsigned char *bytes, size_t size, unsigned char value)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    static const size_t sizes[] = {1,    0,    3,   16,   17,   1023, 1024, 1025, 3000,
                                   4064, 4065, 100, 4096, 5000, 2,    900,  900,  100000};
    enum { COUNT = sizeof sizes / sizeof *sizes, ROUNDS = 20 };
    unsigned char *taken[COUNT * ROUNDS];
    for (size_t i = 0; i < COUNT * ROUNDS; i++) {
        size_t size = sizes[i % COUNT];
        taken[i] = postern_alloc(*state, size);
        assert_int_equal((uintptr_t)taken[i] % alignof(max_align_t), 0);
        assert_true(is_all(taken[i], size, 0));
        memset(taken[i], (int)(i % 255) + 1, size);
    }
    for (size_t i = 0; i < COUNT * ROUNDS; i++)
        assert_true(is_all(taken[i], sizes[i % COUNT], (unsigned char)(i % 255 + 1)));
}

static void used_bytes_grow_with_what_is_taken(void **state)
{
    assert_int_equal(arena_used(*state), 0);
    postern_alloc(*state, 100);
    assert_in_range(arena_used(*state), 100, 128);
    postern_alloc(*state, 100000);
    assert_in_range(arena_used(*state), 100100, 100200);
}

static void freeing_no_arena_is_fine(void **state)
{
    (void)state;
    arena_free(NULL);
    arena_free(arena_new());
}

static void copies_are_equal_and_apart(void **state)
{
    const char *text = "text";
    char *copy = postern_strdup(*state, text);
    assert_string_equal(copy, text);
    assert_ptr_not_equal(copy, text);
    assert_string_equal(postern_strdup(*state, ""), "");
    assert_string_equal(postern_strndup(*state, "example", 4), "exam");
    assert_string_equal(postern_strndup(*state, "example", 0), "");
    assert_memory_equal(postern_strndup(*state, "a\0b", 3), "a\0b", 4);
}

static void text_is_shortened_between_characters(void **state)
{
    assert_string_equal(postern_shorten(*state, "abc", 3), "abc");
    assert_string_equal(postern_shorten(*state, "abcd", 3), "abc");
    assert_string_equal(postern_shorten(*state, "ab\u00e9", 3), "ab");
    assert_string_equal(postern_shorten(*state, "a\u20acb", 4), "a\u20ac");
}

static void lower_case_is_of_ascii_only(void **state)
{
    assert_string_equal(postern_lower(*state, "User@EXAMPLE.Com[`{]"), "user@example.com[`{]");
    assert_string_equal(postern_lower(*state, "AZ\xc3\x9c"), "az\xc3\x9c");
    assert_string_equal(postern_lower(*state, ""), "");
}

static void printf_takes_what_the_text_needs(void **state)
{
    assert_string_equal(postern_printf(*state, "%s=%d", "n", 7), "n=7");
    assert_string_equal(postern_printf(*state, "%s", ""), "");
    const char *big = postern_printf(*state, "%*s|", 20000, "x");
    assert_int_equal(strlen(big), 20001);
    assert_string_equal(big + 19999, "x|");
}

static void buffer_grows_and_stays_terminated(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    for (int i = 0; i < 1000; i++) {
        buffer_char(&buffer, 'a');
        assert_int_equal(buffer.data[buffer.length], '\0');
    }
    buffer_text(&buffer, "text");
    buffer_append(&buffer, "\0z", 2);
    buffer_printf(&buffer, "%05d", 42);
    assert_int_equal(buffer.length, 1011);
    assert_memory_equal(buffer.data + 999, "atext\0z00042", 13);
    buffer_printf(&buffer, "%*s", 5000, "");
    assert_int_equal(buffer.length, 6011);
    assert_int_equal(strlen(buffer.data + 1006), 5005);
    buffer_free(&buffer);
    assert_null(buffer.data);
}

static void appending_nothing_makes_an_empty_text(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append(&buffer, NULL, 0);
    assert_string_equal(buffer.data, "");
    buffer_free(&buffer);
}

static void consuming_drops_the_front(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_text(&buffer, "one two");
    buffer_consume(&buffer, 4);
    assert_string_equal(buffer.data, "two");
    buffer_consume(&buffer, 0);
    assert_string_equal(buffer.data, "two");
    buffer_consume(&buffer, 3);
    assert_string_equal(buffer.data, "");
    assert_int_equal(buffer.length, 0);
    buffer_free(&buffer);
}

static void unused_buffer_can_be_consumed_cleared_and_freed(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_consume(&buffer, 0);
    buffer_clear(&buffer);
    buffer_free(&buffer);
    assert_int_equal(buffer.length, 0);
    assert_null(buffer.data);
}

static void cleared_buffer_keeps_its_memory(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_text(&buffer, "text");
    char *data = buffer.data;
    buffer_clear(&buffer);
    assert_string_equal(buffer.data, "");
    buffer_text(&buffer, "more");
    assert_ptr_equal(buffer.data, data);
    assert_string_equal(buffer.data, "more");
    buffer_free(&buffer);
}

static void names_keep_their_order_while_the_list_grows(void **state)
{
    struct postern_names names = {0};
    for (int i = 0; i < 1000; i++)
        names_add(*state, &names, postern_printf(*state, "%d", i));
    assert_int_equal(names.count, 1000);
    for (int i = 0; i < 1000; i++)
        assert_string_equal(names.items[i], postern_printf(*state, "%d", i));
}

static void names_hold_what_was_added(void **state)
{
    struct postern_names names = {0};
    assert_false(names_hold(&names, ""));
    names_add(*state, &names, "a");
    names_add(*state, &names, "b");
    assert_true(names_hold(&names, "b"));
    assert_false(names_hold(&names, "B"));
    assert_false(names_hold(&names, ""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_arena, drop_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(memory_is_zeroed_aligned_and_apart),
        TEST(used_bytes_grow_with_what_is_taken),
        TEST(freeing_no_arena_is_fine),
        TEST(copies_are_equal_and_apart),
        TEST(text_is_shortened_between_characters),
        TEST(lower_case_is_of_ascii_only),
        TEST(printf_takes_what_the_text_needs),
        TEST(buffer_grows_and_stays_terminated),
        TEST(appending_nothing_makes_an_empty_text),
        TEST(consuming_drops_the_front),
        TEST(unused_buffer_can_be_consumed_cleared_and_freed),
        TEST(cleared_buffer_keeps_its_memory),
        TEST(names_keep_their_order_while_the_list_grows),
        TEST(names_hold_what_was_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
