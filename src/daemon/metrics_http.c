#include "daemon/metrics_http.h"

#include "build_config.h"

#if HAVE_MICROHTTPD

#include "runtime/fiber.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS        64
#define LOOK_SECONDS       1.0
#define CONNECTION_SECONDS 10
#define CONNECTION_MEMORY  (16 * 1024)

struct metrics_http {
    struct MHD_Daemon *daemon;
    int epoll_fd;
    struct fiber *fiber;
    bool stopping;
};

static char *page_root(size_t *length)
{
    static const char page[] = "<!DOCTYPE html><title>Postern</title><h1>Postern</h1>"
                               "<p><a href=\"/metrics\">Metrics</a></p>\n";
    *length = sizeof page - 1;
    return strdup(page);
}

static char *page_health(size_t *length)
{
    *length = strlen("ok\n");
    return strdup("ok\n");
}

static char *page_metrics(size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    if (out == NULL)
        return NULL;
    metrics_print(out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static const struct page {
    const char *path, *type;
    char *(*make)(size_t *length); /* to be freed; NULL when there is no memory */
} pages[] = {
    {"/", "text/html; charset=utf-8", page_root},
    {"/healthz", "text/plain; charset=utf-8", page_health},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", page_metrics},
};

static const struct page *page_find(const char *path)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (strcmp(pages[i].path, path) == 0)
            return &pages[i];
    return NULL;
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status,
                               struct MHD_Response *response, const char *header, const char *value)
{
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, header, value);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_error(struct MHD_Connection *connection, unsigned status,
                                     const char *text, const char *header, const char *value)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
    return respond(connection, status, response, header, value);
}

static enum MHD_Result respond_page(struct MHD_Connection *connection, const struct page *page)
{
    size_t length;
    char *text = page->make(&length);
    if (text == NULL)
        return MHD_NO;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        free(text);
    return respond(connection, MHD_HTTP_OK, response, MHD_HTTP_HEADER_CONTENT_TYPE, page->type);
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **connection_context)
{
    (void)context, (void)version, (void)upload_data, (void)upload_data_size;
    const struct page *page = page_find(url);
    if (page == NULL)
        return respond_error(connection, MHD_HTTP_NOT_FOUND, "not found\n",
                             MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return respond_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n",
                             MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (*connection_context == page)
        return respond_page(connection, page);
    *connection_context = (void *)page; /* an answer to the first call would end the connection */
    return MHD_YES;
}

/*
 * libmicrohttpd tells nothing of two things that it wants to be called for: connections that
 * have sent nothing yet and are to be timed out, and the listener, which it leaves when all
 * connections are taken and takes up again in a later call. So it is called now and then.
 */
static double next_deadline(struct MHD_Daemon *daemon)
{
    double wait = LOOK_SECONDS;
    MHD_UNSIGNED_LONG_LONG milliseconds;
    if (MHD_get_timeout(daemon, &milliseconds) == MHD_YES && (double)milliseconds / 1000 < wait)
        wait = (double)milliseconds / 1000;
    return fiber_now() + wait;
}

static void serve(void *arg)
{
    struct metrics_http *http = arg;
    http->fiber = fiber_self();
    while (!http->stopping) {
        fiber_wait_fd(http->epoll_fd, EV_READ, next_deadline(http->daemon));
        if (http->stopping)
            break;
        if (MHD_run(http->daemon) != MHD_YES) {
            log_error("the metrics endpoint has failed and is closed");
            break;
        }
    }
    MHD_stop_daemon(http->daemon);
    http->daemon = NULL;
    http->fiber = NULL;
    if (http->stopping)
        free(http);
}

/* libmicrohttpd accepts until there is no connection left, which must not wait. */
static struct MHD_Daemon *daemon_start(int listen_fd)
{
    int flags = fcntl(listen_fd, F_GETFL);
    if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return NULL;
    return MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, NULL,         //
                            MHD_OPTION_LISTEN_SOCKET, listen_fd,                //
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, //
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_SECONDS,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                            MHD_OPTION_END);
}

struct metrics_http *metrics_http_start(int listen_fd, struct postern_error *error)
{
    struct metrics_http *http = calloc(1, sizeof *http);
    if (http == NULL) {
        postern_error_set(error, "the metrics endpoint: out of memory");
        return NULL;
    }
    http->daemon = daemon_start(listen_fd);
    if (http->daemon == NULL) {
        postern_error_set(error, "the metrics endpoint can't be started: %s", strerror(errno));
        free(http);
        return NULL;
    }
    http->epoll_fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    if (fiber_spawn(serve, http))
        return http;
    postern_error_set(error, "the metrics endpoint: no memory for a fiber");
    MHD_quiesce_daemon(http->daemon);
    MHD_stop_daemon(http->daemon);
    free(http);
    return NULL;
}

void metrics_http_stop(struct metrics_http *http)
{
    if (http == NULL)
        return;
    if (http->daemon == NULL) {
        free(http);
        return;
    }
    http->stopping = true;
    if (http->fiber != NULL)
        fiber_interrupt(http->fiber);
}

#else

struct metrics_http *metrics_http_start(int listen_fd, struct postern_error *error)
{
    (void)listen_fd;
    postern_error_set(error, "this build has no metrics endpoint (it was made without "
                             "libmicrohttpd); set metrics { listen = \"\" }");
    return NULL;
}

void metrics_http_stop(struct metrics_http *http)
{
    (void)http;
}

#endif
