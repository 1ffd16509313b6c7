"""Processes, as /proc shows them."""
import pathlib


def process_name(pid):
    """None when there is no such process (a zombie has ended, too)."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, _, rest = stat.partition("(")[2].rpartition(")")
    return None if rest.split()[0] == "Z" else name


def children(pid):
    """Living children of a process: pid to name."""
    try:
        pids = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    named = {int(child): process_name(child) for child in pids}
    return {child: name for child, name in named.items() if name is not None}
