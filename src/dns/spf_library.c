/*
 * libspf2 matches the mechanisms that need the DNS, one at a time, through lookups of ours. It is
 * given nothing that anybody else wrote: the record is "v=spf1 a/24" and the like, and the domain
 * goes in as the current one. Its state is all in the objects made here, so fibers don't meet in
 * it.
 *
 * What it gets wrong stays out of its sight: it refuses a prefix length of 0 (there, each address
 * that is found is given out as the client's own); it makes a permerror of more than 10 PTR names
 * and a temperror of a PTR lookup that failed, which spf_reverse_names() leaves out (RFC
 * 7208, 4.6.4 and 5.5).
 */
#include "dns/spf_evaluation.h"
#include "util/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The headers of libspf2 take what they need for granted. */
// clang-format off
#include <netinet/in.h>
#define HAVE_NS_TYPE
#include <spf2/spf.h>
#include <spf2/spf_dns.h>
// clang-format on

struct spf_library {
    SPF_dns_server_t resolver;
    SPF_server_t *server;
    SPF_request_t *request;
    enum spf_term_kind matching;
    bool any_address; /* the prefix length is 0 */
};

static void *must(void *object)
{
    if (object == NULL) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return object;
}

/* --- lookups --- */

/* Room for an answer's next record. */
static SPF_dns_rr_data_t *record_add(SPF_dns_rr_t *records, size_t size)
{
    int index = records->num_rr;
    if (SPF_dns_rr_buf_realloc(records, index, size) != SPF_E_SUCCESS)
        must(NULL);
    records->num_rr++;
    return records->rr[index];
}

static void add_address(SPF_dns_rr_t *records, const struct postern_ip *ip)
{
    SPF_dns_rr_data_t *data = record_add(records, sizeof *data);
    if (ip->family == POSTERN_IPV4)
        memcpy(&data->a, ip->bytes, sizeof data->a);
    else
        memcpy(&data->aaaa, ip->bytes, sizeof data->aaaa);
}

static void add_name(SPF_dns_rr_t *records, const char *name)
{
    size_t size = strlen(name) + 1;
    memcpy(record_add(records, size), name, size); /* all its members begin at 0 */
}

/* Of a name of the client's, the client's own address is all that matters. */
static void look_up_validated(struct spf_evaluation *evaluation, const char *name,
                              SPF_dns_rr_t *records)
{
    if (spf_reverse_is_validated(evaluation, name))
        add_address(records, &evaluation->question->client);
}

static void look_up_addresses(const struct spf_library *library, struct spf_evaluation *evaluation,
                              enum postern_dns_type type, const char *name, SPF_dns_rr_t *records)
{
    struct postern_arena *arena = arena_new();
    struct postern_dns_answer answer;
    spf_ask(evaluation, library->matching == SPF_MX ? SPF_FOR_HOST : SPF_FOR_TERM, type, name,
            arena, &answer);
    for (size_t i = 0; i < answer.count; i++)
        add_address(records,
                    library->any_address ? &evaluation->question->client : &answer.records[i].ip);
    arena_free(arena);
}

static void look_up_hosts(struct spf_evaluation *evaluation, const char *name,
                          SPF_dns_rr_t *records)
{
    struct postern_arena *arena = arena_new();
    struct postern_dns_answer answer;
    spf_ask(evaluation, SPF_FOR_TERM, POSTERN_DNS_MX, name, arena, &answer);
    if (answer.count > SPF_NAMES)
        spf_fault(evaluation, POSTERN_SPF_PERMERROR, "%s has more than %d MX hosts", name,
                  SPF_NAMES);
    for (size_t i = 0; i < answer.count && i < SPF_NAMES; i++)
        add_name(records, answer.records[i].name);
    arena_free(arena);
}

static void look_up_names(struct spf_evaluation *evaluation, SPF_dns_rr_t *records)
{
    const struct spf_reverse *reverse = spf_reverse_names(evaluation);
    for (size_t i = 0; i < reverse->count; i++)
        add_name(records, reverse->names[i].name);
}

/* The only place where the library waits. Errors are the evaluation's: it sees empty answers. */
static SPF_dns_rr_t *look_up(SPF_dns_server_t *resolver, const char *name, ns_type type,
                             int should_cache)
{
    (void)should_cache;
    struct spf_evaluation *evaluation = resolver->hook;
    SPF_dns_rr_t *records = must(SPF_dns_rr_new_init(resolver, name, type, 0, NETDB_SUCCESS));
    if (type == ns_t_mx)
        look_up_hosts(evaluation, name, records);
    else if (type == ns_t_ptr)
        look_up_names(evaluation, records);
    else if (evaluation->library->matching == SPF_PTR)
        look_up_validated(evaluation, name, records);
    else if (type == ns_t_a)
        look_up_addresses(evaluation->library, evaluation, POSTERN_DNS_A, name, records);
    else if (type == ns_t_aaaa)
        look_up_addresses(evaluation->library, evaluation, POSTERN_DNS_AAAA, name, records);
    if (records->num_rr == 0)
        records->herrno = HOST_NOT_FOUND;
    return records;
}

/* --- the question --- */

static void set_client(SPF_request_t *request, const struct postern_ip *client)
{
    if (client->family == POSTERN_IPV6) {
        request->client_ver = AF_INET6;
        memcpy(&request->ipv6, client->bytes, sizeof request->ipv6);
    } else {
        request->client_ver = AF_INET;
        memcpy(&request->ipv4, client->bytes, sizeof request->ipv4);
    }
}

/* The comment that libspf2 makes of any result but "pass", which nobody reads, is to expand no
 * macro. */
static void set_comment(SPF_server_t *server)
{
    SPF_response_t *response = NULL;
    SPF_server_set_explanation(server, "-", &response);
    SPF_response_free(response);
}

static struct spf_library *library_of(struct spf_evaluation *evaluation)
{
    if (evaluation->library != NULL)
        return evaluation->library;
    struct spf_library *library = postern_alloc(evaluation->arena, sizeof *library);
    library->resolver =
        (SPF_dns_server_t){.lookup = look_up, .name = "postern", .hook = evaluation};
    library->server = must(SPF_server_new_dns(&library->resolver, 0));
    set_comment(library->server);
    library->request = must(SPF_request_new(library->server));
    set_client(library->request, &evaluation->question->client);
    evaluation->library = library;
    return library;
}

void spf_library_close(struct spf_evaluation *evaluation)
{
    if (evaluation->library == NULL)
        return;
    SPF_request_free(evaluation->library->request);
    SPF_server_free(evaluation->library->server);
    evaluation->library = NULL;
}

/* The term for libspf2, about the current domain. A length of all bits is what it takes none for.
 */
static const char *record_of(struct spf_evaluation *evaluation, const struct spf_term *term)
{
    bool is_ipv6 = evaluation->question->client.family == POSTERN_IPV6;
    unsigned prefix = is_ipv6 ? term->prefix6 : term->prefix4;
    const char *name = term->kind == SPF_A ? "a" : "mx";
    if (term->kind == SPF_EXISTS)
        return "v=spf1 exists:%{d}";
    if (term->kind == SPF_PTR)
        return "v=spf1 ptr";
    if (prefix == 0)
        return postern_printf(evaluation->arena, "v=spf1 %s", name);
    return postern_printf(evaluation->arena, "v=spf1 %s%s%u", name, is_ipv6 ? "//" : "/", prefix);
}

static SPF_result_t interpret(struct spf_library *library, const char *text, const char *domain)
{
    SPF_response_t *response = must(SPF_response_new(library->request));
    SPF_record_t *record = NULL;
    SPF_errcode_t error = SPF_record_compile(library->server, response, &record, text);
    assert(error == SPF_E_SUCCESS && record != NULL);
    (void)error;
    library->request->cur_dom = domain;
    response->spf_record_exp = record;
    SPF_record_interpret(record, library->request, response, 0);
    library->request->cur_dom = NULL;
    SPF_result_t result = SPF_response_result(response);
    SPF_record_free(record);
    SPF_response_free(response);
    return result;
}

static bool has_prefix_0(const struct spf_evaluation *evaluation, const struct spf_term *term)
{
    if (term->kind != SPF_A && term->kind != SPF_MX)
        return false;
    return (evaluation->question->client.family == POSTERN_IPV6 ? term->prefix6 : term->prefix4) ==
           0;
}

bool spf_library_match(struct spf_evaluation *evaluation, const struct spf_term *term,
                       const char *target)
{
    struct spf_library *library = library_of(evaluation);
    library->matching = term->kind;
    library->any_address = has_prefix_0(evaluation, term);
    SPF_result_t result = interpret(library, record_of(evaluation, term), target);
    return evaluation->fault == POSTERN_SPF_NONE && result == SPF_RESULT_PASS;
}
