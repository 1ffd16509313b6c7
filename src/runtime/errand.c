#include "runtime/errand.h"

#include "runtime/fiber.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

void errand_leave(struct errand *errand)
{
    if (atomic_fetch_sub(&errand->owners, 1) != 1)
        return;
    if (errand->done >= 0)
        close(errand->done);
    errand->free(errand);
}

static void *thread_run(void *arg)
{
    struct errand *errand = arg;
    errand->run(errand);
    eventfd_write(errand->done, 1);
    errand_leave(errand);
    return NULL;
}

/* Signals are the loop's: the thread takes none. */
static int thread_start(struct errand *errand)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&thread, NULL, thread_run, errand);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0)
        pthread_detach(thread);
    return code;
}

enum errand_result errand_run(struct errand *errand, double deadline)
{
    atomic_init(&errand->owners, 2);
    errand->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int code = errand->done < 0 ? errno : thread_start(errand);
    if (code != 0) {
        atomic_fetch_sub(&errand->owners, 1);
        errno = code;
        return ERRAND_FAILED;
    }
    return fiber_wait_fd(errand->done, EV_READ, deadline) != 0 ? ERRAND_DONE : ERRAND_LATE;
}
