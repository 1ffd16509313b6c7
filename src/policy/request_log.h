/* One line per answered request (design.md, "The log"). */
#ifndef POSTERN_POLICY_REQUEST_LOG_H
#define POSTERN_POLICY_REQUEST_LOG_H

#include "policy/chain.h"

/* At level info; a request whose lookup failed at level warning. */
void request_log(const struct postern_request *request, const struct outcome *outcome,
                 double seconds);

#endif
