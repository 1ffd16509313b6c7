/* Authenticated users have an address to send from; spammers with a stolen password like none. */
#include <postern/plugin.h>

static void check(struct postern_request *req)
{
    if (req->sasl_username[0] && !req->sender[0])
        postern_reject(req, "Policy rejection due to null sender");
}

POSTERN_PLUGIN(reject_null_sender, .summary = "refuses the null sender from authenticated users",
               .priority = 100, .states = POSTERN_RCPT, .check = check);
