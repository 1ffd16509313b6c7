"""postern.conf from Python values."""


class Raw(str):
    """Text that goes into the file as it is."""


def value_text(value):
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(value_text(item) for item in value) + "}"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def section_text(title, settings):
    lines = [f"    {key} = {value_text(value)}" for key, value in settings.items()]
    return "\n".join([title + " {", *lines, "}"])


def config_text(settings, sections):
    """sections: a title as it is written (`log`, `plugin "greylisting"`) to its settings."""
    lines = [f"{key} = {value_text(value)}" for key, value in settings.items()]
    lines += [section_text(title, keys) for title, keys in sections.items()]
    return "\n".join(lines) + "\n"
