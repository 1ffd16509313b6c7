/* Runs a test's body in a fiber, on a loop of its own. */
#ifndef TESTS_UNIT_FIBERS_H
#define TESTS_UNIT_FIBERS_H

#include "runtime/fiber.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static inline void in_fiber(void (*body)(void *arg), void *arg)
{
    fiber_runtime_start();
    assert_true(fiber_spawn(body, arg));
    fiber_runtime_run();
    assert_int_equal(fiber_count(), 0);
    fiber_runtime_end();
}

#endif
