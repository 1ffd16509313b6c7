#!/usr/bin/env python3
"""Writes the C table of src/db/migration.h from files sql/DRIVER/DATABASE/NNN_name.sql."""

import re
import sys
from collections import defaultdict
from pathlib import Path


def literal(text):
    lines = text.splitlines(keepends=True) or [""]
    escape = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"})
    return "\n".join('     "' + line.translate(escape) + '"' for line in lines)


def entry(path):
    match = re.fullmatch(r"(\d{3})_([a-z0-9_]+)\.sql", path.name)
    if match is None:
        sys.exit(f"{path}: the name should be NNN_name.sql")
    driver, database = path.parts[-3:-1]
    return (driver, database, int(match[1]), match[2], literal(path.read_text(encoding="ascii")))


def check_versions(entries):
    """A version says the same of a database whatever its driver, so all drivers have all of them."""
    versions = defaultdict(lambda: defaultdict(list))
    for driver, database, version, *_ in entries:
        versions[database][driver].append(version)
    for database, drivers in versions.items():
        newest = max(map(max, drivers.values()))
        for driver, found in drivers.items():
            if found != list(range(1, newest + 1)):
                sys.exit(f"sql/{driver}/{database}: versions are {found}, not 1 to {newest}")


def main(output, *paths):
    entries = sorted(entry(Path(path)) for path in paths)
    check_versions(entries)
    rows = "\n".join(f'    {{"{driver}", "{database}", {version}, "{name}",\n{sql}}},'
                     for driver, database, version, name, sql in entries)
    Path(output).write_text(
        '#include "db/migration.h"\n\n'
        f"const struct migration migrations[] = {{\n{rows}\n}};\n\n"
        "const size_t migrations_count = sizeof migrations / sizeof migrations[0];\n",
        encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
