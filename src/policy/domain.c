/* The lookup of <postern/directory.h>: the directory, told of a request. */
#include "directory/directory.h"
#include "policy/request.h"

enum postern_lookup postern_domain_find(struct postern_request *req, const char *domain,
                                        struct postern_domain *found)
{
    const struct request_work *work = req->work;
    struct directory directory = {work->config, work->databases, work->cache};
    struct postern_error error;
    enum postern_lookup lookup =
        directory_domain(&directory, domain, req->arena, req->deadline, found, &error);
    if (lookup == POSTERN_FAILED)
        postern_fail(req, "%s", error.text);
    return lookup;
}
