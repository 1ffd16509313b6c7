/*
 * Stacks for fibers: mapped memory above a guard page, so that an overflow ends the process
 * instead of writing into another fiber. Freed stacks are pooled.
 */
#ifndef POSTERN_RUNTIME_STACK_H
#define POSTERN_RUNTIME_STACK_H

#include <stddef.h>

struct stack {
    char *base; /* lowest usable byte */
    size_t size;
    unsigned valgrind_id;
    struct stack *next; /* in the pool */
};

/* The structure itself lies in the topmost bytes of the memory that it describes, outside
 * base..base+size. NULL with errno when there is no memory. */
struct stack *stack_take(void);
void stack_give(struct stack *stack);
void stack_pool_free(void);

#endif
