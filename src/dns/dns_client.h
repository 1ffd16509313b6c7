/*
 * Asking DNS servers: c-ares on the loop, with ports, times and tries that are ours.
 *
 * c-ares 1.18 keeps one UDP socket, hence one source port, for as long as a channel has queries. So
 * a channel is given few queries and then replaced, and who wants to forge an answer has the port
 * to guess, too. That is also how changed servers come into use while old queries finish.
 */
#ifndef POSTERN_DNS_DNS_CLIENT_H
#define POSTERN_DNS_DNS_CLIENT_H

#include "dns/dns_message.h"
#include "runtime/config.h"

struct dns_client;

/* NULL in a build without c-ares. The config must outlive it. */
struct dns_client *dns_client_new(const struct config *config);

/* Queries under way end as failed. NULL is fine. */
void dns_client_free(struct dns_client *client);

/* Called once: message NULL when there is no answer, failure says why. Must not wait. */
typedef void (*dns_client_done)(void *context, const unsigned char *message, size_t size,
                                const char *failure);

/* Each try asks all servers in turn, each for at most `dns { timeout }`. */
void dns_client_ask(struct dns_client *client, const struct dns_question *question,
                    dns_client_done done, void *context);

#endif
