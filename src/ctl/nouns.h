/* The nouns; each is defined in its ctl_NOUN.c (the daemon's three in ctl_daemon.c). */
#ifndef POSTERN_CTL_NOUNS_H
#define POSTERN_CTL_NOUNS_H

#include "ctl/command.h"

extern const struct noun noun_config;
extern const struct noun noun_db;
extern const struct noun noun_greylist;
extern const struct noun noun_help;
extern const struct noun noun_plugin;
extern const struct noun noun_rdns;
extern const struct noun noun_reload;
extern const struct noun noun_spf;
extern const struct noun noun_srs;
extern const struct noun noun_senderscore;
extern const struct noun noun_status;
extern const struct noun noun_stop;
extern const struct noun noun_throttle;
extern const struct noun noun_wblist;

#endif
