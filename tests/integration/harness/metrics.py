"""The Prometheus text format, read strictly."""
import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)?\}})? (\S+)")
_SUFFIXES = ("_bucket", "_sum", "_count")


class Metrics(dict):
    """Series as printed (`name{label="value"}`) to value; .types and .helps by metric name."""

    def __init__(self):
        super().__init__()
        self.types = {}
        self.helps = {}

    def sum(self, name, **labels):
        """Over all series of that name that have these labels."""
        return sum(value for series, value in self.items()
                   if series.partition("{")[0] == name
                   and all(f'{key}="{text}"' in series for key, text in labels.items()))

    def names(self):
        return {self.metric_of(series.partition("{")[0]) for series in self}

    def metric_of(self, name):
        for suffix in _SUFFIXES:
            if name.endswith(suffix) and self.types.get(name[:-len(suffix)]) == "histogram":
                return name[:-len(suffix)]
        return name

    def histograms(self):
        """Of each histogram's series: its labels without `le`, and its buckets in order."""
        found = {}
        for series, value in self.items():
            name, _, labels = series.rstrip("}").partition("{")
            if not name.endswith("_bucket") or self.metric_of(name) == name:
                continue
            others = [label for label in re.findall(_LABEL, labels) if not label.startswith("le=")]
            bound = re.search(r'le="([^"]*)"', labels).group(1)
            found.setdefault((self.metric_of(name), ",".join(others)), []).append(
                (float(bound), value))
        return found


def parse_metrics(text):
    """Raises AssertionError where a Prometheus server would complain."""
    metrics = Metrics()
    last, done = None, set()
    assert text.endswith("\n"), "the last line has no end"
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, help_text = line.split(" ", 3)
            assert name not in metrics.helps, f"a second HELP: {line}"
            assert help_text.strip(), f"an empty HELP: {line}"
            metrics.helps[name] = help_text
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in metrics.types, f"a second TYPE: {line}"
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
            metrics.types[name] = kind
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, f"not a sample: {line!r}"
        name, labels, value = sample.groups()
        metric = metrics.metric_of(name)
        assert metric in metrics.types and metric in metrics.helps, f"unannounced: {line}"
        if metric != last:
            assert metric not in done, f"{metric} is not in one group"
            done.add(metric)
            last = metric
        series = f"{name}{{{labels}}}" if labels else name
        assert series not in metrics, f"twice: {series}"
        metrics[series] = float(value)
    return metrics
