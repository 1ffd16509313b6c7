#include "policy/request.h"

#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/log.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    enum postern_state state;
} states[] = {
    {"RCPT", POSTERN_RCPT},       {"END-OF-MESSAGE", POSTERN_END_OF_MESSAGE},
    {"MAIL", POSTERN_MAIL},       {"DATA", POSTERN_DATA},
    {"EHLO", POSTERN_EHLO},       {"HELO", POSTERN_HELO},
    {"VRFY", POSTERN_VRFY},       {"ETRN", POSTERN_ETRN},
    {"CONNECT", POSTERN_CONNECT},
};

static enum postern_state state_find(const char *name)
{
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(states[i].name, name) == 0)
            return states[i].state;
    return POSTERN_OTHER_STATE;
}

static bool is_trusted(const struct postern_ip *client, const struct config *config)
{
    if (postern_ip_is_loopback(client))
        return true;
    for (size_t i = 0; i < config->mynetworks_length; i++)
        if (postern_network_holds(&config->mynetworks[i], client))
            return true;
    return false;
}

/* "user@example.com." is user@example.com: a dot must not lead past a list. */
static const char *without_final_dot(struct postern_request *request, const char *address)
{
    size_t length = strlen(address);
    if (length == 0 || address[length - 1] != '.')
        return address;
    return postern_strndup(request->arena, address, length - 1);
}

static void derive_address(struct postern_request *request, const struct config *config,
                           const char *role, const char *address, const char **without_ext,
                           const char **domain)
{
    *without_ext = *domain = "";
    if (address[0] == '\0')
        return;
    if (!postern_address_is_valid(address)) {
        log_info("client=%s: the %s is not an address, so no list is asked for it: %s",
                 request->client_address, role, address);
        return;
    }
    *domain = postern_address_domain(address);
    *without_ext =
        postern_address_without_ext(request->arena, address, config->recipient_delimiters);
}

void request_derive(struct postern_request *request, const struct config *config)
{
    request->state = state_find(request->protocol_state);
    postern_ip_parse(request->client_address, &request->client);
    request->client_is_trusted = is_trusted(&request->client, config);
    request->recipient_delimiters = config->recipient_delimiters;
    request->sender = without_final_dot(request, request->sender);
    request->recipient = without_final_dot(request, request->recipient);
    derive_address(request, config, "sender", request->sender, &request->sender_without_ext,
                   &request->sender_domain);
    derive_address(request, config, "recipient", request->recipient,
                   &request->recipient_without_ext, &request->recipient_domain);
    request->sender_is_srs = request->sender_domain[0] != '\0' &&
                             strcasecmp(request->sender_domain, config->srs.domain) == 0;
    request->sasl_domain = postern_address_domain(request->sasl_username);
    request->now = clock_wall();
    request->deadline = fiber_now() + (double)config->request_timeout;
}
