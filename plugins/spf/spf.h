/* The parts of the spf plugin. */
#ifndef PLUGINS_SPF_H
#define PLUGINS_SPF_H

#include <postern/plugin.h>
#include <postern/spf.h>

enum header { HEADER_RECEIVED_SPF, HEADER_AUTHENTICATION_RESULTS, HEADER_NONE };

/* Prepends what was found, for whoever reads the message. Data from the network is quoted in it, so
 * that it can neither end the header nor say anything in it. */
void header_add(struct postern_request *req, enum header header, const struct postern_spf *spf);

#endif
