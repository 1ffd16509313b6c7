#include "db/sqlite_checkpoint.h"

#include "runtime/fiber.h"
#include "runtime/log.h"
#include "util/memory.h"
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LOOK_EVERY       1 /* seconds */
#define CHECKPOINT_FROM  (4 * 1024 * 1024)
#define TRUNCATE_FROM    (16 * 1024 * 1024)
#define WRITERS_HELD_FOR 300 /* milliseconds at most, while truncating waits for readers */

struct sqlite_checkpoint {
    const char *path;
    char wal[PATH_MAX];
    pthread_t thread;
    sqlite3 *handle; /* the thread's; NULL while it can't be opened */

    pthread_mutex_t mutex; /* for what follows */
    pthread_cond_t stop_asked;
    bool stop;
    char failure[512]; /* the last one; "" when the last checkpoint went well */

    /* The loop's: logging is not for threads. */
    ev_async failed;
    char logged[512];
};

/* --- in the thread --- */

static void failure_set(struct sqlite_checkpoint *checkpoint, int code)
{
    char text[sizeof checkpoint->failure] = "";
    if (code != SQLITE_OK)
        snprintf(text, sizeof text, "%s", sqlite3_errstr(code));
    pthread_mutex_lock(&checkpoint->mutex);
    bool changed = strcmp(checkpoint->failure, text) != 0;
    memcpy(checkpoint->failure, text, sizeof text);
    pthread_mutex_unlock(&checkpoint->mutex);
    if (changed)
        ev_async_send(fiber_loop(), &checkpoint->failed);
}

static void file_close(struct sqlite_checkpoint *checkpoint)
{
    sqlite3_close(checkpoint->handle);
    checkpoint->handle = NULL;
}

static int file_open(struct sqlite_checkpoint *checkpoint)
{
    int moved = 0;
    if (checkpoint->handle != NULL)
        sqlite3_file_control(checkpoint->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (moved)
        file_close(checkpoint);
    if (checkpoint->handle != NULL)
        return SQLITE_OK;
    int code = sqlite3_open_v2(checkpoint->path, &checkpoint->handle,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        sqlite3_extended_result_codes(checkpoint->handle, 1);
        sqlite3_busy_timeout(checkpoint->handle, WRITERS_HELD_FOR);
        code = sqlite3_exec(checkpoint->handle,
                            "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;", NULL,
                            NULL, NULL);
    }
    return code;
}

static off_t wal_size(const struct sqlite_checkpoint *checkpoint)
{
    struct stat status;
    return stat(checkpoint->wal, &status) == 0 ? status.st_size : 0;
}

/* The passive one does the syncing, so that little is left to do while writers are held. */
static int wal_checkpoint(struct sqlite_checkpoint *checkpoint, bool truncate)
{
    int code = file_open(checkpoint);
    if (code == SQLITE_OK)
        code = sqlite3_wal_checkpoint_v2(checkpoint->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL,
                                         NULL);
    if (code == SQLITE_OK && truncate)
        code = sqlite3_wal_checkpoint_v2(checkpoint->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
                                         NULL);
    return (code & 0xff) == SQLITE_BUSY ? SQLITE_OK : code; /* others are at it: next time */
}

static void look(struct sqlite_checkpoint *checkpoint, off_t from)
{
    off_t size = wal_size(checkpoint);
    if (size < from)
        return;
    int code = wal_checkpoint(checkpoint, size > TRUNCATE_FROM);
    if (code != SQLITE_OK)
        file_close(checkpoint);
    failure_set(checkpoint, code);
}

/* False when it is time to stop. */
static bool wait_a_while(struct sqlite_checkpoint *checkpoint)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_EVERY;
    pthread_mutex_lock(&checkpoint->mutex);
    int late = 0;
    while (!checkpoint->stop && late == 0)
        late = pthread_cond_timedwait(&checkpoint->stop_asked, &checkpoint->mutex, &until);
    bool stop = checkpoint->stop;
    pthread_mutex_unlock(&checkpoint->mutex);
    return !stop;
}

static void *checkpoint_thread(void *arg)
{
    struct sqlite_checkpoint *checkpoint = arg;
    do
        look(checkpoint, CHECKPOINT_FROM);
    while (wait_a_while(checkpoint));
    look(checkpoint, 1);
    file_close(checkpoint);
    return NULL;
}

/* --- in the loop --- */

static void failure_log(struct sqlite_checkpoint *checkpoint)
{
    char failure[sizeof checkpoint->failure];
    pthread_mutex_lock(&checkpoint->mutex);
    memcpy(failure, checkpoint->failure, sizeof failure);
    pthread_mutex_unlock(&checkpoint->mutex);
    if (strcmp(failure, checkpoint->logged) == 0)
        return;
    memcpy(checkpoint->logged, failure, sizeof failure);
    if (failure[0] != '\0')
        log_warning("%s: its write-ahead log can't be carried over (%s) and grows until it can: "
                    "look at the disk's room and health, and at the file's permissions",
                    checkpoint->path, failure);
    else
        log_info("%s: its write-ahead log is carried over again", checkpoint->path);
}

static void on_failed(struct ev_loop *loop, ev_async *async, int revents)
{
    (void)loop, (void)revents;
    failure_log(async->data);
}

static void conditions_init(struct sqlite_checkpoint *checkpoint)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&checkpoint->stop_asked, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&checkpoint->mutex, NULL);
}

static void conditions_end(struct sqlite_checkpoint *checkpoint)
{
    pthread_cond_destroy(&checkpoint->stop_asked);
    pthread_mutex_destroy(&checkpoint->mutex);
}

static void watch_start(struct sqlite_checkpoint *checkpoint)
{
    ev_async_init(&checkpoint->failed, on_failed);
    checkpoint->failed.data = checkpoint;
    ev_async_start(fiber_loop(), &checkpoint->failed);
    ev_unref(fiber_loop());
}

static void watch_end(struct sqlite_checkpoint *checkpoint)
{
    ev_ref(fiber_loop());
    ev_async_stop(fiber_loop(), &checkpoint->failed);
}

/* Signals are the loop's: a thread that took one would keep it from being noticed. */
static int thread_start(struct sqlite_checkpoint *checkpoint)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&checkpoint->thread, NULL, checkpoint_thread, checkpoint);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

struct sqlite_checkpoint *sqlite_checkpoint_start(const struct database_config *config,
                                                  struct postern_error *error)
{
    struct sqlite_checkpoint *checkpoint = memory_new(sizeof *checkpoint);
    checkpoint->path = config->path;
    snprintf(checkpoint->wal, sizeof checkpoint->wal, "%s-wal", config->path);
    conditions_init(checkpoint);
    watch_start(checkpoint);
    int code = thread_start(checkpoint);
    if (code == 0)
        return checkpoint;
    postern_error_set(error, "%s: no thread for its checkpoints: %s", config->path, strerror(code));
    watch_end(checkpoint);
    conditions_end(checkpoint);
    free(checkpoint);
    return NULL;
}

void sqlite_checkpoint_stop(struct sqlite_checkpoint *checkpoint)
{
    if (checkpoint == NULL)
        return;
    pthread_mutex_lock(&checkpoint->mutex);
    checkpoint->stop = true;
    pthread_cond_signal(&checkpoint->stop_asked);
    pthread_mutex_unlock(&checkpoint->mutex);
    pthread_join(checkpoint->thread, NULL);
    failure_log(checkpoint);
    watch_end(checkpoint);
    conditions_end(checkpoint);
    free(checkpoint);
}
