#include "db/sqlite_turn.h"

#include "runtime/fiber.h"
#include "util/memory.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utlist.h>

struct sqlite_turn {
    struct sqlite_turn *next;
    char *path;
    int event; /* readable: somebody has passed the turn on */
    /* Shared by all processes. One that is killed while it waits stays in it: then some
     * transactions are announced to nobody, which costs a system call. */
    atomic_uint *waiting;
};

static struct sqlite_turn *turns;

struct sqlite_turn *sqlite_turn_find(const char *path)
{
    struct sqlite_turn *turn;
    LL_FOREACH(turns, turn)
    {
        if (strcmp(turn->path, path) == 0)
            return turn;
    }
    return NULL;
}

void sqlite_turn_prepare(const char *path)
{
    if (sqlite_turn_find(path) != NULL)
        return;
    void *shared =
        mmap(NULL, sizeof(atomic_uint), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return;
    int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (event < 0) {
        munmap(shared, sizeof(atomic_uint));
        return;
    }
    struct sqlite_turn *turn = memory_new(sizeof *turn);
    turn->path = memory_new(strlen(path) + 1);
    memcpy(turn->path, path, strlen(path) + 1);
    turn->event = event;
    turn->waiting = shared;
    LL_PREPEND(turns, turn);
}

void sqlite_turn_pass(struct sqlite_turn *turn)
{
    if (turn != NULL && atomic_load(turn->waiting) > 0)
        eventfd_write(turn->event, 1);
}

bool sqlite_turn_wait(struct sqlite_turn *turn, double seconds, double deadline)
{
    if (turn == NULL)
        return fiber_sleep(seconds, deadline);
    double end = fiber_now() + seconds;
    atomic_fetch_add(turn->waiting, 1);
    if (fiber_wait_fd(turn->event, EV_READ, end < deadline ? end : deadline) != 0) {
        eventfd_t passed;
        eventfd_read(turn->event, &passed); /* all who wait have been woken by it */
    }
    atomic_fetch_sub(turn->waiting, 1);
    return fiber_now() < deadline;
}
