/* The client of a build without c-ares. */
#include "dns/dns_client.h"

struct dns_client *dns_client_new(const struct config *config)
{
    (void)config;
    return NULL;
}

void dns_client_free(struct dns_client *client)
{
    (void)client;
}

void dns_client_ask(struct dns_client *client, const struct dns_question *question,
                    dns_client_done done, void *context)
{
    (void)client, (void)question;
    done(context, NULL, 0, "this program was built without c-ares, so it can't ask the DNS");
}
