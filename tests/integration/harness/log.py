"""The daemon's log lines, taken apart."""
import json
import re

_FIELD = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^" ]*)(?: |$)')
_PREFIX = re.compile(r"posternd\[(\d+)\]: ")


def _text_fields(text):
    fields, at = {}, 0
    while at < len(text):
        field = _FIELD.match(text, at)
        if not field or field.group(1) in fields:
            return None
        key, value = field.groups()
        fields[key] = value[1:-1] if value.startswith('"') else value
        at = field.end()
    return fields


def parse_fields(line):
    """key=value pairs of a line, text or JSON, as a dict; None for a line that is a message."""
    if line.startswith("{"):
        return json.loads(line)
    prefix = _PREFIX.match(line)
    return _text_fields(line[prefix.end():] if prefix else line)
