"""The daemon's log lines, taken apart."""
import re

_FIELD = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^" ]*)(?: |$)')
_PREFIX = re.compile(r"posternd\[(\d+)\]: ")


def parse_fields(line):
    """key=value pairs of a request's line as a dict; None for a line that is a message."""
    prefix = _PREFIX.match(line)
    rest = line[prefix.end():] if prefix else line
    fields, at = {}, 0
    while at < len(rest):
        field = _FIELD.match(rest, at)
        if not field or field.group(1) in fields:
            return None
        key, value = field.groups()
        fields[key] = value[1:-1] if value.startswith('"') else value
        at = field.end()
    return fields
