#include "policy/request_log.h"

#include "runtime/log.h"

void request_log(const struct postern_request *request, const struct outcome *outcome,
                 double seconds)
{
    enum log_level level = outcome->failed ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO;
    if (!log_enabled(level))
        return;
    char milliseconds[LOG_MILLISECONDS];
    const struct log_field fields[] = {
        {"client", request->client_address, false},
        {"state", request->protocol_state, false},
        {"sender", request->sender, false},
        {"recipient", request->recipient, false},
        {"sasl", request->sasl_username, false},
        {"action", postern_action_word(outcome->action), false},
        {"plugin", outcome->plugin, false},
        {"reason", outcome->reason, false},
        {"reply", outcome->reply, false},
        {"ms", log_milliseconds(seconds, milliseconds), true},
    };
    log_fields(level, fields, sizeof fields / sizeof fields[0]);
}
