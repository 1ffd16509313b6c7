/*
 * <postern/network_list.h> without requests: the wrapper in src/policy/ takes database,
 * cache_ttl, deadline and arena from the request.
 */
#ifndef POSTERN_DB_NETWORK_LIST_H
#define POSTERN_DB_NETWORK_LIST_H

#include "db/db.h"
#include "util/names.h"
#include <postern/network.h>

#define NETWORK_LIST_MAX 1000000

struct db_network_list;

/* The statement must outlive the list; it is as <postern/network_list.h> says. */
struct db_network_list *db_network_list_new(const struct postern_statement *statement);
void db_network_list_free(struct db_network_list *list); /* no match may be under way */

/*
 * Loads the table when what is in memory is older than ttl seconds (ttl 0: always), or than 20
 * times what loading took, so that loading never takes more than a twentieth of the time.
 * Matches that need the same load share it. Texts are copied to the arena.
 */
enum postern_lookup db_network_list_match(struct db_network_list *list, struct db *db, int64_t ttl,
                                          double deadline, struct postern_arena *arena,
                                          const struct postern_ip *ip, struct postern_names *texts,
                                          struct postern_error *error);

#endif
