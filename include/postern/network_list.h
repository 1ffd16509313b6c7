/*
 * The networks that a table holds, matched in memory.
 *
 * A list of networks can't be asked for with an index, and reading 50,000 rows
 * per request is out of the question. So each process keeps the texts of those
 * rows by prefix length in a hash table, and reads the table again when what it
 * has is older than `cache_ttl`. A lookup probes each prefix length that occurs:
 * at most 33 for IPv4 and 129 for IPv6. The texts that it returns are those of
 * the rows, to be used as further candidates in an ordinary query.
 */
#ifndef POSTERN_NETWORK_LIST_H
#define POSTERN_NETWORK_LIST_H

#include <postern/db.h>

struct postern_network_list;

/*
 * `statement` returns a page of rows (id, text) in the order of id: it has two values, the
 * last id seen and the number of rows wanted. Rows that are not networks are passed over.
 * Both arguments must outlive the list. Nothing is asked before the first match.
 */
struct postern_network_list *postern_network_list_new(const char *database,
                                                      const struct postern_statement *statement);
void postern_network_list_free(struct postern_network_list *list);

/* Row texts of all networks that hold the client, longest prefix first. FAILED as postern_query. */
enum postern_lookup postern_network_list_match(struct postern_request *req,
                                               struct postern_network_list *list,
                                               const struct postern_ip *ip,
                                               struct postern_names *texts);

#endif
