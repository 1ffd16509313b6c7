/*
 * A statement is prepared and described in one exchange, and remembered under a name. What is
 * INTEGER is declared int8, or the server would take the type of the column it is compared with,
 * and a value that a narrow column can't hold would be an error rather than not equal; all other
 * types are the server's to infer.
 *
 * Rows are taken one by one, so that a huge answer is refused before it fills the memory.
 */
#include "db/pgsql_connection.h"

#include "util/memory.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- talking to the server --- */

enum db_result pgsql_flush(struct db_connection *connection, double deadline,
                           struct postern_error *error)
{
    PGconn *pg = connection->pg;
    int left;
    while ((left = PQflush(pg)) > 0) {
        int events = fiber_wait_fd(PQsocket(pg), EV_READ | EV_WRITE, deadline);
        if (events == 0)
            return pgsql_late(connection, error);
        if ((events & EV_READ) && !PQconsumeInput(pg))
            return pgsql_lost(connection, error);
    }
    return left == 0 ? DB_OK : pgsql_lost(connection, error);
}

enum db_result pgsql_next(struct db_connection *connection, double deadline, PGresult **result,
                          struct postern_error *error)
{
    PGconn *pg = connection->pg;
    while (PQisBusy(pg)) {
        if (fiber_watch_wait(&connection->readable, deadline) == 0)
            return pgsql_late(connection, error);
        if (!PQconsumeInput(pg))
            break; /* what the server said last is in the next result */
    }
    *result = PQgetResult(pg);
    return DB_OK;
}

/* Clears it. */
static enum db_result result_judge(struct db_connection *connection, PGresult *result,
                                   struct postern_error *error)
{
    ExecStatusType status = PQresultStatus(result);
    bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
                status == PGRES_SINGLE_TUPLE || status == PGRES_PIPELINE_SYNC;
    enum db_result outcome = good ? DB_OK : pgsql_failure(connection, result, error);
    PQclear(result);
    return outcome;
}

enum db_result pgsql_simple(struct db_connection *connection, const char *sql, double deadline,
                            struct postern_error *error)
{
    if (!PQsendQuery(connection->pg, sql))
        return pgsql_lost(connection, error);
    enum db_result outcome = pgsql_flush(connection, deadline, error);
    PGresult *result = NULL;
    struct postern_error later;
    while (!db_result_is_lost(outcome)) {
        struct postern_error *cause = outcome == DB_OK ? error : &later;
        enum db_result next = pgsql_next(connection, deadline, &result, cause);
        if (next == DB_OK && result == NULL)
            break;
        if (next == DB_OK)
            next = result_judge(connection, result, cause);
        if (outcome == DB_OK || db_result_is_lost(next))
            outcome = next;
    }
    return outcome;
}

/* --- preparing --- */

void pgsql_forget(struct db_connection *connection, const struct statement_key *key)
{
    statement_cache_remove(connection->statements, key);
}

static enum db_result retired_free(struct db_connection *connection, double deadline)
{
    struct postern_error unimportant;
    if (connection->retired.length == 0)
        return DB_OK;
    enum db_result result =
        pgsql_simple(connection, connection->retired.data, deadline, &unimportant);
    buffer_clear(&connection->retired);
    return db_result_is_lost(result) ? result : DB_OK;
}

static void prepared_describe(struct pgsql_statement *prepared, const PGresult *result)
{
    size_t described = (size_t)PQnparams(result);
    for (size_t i = 0; i < described && i < prepared->count; i++)
        prepared->types[i] = PQparamtype(result, (int)i);
}

/* The answers to Parse and to Describe, with a NULL after each, then to Sync. */
static enum db_result preparation_finish(struct db_connection *connection, double deadline,
                                         struct pgsql_statement *prepared,
                                         struct postern_error *error)
{
    enum db_result outcome = DB_OK;
    ExecStatusType status = PGRES_EMPTY_QUERY;
    while (status != PGRES_PIPELINE_SYNC && !db_result_is_lost(outcome)) {
        PGresult *result = NULL;
        enum db_result next = pgsql_next(connection, deadline, &result, error);
        if (next != DB_OK)
            return next;
        status = PQresultStatus(result);
        if (result == NULL && PQstatus(connection->pg) == CONNECTION_BAD)
            return pgsql_lost(connection, error);
        if (result == NULL || status == PGRES_PIPELINE_ABORTED) {
            PQclear(result);
            continue;
        }
        prepared_describe(prepared, result);
        next = result_judge(connection, result, error);
        outcome = next != DB_OK ? next : outcome;
    }
    return outcome;
}

static bool preparation_send(PGconn *pg, const struct pgsql_statement *prepared, const char *sql)
{
    return PQenterPipelineMode(pg) &&
           PQsendPrepare(pg, prepared->name, sql, (int)prepared->count, prepared->types) &&
           PQsendDescribePrepared(pg, prepared->name) && PQpipelineSync(pg);
}

static enum db_result prepare_text(struct db_connection *connection,
                                   struct pgsql_statement *prepared, const char *sql,
                                   double deadline, struct postern_error *error)
{
    enum db_result result = retired_free(connection, deadline);
    if (result != DB_OK)
        return pgsql_lost(connection, error);
    if (!preparation_send(connection->pg, prepared, sql))
        return pgsql_lost(connection, error);
    result = pgsql_flush(connection, deadline, error);
    if (result == DB_OK)
        result = preparation_finish(connection, deadline, prepared, error);
    if (!db_result_is_lost(result) && !PQexitPipelineMode(connection->pg))
        return pgsql_lost(connection, error);
    return result;
}

static struct pgsql_statement *prepared_new(struct db_connection *connection,
                                            const struct statement_call *call)
{
    struct pgsql_statement *prepared =
        memory_new(sizeof *prepared + call->count * sizeof prepared->types[0]);
    snprintf(prepared->name, sizeof prepared->name, "postern_%u", ++connection->statements_named);
    prepared->count = call->count;
    for (size_t i = 0; i < call->count; i++)
        if (call->values[i].type == POSTERN_INTEGER)
            prepared->types[i] = PGSQL_INT8;
    return prepared;
}

static char *numbered_text(const struct statement_call *call, struct postern_error *error)
{
    char *expanded = statement_expand(&call->key, error);
    if (expanded == NULL)
        return NULL;
    size_t wanted;
    char *numbered = statement_number(expanded, &wanted);
    free(expanded);
    if (wanted == call->count)
        return numbered;
    postern_error_set(error, "a statement of %zu values was given %zu: %s", wanted, call->count,
                      call->key.sql);
    free(numbered);
    return NULL;
}

static enum db_result prepare_new(struct db_connection *connection,
                                  const struct statement_call *call, double deadline,
                                  struct pgsql_statement **prepared, struct postern_error *error)
{
    char *sql = numbered_text(call, error);
    if (sql == NULL)
        return DB_ERROR;
    *prepared = prepared_new(connection, call);
    enum db_result result = prepare_text(connection, *prepared, sql, deadline, error);
    free(sql);
    if (result == DB_OK)
        statement_cache_add(connection->statements, &call->key, *prepared);
    else
        free(*prepared);
    return result;
}

/* A value that was NULL when the statement was prepared may have got a narrow type. */
static bool prepared_fits(const struct pgsql_statement *prepared, const struct statement_call *call)
{
    for (size_t i = 0; i < call->count && i < prepared->count; i++)
        if (call->values[i].type == POSTERN_INTEGER &&
            (prepared->types[i] == PGSQL_INT2 || prepared->types[i] == PGSQL_INT4))
            return false;
    return call->count == prepared->count;
}

/* Nothing is done yet, so a connection lost here has lost nothing. */
static enum db_result prepare(struct db_connection *connection, const struct statement_call *call,
                              double deadline, struct pgsql_statement **prepared,
                              struct postern_error *error)
{
    *prepared = statement_cache_find(connection->statements, &call->key);
    if (*prepared != NULL && prepared_fits(*prepared, call))
        return DB_OK;
    if (*prepared != NULL)
        pgsql_forget(connection, &call->key);
    enum db_result result = prepare_new(connection, call, deadline, prepared, error);
    return result == DB_LOST ? DB_LOST_UNSENT : result;
}

/* --- executing --- */

/* Bytes that are no bytea on the server are text there, which needs no length. */
static bool send(struct db_connection *connection, const struct pgsql_statement *prepared,
                 const struct statement_call *call, struct postern_arena *arena)
{
    const char **texts = postern_alloc(arena, (call->count + 1) * sizeof *texts);
    int *lengths = postern_alloc(arena, (call->count + 1) * sizeof *lengths);
    int *formats = postern_alloc(arena, (call->count + 1) * sizeof *formats);
    for (size_t i = 0; i < call->count; i++) {
        const struct postern_value *value = &call->values[i];
        if (value->type == POSTERN_INTEGER)
            texts[i] = postern_printf(arena, "%" PRId64, value->integer);
        else if (value->type != POSTERN_NULL)
            texts[i] = value->text != NULL ? value->text : "";
        formats[i] = prepared->types[i] == PGSQL_BYTEA && value->type != POSTERN_INTEGER;
        lengths[i] = (int)value->length;
    }
    return PQsendQueryPrepared(connection->pg, prepared->name, (int)call->count, texts, lengths,
                               formats, 0) &&
           PQsetSingleRowMode(connection->pg);
}

static enum db_result result_take(struct db_connection *connection, PGresult *result,
                                  struct answer *answer, struct postern_error *error)
{
    ExecStatusType status = PQresultStatus(result);
    bool rows = status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK;
    if ((rows || status == PGRES_COMMAND_OK) && !pgsql_answer_add(answer, result, error)) {
        PQclear(result);
        connection->ended = true; /* the rest is not worth reading */
        return DB_ERROR;
    }
    return result_judge(connection, result, error);
}

static enum db_result collect(struct db_connection *connection, double deadline,
                              struct answer *answer, struct postern_error *error)
{
    enum db_result outcome = pgsql_flush(connection, deadline, error);
    if (outcome == DB_LOST)
        return DB_LOST_UNSENT; /* at least the end, which commits, was not sent */
    while (!db_result_is_lost(outcome) && !connection->ended) {
        PGresult *result = NULL;
        enum db_result next = pgsql_next(connection, deadline, &result, error);
        if (next == DB_OK && result == NULL)
            break;
        if (next == DB_OK)
            next = result_take(connection, result, answer, error);
        if (next != DB_OK)
            outcome = next;
    }
    return outcome;
}

enum db_result pgsql_run(struct db_connection *connection, const struct statement_call *call,
                         const struct db_query *query, struct postern_rows *rows,
                         struct postern_error *error)
{
    struct pgsql_statement *prepared;
    enum db_result result = prepare(connection, call, query->deadline, &prepared, error);
    if (result != DB_OK)
        return result;
    if (!send(connection, prepared, call, query->arena)) {
        pgsql_lost(connection, error);
        return DB_LOST_UNSENT;
    }
    struct answer answer = {.arena = query->arena, .sql = call->key.sql};
    result = collect(connection, query->deadline, &answer, error);
    if (result == DB_OK)
        *rows = answer_rows(&answer);
    return result;
}
