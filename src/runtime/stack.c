#include "runtime/stack.h"

#include "build_config.h"
#include "runtime/fiber.h"
#include "runtime/sanitize.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#if HAVE_VALGRIND_H
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id)       ((void)(id))
#endif

/* Pooled stacks keep the pages they have touched; more than this is given back. */
#define POOL_LIMIT 64

static struct stack *pool;
static size_t pool_length;

static size_t page_size(void)
{
    static size_t size;
    if (size == 0)
        size = (size_t)sysconf(_SC_PAGESIZE);
    return size;
}

static size_t mapping_size(void)
{
    return page_size() + FIBER_STACK_SIZE;
}

static struct stack *stack_map(void)
{
    char *memory = mmap(NULL, mapping_size(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (mprotect(memory, page_size(), PROT_NONE) != 0) {
        munmap(memory, mapping_size());
        return NULL;
    }
    uintptr_t top = ((uintptr_t)memory + mapping_size() - sizeof(struct stack)) & ~(uintptr_t)63;
    struct stack *stack = (struct stack *)top;
    stack->base = memory + page_size();
    stack->size = (size_t)((char *)stack - stack->base);
    stack->valgrind_id = VALGRIND_STACK_REGISTER(stack->base, stack->base + stack->size);
    sanitize_add_root(stack->base, stack->size);
    return stack;
}

static void stack_unmap(struct stack *stack)
{
    char *memory = stack->base - page_size();
    sanitize_remove_root(stack->base, stack->size);
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
    munmap(memory, mapping_size());
}

struct stack *stack_take(void)
{
    struct stack *stack = pool;
    if (stack == NULL)
        return stack_map();
    pool = stack->next;
    pool_length--;
    sanitize_unpoison(stack->base, stack->size);
    return stack;
}

void stack_give(struct stack *stack)
{
    if (pool_length >= POOL_LIMIT) {
        sanitize_unpoison(stack->base, stack->size);
        stack_unmap(stack);
        return;
    }
    stack->next = pool;
    pool = stack;
    pool_length++;
}

void stack_pool_free(void)
{
    while (pool != NULL) {
        struct stack *stack = pool;
        pool = stack->next;
        stack_unmap(stack);
    }
    pool_length = 0;
}
