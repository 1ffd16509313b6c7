#include <postern/plugin.h>
#include <stdio.h>

bool postern_error_set(struct postern_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return false;
}
