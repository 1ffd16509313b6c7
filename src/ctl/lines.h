/* What a command is to work on: its operands, or with `-` the lines of standard input. */
#ifndef POSTERN_CTL_LINES_H
#define POSTERN_CTL_LINES_H

#include "ctl/ctl.h"

/*
 * CTL_USAGE when there are no operands, CTL_UNREACHABLE when the input can't be read or is larger
 * than 64 MB; both have been said on stderr. Empty lines are left out. Blocks while it reads.
 */
enum ctl_status lines_take(struct ctl *ctl, struct postern_names *lines);

#endif
