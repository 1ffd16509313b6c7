/* The command line of posternctl. */
#ifndef POSTERN_CTL_ARGUMENTS_H
#define POSTERN_CTL_ARGUMENTS_H

#include "ctl/ctl.h"

/*
 * Finds the command, its options and operands; options may stand anywhere before "--". CTL_USAGE
 * when something is wrong, which has then been said on stderr with the usage. With --help and
 * --version the command may be missing.
 */
enum ctl_status arguments_parse(struct ctl *ctl, int count, char **arguments);

#endif
