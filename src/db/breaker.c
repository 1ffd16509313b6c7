#include "db/breaker.h"

#include "runtime/fiber.h"
#include "runtime/log.h"

#define ANSWERS_PROVE     1.0  /* seconds for which an answer shows that the server is there */
#define PROBE_OFTEN       10.0 /* seconds after which attempts are */
#define PROBE_SELDOM      1.0  /* this many apart; decisions are right within two of its return */
#define SINCE_WORTH_WORDS 1.0

void breaker_open(struct breaker *breaker, const struct postern_error *cause)
{
    if (!breaker->open) {
        breaker->open = true;
        breaker->announced = breaker->announced_short = false;
        breaker->since = fiber_now();
    }
    breaker->timeouts = 0;
    breaker->cause = *cause;
}

void breaker_close(struct breaker *breaker)
{
    if (breaker->open && (breaker->announced || breaker->announced_short))
        log_info("database %s: reachable again after %.0f s", breaker->database,
                 fiber_now() - breaker->since);
    breaker->open = false;
}

void breaker_answered(struct breaker *breaker)
{
    breaker->timeouts = 0;
    breaker->answered = fiber_now();
}

bool breaker_timed_out(struct breaker *breaker, double seconds)
{
    if (seconds < BREAKER_PATIENCE || ++breaker->timeouts < BREAKER_TIMEOUTS)
        return false;
    struct postern_error cause;
    postern_error_set(&cause, "%u statements in a row got no answer before their deadline",
                      breaker->timeouts);
    breaker_open(breaker, &cause);
    return true;
}

bool breaker_is_proven(const struct breaker *breaker)
{
    return !breaker->open && fiber_now() - breaker->answered <= ANSWERS_PROVE;
}

bool breaker_fails(const struct breaker *breaker, size_t connections)
{
    if (!breaker->open)
        return false;
    return connections == 0 || fiber_now() - breaker->answered > ANSWERS_PROVE;
}

void breaker_explain(const struct breaker *breaker, struct postern_error *error)
{
    double since = fiber_now() - breaker->since;
    *error = breaker->cause;
    if (since >= SINCE_WORTH_WORDS)
        postern_error_set(error, "%.460s (since %.0f s)", breaker->cause.text, since);
}

void breaker_announce(struct breaker *breaker, size_t connections)
{
    bool *announced = connections == 0 ? &breaker->announced : &breaker->announced_short;
    if (*announced)
        return;
    *announced = true;
    if (connections == 0)
        log_warning("database %s: unreachable: %s; answering with on_error until it is back",
                    breaker->database, breaker->cause.text);
    else
        log_warning("database %s: cannot have more than %zu connections: %s", breaker->database,
                    connections, breaker->cause.text);
}

double breaker_probe_pause(const struct breaker *breaker, double first)
{
    if (fiber_now() - breaker->since < PROBE_OFTEN)
        return first;
    return first < PROBE_SELDOM ? PROBE_SELDOM : first;
}
