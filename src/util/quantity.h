/*
 * Durations and sizes as people write them in postern.conf and on command lines.
 */
#ifndef POSTERN_UTIL_QUANTITY_H
#define POSTERN_UTIL_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "30s", "15m", "12h", "30d", "2w", "1h30m", or bare seconds "45"; "0" is allowed. Case is
 * ignored. False on anything else: empty, negative, unknown unit, overflow. */
bool quantity_parse_duration(const char *text, int64_t *seconds);

/* "10KB", "5MB", "1GB", "2TB" (powers of 1024; "K" and "KiB" are the same), bare bytes. */
bool quantity_parse_size(const char *text, int64_t *bytes);

/* A decimal number, the whole of text. */
bool quantity_parse_integer(const char *text, int64_t *number);

/* The shortest exact form: "15m", "1d12h", "0s"; "5MB", "1536KB", "100". Returns text. */
char *quantity_duration_text(int64_t seconds, char *text, size_t size);
char *quantity_size_text(int64_t bytes, char *text, size_t size);

#endif
