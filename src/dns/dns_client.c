#include "dns/dns_client.h"

#include "dns/dns_servers.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "util/memory.h"
#include <ares.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <utlist.h>

#define CHANNEL_QUERIES 32
#define TRIES           2
#define CODE_FORMERR    1
#define PLAIN_UDP_SIZE  512
#define SOONEST         0.001

/* A socket of c-ares that is watched. */
struct watch {
    ev_io io;
    struct channel *channel;
    struct watch *next;
};

/* Queries that need TCP have channels of their own: where it fails, c-ares fails all queries that
 * the channel has at that server, those by UDP too. */
enum transport { BY_UDP, BY_TCP, TRANSPORTS };

struct channel {
    struct dns_client *client;
    enum transport transport;
    ares_channel ares;
    struct watch *watches;
    ev_timer timer;
    size_t asked, under_way;
    size_t entered; /* how often c-ares is on the stack: it must not be freed then */
    size_t first;   /* the server that it asks first */
    struct channel *prev, *next;
};

struct dns_client {
    const struct config *config;
    struct dns_servers servers;
    size_t first;                        /* the server that new channels ask first */
    struct channel *channels;            /* all that live */
    struct channel *current[TRANSPORTS]; /* takes the next query; or NULL */
    bool ending;
};

struct query {
    struct dns_client *client;
    struct channel *channel;
    dns_client_done done;
    void *context;
    enum transport transport;
    unsigned tries; /* by this transport */
    bool plain;     /* without EDNS */
    size_t length;
    unsigned char message[DNS_QUERY_MAX];
};

/* --- channels on the loop --- */

static bool is_current(const struct channel *channel)
{
    return channel->client->current[channel->transport] == channel;
}

static void channel_free(struct channel *channel)
{
    DL_DELETE(channel->client->channels, channel);
    if (is_current(channel))
        channel->client->current[channel->transport] = NULL;
    ares_destroy(channel->ares);
    ev_timer_stop(fiber_loop(), &channel->timer);
    free(channel);
}

/* After each call of c-ares: when must it be called next, and is it needed any longer? */
static void channel_settle(struct channel *channel)
{
    struct timeval next;
    if (channel->entered > 0)
        return;
    ev_timer_stop(fiber_loop(), &channel->timer);
    if (channel->under_way == 0) {
        if (!is_current(channel))
            channel_free(channel);
        return;
    }
    if (ares_timeout(channel->ares, NULL, &next) == NULL)
        return;
    double seconds = (double)next.tv_sec + (double)next.tv_usec / 1e6;
    ev_timer_set(&channel->timer, seconds > SOONEST ? seconds : SOONEST, 0);
    ev_timer_start(fiber_loop(), &channel->timer);
}

static void channel_process(struct channel *channel, ares_socket_t readable, ares_socket_t writable)
{
    channel->entered++;
    ares_process_fd(channel->ares, readable, writable);
    channel->entered--;
    channel_settle(channel);
}

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    struct watch *watch = (struct watch *)io;
    channel_process(watch->channel, (revents & EV_READ) != 0 ? io->fd : ARES_SOCKET_BAD,
                    (revents & EV_WRITE) != 0 ? io->fd : ARES_SOCKET_BAD);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    channel_process(timer->data, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static struct watch *watch_find(struct channel *channel, int fd)
{
    struct watch *watch;
    LL_SEARCH_SCALAR(channel->watches, watch, io.fd, fd);
    if (watch == NULL) {
        watch = memory_new(sizeof *watch);
        watch->channel = channel;
        ev_io_init(&watch->io, on_io, fd, 0);
        LL_PREPEND(channel->watches, watch);
    }
    return watch;
}

static void on_socket(void *data, ares_socket_t fd, int readable, int writable)
{
    struct channel *channel = data;
    struct watch *watch = watch_find(channel, fd);
    ev_io_stop(fiber_loop(), &watch->io);
    if (!readable && !writable) {
        LL_DELETE(channel->watches, watch);
        free(watch);
        return;
    }
    ev_io_set(&watch->io, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
    ev_io_start(fiber_loop(), &watch->io);
}

/* --- making them --- */

static struct ares_addr_port_node server_node(const struct dns_server *server)
{
    struct ares_addr_port_node node = {.udp_port = server->port, .tcp_port = server->port};
    node.family = server->ip.family == POSTERN_IPV4 ? AF_INET : AF_INET6;
    memcpy(&node.addr, server->ip.bytes, node.family == AF_INET ? 4 : 16);
    return node;
}

static int set_servers(struct channel *channel)
{
    const struct dns_servers *servers = &channel->client->servers;
    struct ares_addr_port_node nodes[DNS_SERVERS_MAX];
    for (size_t i = 0; i < servers->count; i++) {
        nodes[i] = server_node(&servers->list[(channel->first + i) % servers->count]);
        nodes[i].next = i + 1 < servers->count ? &nodes[i + 1] : NULL;
    }
    return ares_set_servers_ports(channel->ares, nodes);
}

/* With all of these options c-ares has no reason to read any file. */
static int ares_open(struct channel *channel)
{
    char lookups[] = "b";
    struct ares_options options = {
        .flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
                 (channel->transport == BY_TCP ? ARES_FLAG_USEVC : ARES_FLAG_IGNTC),
        .timeout = (int)channel->client->config->dns_timeout * 1000,
        .tries = 1,
        .ndots = 1,
        .lookups = lookups,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = channel,
        .ednspsz = DNS_UDP_SIZE,
    };
    int status = ares_init_options(
        &channel->ares, &options,
        ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_SERVERS |
            ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST | ARES_OPT_SOCK_STATE_CB |
            ARES_OPT_EDNSPSZ | ARES_OPT_NOROTATE);
    if (status != ARES_SUCCESS)
        return status;
    status = set_servers(channel);
    if (status != ARES_SUCCESS)
        ares_destroy(channel->ares);
    return status;
}

static struct channel *channel_new(struct dns_client *client, enum transport transport)
{
    struct channel *channel = memory_new(sizeof *channel);
    channel->client = client;
    channel->transport = transport;
    channel->first = client->first;
    ev_init(&channel->timer, on_timer);
    channel->timer.data = channel;
    int status = ares_open(channel);
    if (status != ARES_SUCCESS) {
        log_error("cannot make a DNS channel: %s", ares_strerror(status));
        free(channel);
        return NULL;
    }
    DL_APPEND(client->channels, channel);
    return channel;
}

/* The next query takes a new one. */
static void channel_retire(struct channel *channel)
{
    if (channel == NULL)
        return;
    channel->client->current[channel->transport] = NULL;
    channel_settle(channel);
}

static bool is_used_up(const struct channel *channel)
{
    return channel->asked >= CHANNEL_QUERIES || channel->first != channel->client->first;
}

static struct channel *client_channel(struct dns_client *client, enum transport transport)
{
    struct channel **current = &client->current[transport];
    if (dns_servers_refresh(&client->servers)) {
        client->first = 0;
        for (size_t i = 0; i < TRANSPORTS; i++)
            channel_retire(client->current[i]);
    }
    if (*current != NULL && is_used_up(*current))
        channel_retire(*current);
    if (*current == NULL)
        *current = channel_new(client, transport);
    return *current;
}

/* --- queries --- */

/* A server that answers SERVFAIL, NOTIMP or REFUSED is as good as none to c-ares. */
static const char *failure_of(int status)
{
    if (status == ARES_ETIMEOUT)
        return "no server has answered in time";
    if (status == ARES_ECONNREFUSED)
        return "each server failed (SERVFAIL), refused (REFUSED), or is not there";
    return ares_strerror(status);
}

static void query_end(struct query *query, const unsigned char *message, size_t size,
                      const char *failure)
{
    query->done(query->context, message, size, failure);
    free(query);
}

/* An answer that another server gave in time: that one is asked first from now on. */
static void prefer_answering(struct channel *channel, size_t timeouts)
{
    struct dns_client *client = channel->client;
    if (timeouts == 0 || client->servers.count < 2 || client->first != channel->first)
        return;
    client->first = (channel->first + timeouts) % client->servers.count;
}

static void query_send(struct query *query);

/* By the server, or by c-ares where the server sends more than it was asked for: at 512 bytes once
 * a server has refused EDNS. */
static bool is_cut_off(const struct query *query, const unsigned char *message, size_t size)
{
    return query->transport == BY_UDP && (size >= DNS_UDP_SIZE || size == PLAIN_UDP_SIZE ||
                                          dns_message_is_truncated(message, size));
}

static void use_tcp(struct query *query)
{
    query->transport = BY_TCP;
    query->tries = 0;
}

static bool is_refusal_of_edns(const struct query *query, const unsigned char *message, size_t size)
{
    return !query->plain && size >= 4 && dns_message_code(message) == CODE_FORMERR;
}

static void drop_edns(struct query *query)
{
    query->plain = true;
    query->length -= DNS_OPT_SIZE;
    query->message[11] = 0; /* additional records */
}

/* Whether it is worth another query, which is prepared then. */
static bool prepare_again(struct query *query, int status, const unsigned char *message,
                          size_t size)
{
    if (status != ARES_SUCCESS)
        return status == ARES_ETIMEOUT && query->tries < TRIES && !query->client->ending;
    if (is_cut_off(query, message, size))
        use_tcp(query);
    else if (is_refusal_of_edns(query, message, size))
        drop_edns(query);
    else
        return false;
    return true;
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *message, int size)
{
    struct query *query = arg;
    query->channel->under_way--;
    if (status == ARES_SUCCESS)
        prefer_answering(query->channel, (size_t)timeouts);
    if (prepare_again(query, status, message, (size_t)size))
        query_send(query);
    else if (status == ARES_SUCCESS)
        query_end(query, message, (size_t)size, "");
    else
        query_end(query, NULL, 0, failure_of(status));
}

static void query_send(struct query *query)
{
    struct channel *channel = client_channel(query->client, query->transport);
    if (channel == NULL || getrandom(query->message, 2, 0) != 2) {
        query_end(query, NULL, 0, "no memory for a DNS query");
        return;
    }
    query->channel = channel;
    query->tries++;
    channel->asked++;
    channel->under_way++;
    channel->entered++;
    ares_send(channel->ares, query->message, (int)query->length, on_answer, query);
    channel->entered--;
    channel_settle(channel);
}

void dns_client_ask(struct dns_client *client, const struct dns_question *question,
                    dns_client_done done, void *context)
{
    struct query *query = memory_new(sizeof *query);
    query->client = client;
    query->done = done;
    query->context = context;
    query->length = dns_message_write(question, query->message);
    query_send(query);
}

/* --- the client --- */

struct dns_client *dns_client_new(const struct config *config)
{
    struct dns_client *client = memory_new(sizeof *client);
    ares_library_init(ARES_LIB_INIT_ALL);
    client->config = config;
    dns_servers_open(&client->servers, &config->dns_servers);
    return client;
}

void dns_client_free(struct dns_client *client)
{
    if (client == NULL)
        return;
    client->ending = true;
    while (client->channels != NULL)
        channel_free(client->channels);
    free(client);
    ares_library_cleanup();
}
