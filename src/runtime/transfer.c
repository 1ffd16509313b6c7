/* One multi handle per process, driven by the loop; it is made with the first transfer. */
#include "runtime/transfer.h"

#include "runtime/fiber.h"
#include "util/memory.h"

#include <stdlib.h>

/* libcurl is given a little less time than the fiber, because it knows what it waited for. */
#define TIMEOUT_SHARE 0.95

struct transfer {
    CURLcode result;
    bool done;
    struct fiber_cond ended;
};

static CURLM *multi;
static ev_timer timer;

static void take_results(void)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        struct transfer *transfer = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        transfer->result = message->data.result;
        transfer->done = true;
        fiber_cond_signal(&transfer->ended);
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *watcher, int revents)
{
    (void)loop, (void)watcher, (void)revents;
    int running;
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_results();
}

/* The watcher may be gone when libcurl returns. */
static void on_socket(struct ev_loop *loop, ev_io *watcher, int revents)
{
    (void)loop;
    int running, ready = 0;
    if (revents & EV_READ)
        ready |= CURL_CSELECT_IN;
    if (revents & EV_WRITE)
        ready |= CURL_CSELECT_OUT;
    curl_multi_socket_action(multi, watcher->fd, ready, &running);
    take_results();
}

static int set_timer(CURLM *handle, long milliseconds, void *context)
{
    (void)handle, (void)context;
    ev_timer_stop(fiber_loop(), &timer);
    if (milliseconds < 0)
        return 0;
    ev_timer_set(&timer, (double)milliseconds / 1000, 0);
    ev_timer_start(fiber_loop(), &timer);
    return 0;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    (void)easy, (void)context;
    ev_io *watcher = known;
    if (watcher != NULL)
        ev_io_stop(fiber_loop(), watcher);
    if (what == CURL_POLL_REMOVE) {
        curl_multi_assign(multi, fd, NULL);
        free(watcher);
        return 0;
    }
    if (watcher == NULL) {
        watcher = memory_new(sizeof *watcher);
        curl_multi_assign(multi, fd, watcher);
    }
    int events = (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);
    ev_io_init(watcher, on_socket, fd, events);
    ev_io_start(fiber_loop(), watcher);
    return 0;
}

static bool make_multi(void)
{
    if (multi != NULL)
        return true;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return false;
    multi = curl_multi_init();
    if (multi == NULL)
        return false;
    ev_timer_init(&timer, on_timer, 0, 0);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    return true;
}

static void set_limits(CURL *easy, struct transfer *transfer, double deadline)
{
    double left = (deadline - fiber_now()) * TIMEOUT_SHARE * 1000;
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, left > 1 ? (long)left : 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* else the end waits for the resolver */
#endif
}

CURLcode transfer_run(CURL *easy, double deadline)
{
    struct transfer transfer = {.result = CURLE_OPERATION_TIMEDOUT};
    if (!make_multi())
        return CURLE_FAILED_INIT;
    set_limits(easy, &transfer, deadline);
    if (curl_multi_add_handle(multi, easy) != CURLM_OK)
        return CURLE_FAILED_INIT;
    while (!transfer.done && fiber_cond_wait(&transfer.ended, deadline))
        ;
    curl_multi_remove_handle(multi, easy);
    return transfer.result;
}
