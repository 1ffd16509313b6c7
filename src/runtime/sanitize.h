/* What AddressSanitizer and LeakSanitizer need to be told about fibers; nothing without them. */
#ifndef POSTERN_RUNTIME_SANITIZE_H
#define POSTERN_RUNTIME_SANITIZE_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZE_ADDRESS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZE_ADDRESS 1
#endif
#endif

#ifdef SANITIZE_ADDRESS

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

#define sanitize_start_switch(fake, bottom, size) __sanitizer_start_switch_fiber(fake, bottom, size)
#define sanitize_finish_switch(fake, bottom, size)                                                 \
    __sanitizer_finish_switch_fiber(fake, bottom, size)
#define sanitize_unpoison(start, size)    __asan_unpoison_memory_region(start, size)
#define sanitize_add_root(start, size)    __lsan_register_root_region(start, size)
#define sanitize_remove_root(start, size) __lsan_unregister_root_region(start, size)

#else

#define sanitize_start_switch(fake, bottom, size)  ((void)(fake), (void)(bottom), (void)(size))
#define sanitize_finish_switch(fake, bottom, size) ((void)(fake), (void)(bottom), (void)(size))
#define sanitize_unpoison(start, size)             ((void)(start), (void)(size))
#define sanitize_add_root(start, size)             ((void)(start), (void)(size))
#define sanitize_remove_root(start, size)          ((void)(start), (void)(size))

#endif

#endif
