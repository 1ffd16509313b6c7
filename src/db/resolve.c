#include "db/resolve.h"

#include "runtime/fiber.h"
#include "util/memory.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Belongs to the fiber and to the thread; the last of them to leave frees it. */
struct lookup {
    atomic_int owners;
    int done; /* an eventfd */
    int code, system_error;
    struct addrinfo *found;
    char host[];
};

static struct lookup *lookup_new(const char *host)
{
    size_t size = strlen(host) + 1;
    struct lookup *lookup = memory_new(sizeof *lookup + size);
    memcpy(lookup->host, host, size);
    lookup->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_init(&lookup->owners, 2);
    return lookup;
}

static void lookup_leave(struct lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->owners, 1) != 1)
        return;
    if (lookup->found != NULL)
        freeaddrinfo(lookup->found);
    if (lookup->done >= 0)
        close(lookup->done);
    free(lookup);
}

static void *lookup_run(void *arg)
{
    struct lookup *lookup = arg;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    lookup->code = getaddrinfo(lookup->host, NULL, &hints, &lookup->found);
    lookup->system_error = errno;
    eventfd_write(lookup->done, 1);
    lookup_leave(lookup);
    return NULL;
}

/* Signals are the loop's: the thread takes none. */
static bool thread_start(struct lookup *lookup)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = lookup->done < 0 ? errno : pthread_create(&thread, NULL, lookup_run, lookup);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0)
        pthread_detach(thread);
    errno = code;
    return code == 0;
}

static void addresses_copy(struct resolved *resolved, const struct addrinfo *found)
{
    for (; found != NULL && resolved->count < RESOLVE_ADDRESSES_MAX; found = found->ai_next)
        if (getnameinfo(found->ai_addr, found->ai_addrlen, resolved->addresses[resolved->count],
                        INET6_ADDRSTRLEN, NULL, 0, NI_NUMERICHOST) == 0)
            resolved->count++;
}

static bool lookup_wait(struct lookup *lookup, double deadline, struct resolved *resolved,
                        struct postern_error *error)
{
    if (fiber_wait_fd(lookup->done, EV_READ, deadline) == 0)
        return postern_error_set(error, "the name %s was not resolved in time", lookup->host);
    addresses_copy(resolved, lookup->found);
    if (lookup->code == 0 && resolved->count > 0)
        return true;
    const char *why =
        lookup->code == EAI_SYSTEM ? strerror(lookup->system_error) : gai_strerror(lookup->code);
    return postern_error_set(error, "the name %s has no address: %s", lookup->host, why);
}

static bool is_numeric(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

bool resolve_host(const char *host, double deadline, struct resolved *resolved,
                  struct postern_error *error)
{
    *resolved = (struct resolved){0};
    if (is_numeric(host)) {
        snprintf(resolved->addresses[resolved->count++], INET6_ADDRSTRLEN, "%s", host);
        return true;
    }
    struct lookup *lookup = lookup_new(host);
    bool started = thread_start(lookup);
    if (!started) {
        postern_error_set(error, "cannot resolve %s: %s", host, strerror(errno));
        lookup_leave(lookup);
    }
    bool found = started && lookup_wait(lookup, deadline, resolved, error);
    lookup_leave(lookup);
    return found;
}
