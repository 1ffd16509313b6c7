#!/usr/bin/env python3
"""Writes the C table of src/db/migration.h from files sql/DRIVER/NNN_name.sql."""

import re
import sys
from pathlib import Path


def literal(text):
    lines = text.splitlines(keepends=True) or [""]
    escape = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"})
    return "\n".join('     "' + line.translate(escape) + '"' for line in lines)


def entry(path):
    match = re.fullmatch(r"(\d{3})_([a-z0-9_]+)\.sql", path.name)
    if match is None:
        sys.exit(f"{path}: the name should be NNN_name.sql")
    version, name = int(match[1]), match[2]
    return (path.parent.name, version, name, literal(path.read_text(encoding="ascii")))


def check_versions(entries):
    for driver in {e[0] for e in entries}:
        versions = [e[1] for e in entries if e[0] == driver]
        if versions != list(range(1, len(versions) + 1)):
            sys.exit(f"sql/{driver}: versions are {versions}, not 1, 2, 3, ...")


def main(output, *paths):
    entries = sorted(entry(Path(path)) for path in paths)
    check_versions(entries)
    rows = "\n".join(f'    {{"{driver}", {version}, "{name}",\n{sql}}},'
                     for driver, version, name, sql in entries)
    Path(output).write_text(
        '#include "db/migration.h"\n\n'
        f"const struct migration migrations[] = {{\n{rows}\n}};\n\n"
        "const size_t migrations_count = sizeof migrations / sizeof migrations[0];\n",
        encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
