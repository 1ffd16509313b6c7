#include "runtime/clock.h"

#include "build_config.h"
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if POSTERN_TEST_HOOKS

struct setting {
    bool moves; /* seconds are added to the real clock */
    int64_t seconds;
};

static bool setting_parse(const char *text, struct setting *setting)
{
    char *end;
    long long seconds = strtoll(text, &end, 10);
    while (isspace((unsigned char)*end))
        end++;
    if (end == text || *end != '\0')
        return false;
    *setting = (struct setting){.moves = *text == '+' || *text == '-', .seconds = seconds};
    return true;
}

static bool setting_read(const char *path, struct setting *setting)
{
    char text[64];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool read = fgets(text, sizeof text, file) != NULL && setting_parse(text, setting);
    fclose(file);
    return read;
}

/* A file that is being replaced leaves the clock as it was. */
int64_t clock_wall(void)
{
    static struct setting last = {.moves = true};
    const char *value = getenv("POSTERN_FAKE_TIME");
    if (value == NULL || *value == '\0')
        return time(NULL);
    if (!setting_parse(value, &last))
        setting_read(value, &last);
    return last.moves ? time(NULL) + last.seconds : last.seconds;
}

#else

int64_t clock_wall(void)
{
    return time(NULL);
}

#endif
