/*
 * Plugin modules: NAME.so in plugin_dir, loaded with dlopen and checked.
 */
#ifndef POSTERN_POLICY_MODULE_H
#define POSTERN_POLICY_MODULE_H

#include "runtime/config.h"

/* For config_load. iRedAPD's plugin names are accepted for ours (behaviour.md, "Plugins"). */
extern const struct config_modules policy_modules;

/* Our name for an iRedAPD name; any other name is returned as it is. */
const char *module_canonical_name(const char *name);

#endif
