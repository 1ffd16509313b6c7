/* The SPF of a request: evaluated once, whoever asks. */
#include "dns/dns.h"
#include "dns/spf.h"
#include "policy/request.h"
#include "runtime/fiber.h"

#include <unistd.h>

bool postern_spf_is_built(struct postern_error *error)
{
#if HAVE_SPF2 && HAVE_CARES
    (void)error;
    return true;
#else
    return postern_error_set(error, "this build has no SPF: it was made without libspf2 or c-ares");
#endif
}

static double earlier(double a, double b)
{
    return a < b ? a : b;
}

const struct postern_spf *postern_spf_check(struct postern_request *req)
{
    if (req->work->spf != NULL)
        return req->work->spf;
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    struct spf_question question = {
        .client = req->client,
        .sender = req->sender, /* even where it is no address: that must not lead past SPF */
        .helo = req->helo_name,
        .host = host,
        .lookup = dns_query,
        .deadline = earlier(req->deadline, fiber_now() + (double)req->work->config->spf_timeout),
        .arena = req->arena};
    struct postern_spf *spf = postern_alloc(req->arena, sizeof *spf);
    spf_evaluate(&question, spf);
    req->work->spf = spf;
    return spf;
}
