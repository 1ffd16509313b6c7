#include "util/utf8.h"

size_t utf8_length(const char *character)
{
    static const struct {
        unsigned char first, last, second_low, second_high, length;
    } forms[] = {
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    const unsigned char *text = (const unsigned char *)character;
    size_t form = 0, count = sizeof forms / sizeof *forms;
    while (form < count && (text[0] < forms[form].first || text[0] > forms[form].last))
        form++;
    if (form == count)
        return 0;
    size_t length = forms[form].length;
    if (length > 1 && (text[1] < forms[form].second_low || text[1] > forms[form].second_high))
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool utf8_is_valid(const char *text)
{
    while (*text != '\0') {
        size_t length = utf8_length(text);
        if (length == 0)
            return false;
        text += length;
    }
    return true;
}
