/*
 * The caller that finds a statement free to be asked leads: it takes those who wait along, asks,
 * and hands out the rows. Then the first of those who have come meanwhile leads the next one.
 *
 * Callers go in the order of their values, so that two processes that write the same rows lock
 * them in the same order.
 */
#include "db/joint.h"

#include "db/statement.h"
#include "runtime/fiber.h"
#include "util/memory.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define STATEMENTS_MAX 8
#define RUNNING_MAX    2   /* of one statement at once */
#define TIME_LEFT      1.0 /* seconds: a joint statement has the time of its hastiest caller */

enum seat_state { SEAT_WAITS, SEAT_TAKEN, SEAT_LEADS, SEAT_ANSWERED, SEAT_FAILED, SEAT_ALONE };

/* Stands on the stack of the fiber that asks. */
struct seat {
    struct seat *prev, *next;
    enum seat_state state;
    const struct db_query *query;
    struct postern_rows *rows;
    struct postern_error *error;
    struct fiber_cond changed;
};

struct joint {
    const struct postern_statement *statement;
    size_t width; /* of the joint form; 0 when it is merged */
    size_t running;
    struct seat *waiting;
};

typedef enum db_result (*joint_run)(void *context, const struct db_query *query,
                                    struct postern_rows *rows, struct postern_error *error);

struct joints {
    joint_run run;
    void *context;
    struct joint list[STATEMENTS_MAX];
};

struct joints *joints_new(joint_run run, void *context)
{
    struct joints *joints = memory_new(sizeof *joints);
    joints->run = run;
    joints->context = context;
    return joints;
}

void joints_free(struct joints *joints)
{
    free(joints);
}

static struct joint *joint_find(struct joints *joints, const struct postern_statement *statement,
                                const char *sql)
{
    for (size_t i = 0; i < STATEMENTS_MAX; i++) {
        struct joint *joint = &joints->list[i];
        if (joint->statement == NULL)
            *joint = (struct joint){.statement = statement,
                                    .width = sql != NULL ? statement_joint_width(sql) : 0};
        if (joint->statement == statement)
            return joint;
    }
    return NULL;
}

static void seat_set(struct seat *seat, enum seat_state state)
{
    seat->state = state;
    fiber_cond_signal(&seat->changed);
}

/* --- one statement for all of them --- */

static int values_compare(const struct postern_value *a, const struct postern_value *b)
{
    if (a->type != POSTERN_TEXT || b->type != POSTERN_TEXT)
        return 0;
    return strcmp(a->text, b->text);
}

static int seats_compare(const void *left, const void *right)
{
    const struct seat *a = *(struct seat *const *)left, *b = *(struct seat *const *)right;
    int order = 0;
    for (size_t i = 0; i < a->query->count && i < b->query->count && order == 0; i++)
        order = values_compare(&a->query->values[i], &b->query->values[i]);
    return order;
}

static size_t seats_take(struct joint *joint, struct seat *leader, struct seat **seats)
{
    size_t count = 0;
    seats[count++] = leader;
    while (joint->waiting != NULL && count < JOINT_CALLERS) {
        struct seat *seat = joint->waiting;
        DL_DELETE(joint->waiting, seat);
        seat->state = SEAT_TAKEN;
        seats[count++] = seat;
    }
    qsort(seats, count, sizeof *seats, seats_compare);
    return count;
}

static const struct postern_value *values_of_all(const struct joint *joint,
                                                 struct seat *const *seats, size_t count,
                                                 struct postern_arena *arena)
{
    if (joint->statement->merge != NULL) {
        const struct postern_value *given[JOINT_CALLERS];
        for (size_t i = 0; i < count; i++)
            given[i] = seats[i]->query->values;
        return count == 1 ? given[0] : joint->statement->merge(arena, given, count);
    }
    struct postern_value *values = postern_alloc(arena, count * joint->width * sizeof *values);
    for (size_t i = 0; i < count; i++)
        memcpy(values + i * joint->width, seats[i]->query->values, joint->width * sizeof *values);
    return values;
}

/* In the leader's arena. */
static struct db_query seats_query(const struct joint *joint, struct seat *const *seats,
                                   size_t count, struct postern_arena *arena)
{
    bool merged = joint->statement->merge != NULL;
    double deadline = NEVER;
    for (size_t i = 0; i < count; i++)
        deadline = fmin(deadline, seats[i]->query->deadline);
    return (struct db_query){.statement = joint->statement,
                             .values = values_of_all(joint, seats, count, arena),
                             .count = merged ? seats[0]->query->count : count * joint->width,
                             .arena = arena,
                             .deadline = deadline,
                             .callers = merged ? 0 : count};
}

static void row_give(struct seat *seat, const struct postern_rows *rows, size_t row)
{
    struct postern_arena *arena = seat->query->arena;
    struct postern_value *cells = postern_alloc(arena, rows->columns * sizeof *cells);
    memcpy(cells, rows->cells + row * rows->columns, rows->columns * sizeof *cells);
    for (size_t i = 0; i < rows->columns; i++)
        if (cells[i].text != NULL)
            cells[i].text = postern_strndup(arena, cells[i].text, cells[i].length);
    *seat->rows = (struct postern_rows){.count = 1, .columns = rows->columns, .cells = cells};
}

static void next_leads(struct joint *joint)
{
    struct seat *seat = joint->waiting;
    joint->running--;
    if (seat == NULL)
        return;
    DL_DELETE(joint->waiting, seat);
    joint->running++;
    seat_set(seat, SEAT_LEADS);
}

/* What a statement for all of them came to, for each. */
static enum seat_state seats_judge(const struct joint *joint, enum db_result result,
                                   const struct postern_rows *rows, size_t count)
{
    bool unknown = result == DB_LOST || result == DB_TIMEOUT;
    if (result != DB_OK)
        return unknown && !joint->statement->repeatable ? SEAT_FAILED : SEAT_ALONE;
    if (joint->statement->merge != NULL)
        return rows->changed > 0 || count == 1 ? SEAT_ANSWERED : SEAT_ALONE;
    return rows->count == count ? SEAT_ANSWERED : SEAT_ALONE;
}

static void answer_give(const struct joint *joint, struct seat *seat,
                        const struct postern_rows *rows, size_t row)
{
    if (joint->statement->merge == NULL)
        row_give(seat, rows, row);
    else
        *seat->rows = (struct postern_rows){.changed = rows->changed};
}

/* Its place among those that run has been counted. */
static void seat_lead(struct joints *joints, struct joint *joint, struct seat *leader)
{
    struct seat *seats[JOINT_CALLERS];
    struct postern_rows rows = {0};
    struct postern_error error;
    size_t count = seats_take(joint, leader, seats);
    struct db_query query = seats_query(joint, seats, count, leader->query->arena);
    enum seat_state state = SEAT_ALONE;
    if (query.values != NULL)
        state =
            seats_judge(joint, joints->run(joints->context, &query, &rows, &error), &rows, count);
    next_leads(joint);
    for (size_t i = 0; i < count; i++) {
        if (state == SEAT_ANSWERED)
            answer_give(joint, seats[i], &rows, i);
        if (state == SEAT_FAILED)
            *seats[i]->error = error;
        seat_set(seats[i], state);
    }
}

/* --- asking --- */

/* Who has been taken along stays until there is an answer: its values are in use. */
static void seat_wait(struct joint *joint, struct seat *seat)
{
    DL_APPEND(joint->waiting, seat);
    while (seat->state == SEAT_WAITS && fiber_cond_wait(&seat->changed, seat->query->deadline))
        ;
    if (seat->state == SEAT_WAITS) {
        DL_DELETE(joint->waiting, seat);
        seat->state = SEAT_ALONE;
    }
    while (seat->state == SEAT_TAKEN)
        fiber_cond_wait(&seat->changed, NEVER);
}

enum joint_answer joints_ask(struct joints *joints, const struct db_query *query, const char *sql,
                             struct postern_rows *rows, struct postern_error *error)
{
    struct joint *joint = joint_find(joints, query->statement, sql);
    struct seat seat = {.state = SEAT_LEADS, .query = query, .rows = rows, .error = error};
    *rows = (struct postern_rows){0};
    if (joint == NULL || query->count < joint->width || query->deadline - fiber_now() < TIME_LEFT)
        return JOINT_ALONE;
    if (joint->running < RUNNING_MAX) {
        joint->running++;
    } else {
        seat.state = SEAT_WAITS;
        seat_wait(joint, &seat);
    }
    if (seat.state == SEAT_LEADS)
        seat_lead(joints, joint, &seat);
    if (seat.state == SEAT_FAILED)
        return JOINT_FAILED;
    return seat.state == SEAT_ANSWERED ? JOINT_ANSWERED : JOINT_ALONE;
}
