#define _GNU_SOURCE
#include "daemon/generation.h"

#include "daemon/handoff.h"
#include "daemon/housekeeper.h"
#include "daemon/worker.h"
#include "runtime/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FORK_RETRY      1.0
#define OTHER_LISTENERS 4 /* metrics, SRS */

static size_t roster_size(size_t workers)
{
    return sizeof(struct roster) + workers * sizeof(_Atomic int);
}

static struct roster *roster_new(size_t workers)
{
    struct roster *roster =
        mmap(NULL, roster_size(workers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (roster == MAP_FAILED)
        return NULL;
    roster->count = workers;
    for (size_t i = 0; i < workers; i++)
        atomic_init(&roster->slots[i], -1);
    return roster;
}

static struct place *places_new(size_t workers)
{
    struct place *places = calloc(workers + 1, sizeof *places);
    if (places == NULL)
        return NULL;
    for (size_t i = 0; i < workers; i++)
        places[i] =
            (struct place){.name = "worker", .run = worker_run, .number = (int)i + 1, .slot = -1};
    places[workers] = (struct place){.name = "housekeeper", .run = housekeeper_run, .slot = -1};
    return places;
}

static size_t add_wish(struct listener_wish *wishes, size_t count, enum listener_kind kind,
                       const char *address)
{
    if (address[0] == '\0')
        return count;
    wishes[count] = (struct listener_wish){kind, address};
    return count + 1;
}

static size_t add_srs_wishes(struct listener_wish *wishes, size_t count,
                             const struct config *config)
{
    if (config->srs.domain[0] == '\0')
        return count;
    count = add_wish(wishes, count, LISTENER_SRS_FORWARD, config->srs.listen_forward);
    count = add_wish(wishes, count, LISTENER_SRS_REVERSE, config->srs.listen_reverse);
    return add_wish(wishes, count, LISTENER_SRS_SOCKETMAP, config->srs.listen_socketmap);
}

static bool open_listeners(struct listener_set *set, const struct config *config,
                           const struct generation *previous, struct postern_error *error)
{
    size_t count = 0;
    struct listener_wish *wishes = calloc(config->listen.count + OTHER_LISTENERS, sizeof *wishes);
    if (wishes == NULL)
        return postern_error_set(error, "out of memory");
    for (size_t i = 0; i < config->listen.count; i++)
        count = add_wish(wishes, count, LISTENER_POLICY, config->listen.items[i]);
    count = add_wish(wishes, count, LISTENER_METRICS, config->metrics_listen);
    count = add_srs_wishes(wishes, count, config);
    bool opened = listener_set_open(set, previous != NULL ? &previous->listeners : NULL, wishes,
                                    count, error);
    free(wishes);
    return opened;
}

static void free_parts(struct generation *generation)
{
    if (generation->roster != NULL)
        munmap(generation->roster, roster_size(generation->roster->count));
    free(generation->places);
    free(generation);
}

struct generation *generation_new(struct config *config, const struct generation *previous,
                                  struct postern_error *error)
{
    size_t workers = (size_t)config->workers;
    struct generation *generation = calloc(1, sizeof *generation);
    if (generation == NULL) {
        postern_error_set(error, "out of memory");
        return NULL;
    }
    generation->deadline = NEVER;
    generation->count = workers + 1;
    generation->roster = roster_new(workers);
    generation->places = places_new(workers);
    if (generation->roster == NULL || generation->places == NULL) {
        postern_error_set(error, "out of memory");
        free_parts(generation);
        return NULL;
    }
    if (!open_listeners(&generation->listeners, config, previous, error)) {
        free_parts(generation);
        return NULL;
    }
    generation->config = config;
    return generation;
}

void generation_free(struct generation *generation, const struct generation *successor)
{
    listener_set_release(&generation->listeners, successor != NULL ? &successor->listeners : NULL);
    config_free(generation->config);
    free_parts(generation);
}

bool channels_create(struct channels *channels, struct postern_error *error)
{
    if (pipe2(channels->lifeline, O_CLOEXEC | O_NONBLOCK) < 0 ||
        pipe2(channels->ready, O_CLOEXEC | O_NONBLOCK) < 0)
        return postern_error_set(error, "cannot make a pipe: %s", strerror(errno));
    return handoff_create(channels->handoff, error);
}

static int run_child(struct generation *generation, const struct place *place,
                     const struct channels *channels)
{
    close(channels->lifeline[1]);
    close(channels->ready[0]);
    struct child_setup setup = {
        .config = generation->config,
        .listeners = &generation->listeners,
        .roster = generation->roster,
        .slot = place->slot,
        .lifeline = channels->lifeline[0],
        .ready = channels->ready[1],
        .handoff_send = channels->handoff[0],
        .handoff_receive = channels->handoff[1],
    };
    return place->run(&setup);
}

static void place_publish(struct generation *generation, const struct place *place)
{
    if (place->number > 0)
        atomic_store(&generation->roster->slots[place->number - 1],
                     place->pid > 0 ? place->slot : -1);
}

void generation_start(struct generation *generation, struct place *place,
                      const struct channels *channels, void (*enter)(void *context), void *context)
{
    place->start_at = NEVER;
    place->started = fiber_now();
    place->slot = metrics_slot_take();
    pid_t pid = place->slot < 0 ? -1 : fork();
    if (pid == 0) {
        enter(context);
        exit(run_child(generation, place, channels));
    }
    if (pid > 0) {
        place->pid = pid;
        place_publish(generation, place);
        return;
    }
    log_error("cannot start %s: %s; trying again", place->name,
              place->slot < 0 ? "too many processes still drain" : strerror(errno));
    generation_vacate(generation, place);
    place->start_at = fiber_now() + FORK_RETRY;
}

void generation_vacate(struct generation *generation, struct place *place)
{
    place->pid = 0;
    place_publish(generation, place);
    if (place->slot >= 0)
        metrics_slot_retire(place->slot);
    place->slot = -1;
}

struct place *generation_find(const struct generation *generation, pid_t pid)
{
    for (size_t i = 0; i < generation->count; i++)
        if (generation->places[i].pid == pid)
            return &generation->places[i];
    return NULL;
}

size_t generation_living(const struct generation *generation)
{
    size_t living = 0;
    for (size_t i = 0; i < generation->count; i++)
        living += generation->places[i].pid > 0;
    return living;
}

bool generation_is_ready(const struct generation *generation)
{
    for (size_t i = 0; i < generation->count; i++)
        if (!generation->places[i].ready)
            return false;
    return true;
}

void generation_signal(const struct generation *generation, int signal)
{
    for (size_t i = 0; i < generation->count; i++)
        if (generation->places[i].pid > 0)
            kill(generation->places[i].pid, signal);
}
