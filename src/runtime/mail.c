#include "runtime/mail.h"

bool mail_send(const struct mail_route *route, const struct mail *mail, double deadline,
               struct postern_error *error)
{
    return route->smtp_url[0] != '\0' ? mail_send_by_smtp(route, mail, deadline, error)
                                      : mail_send_by_program(route, mail, deadline, error);
}
