"""What expressions of PromQL name: metrics, and the labels and values that they ask of them. It reads no
more of the language than that; whether it is PromQL at all, promtool says."""

import re
from dataclasses import dataclass, field

# Whatever else is a word: functions, aggregations and keywords. A word that is neither here nor a metric is
# a mistake, and is told.
WORDS = set(
    "sum count max min avg by without rate increase histogram_quantile absent vector offset unless or and on "
    "group_left group_right ignoring le max_over_time bool changes time abs".split()
)
# What Prometheus has of its own, and what it adds to what it scrapes.
OWN_METRICS = {"up", "ALERTS"}
ADDED_LABELS = {"job", "instance", "namespace", "pod", "le"}

SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


@dataclass
class Named:
    """A metric's labels that are asked for, and of each the values, as far as they are not patterns."""

    metric: str
    values: dict[str, set[str]] = field(default_factory=dict)


def named(expr: str) -> list[Named]:
    """The metrics of an expression, each as often as it is in it."""
    found = []
    for metric, matchers in SELECTOR.findall(expr):
        values: dict[str, set[str]] = {}
        for label, _, value in MATCHER.findall(matchers):
            words = {word for word in value.split("|") if re.fullmatch(r"[\w-]+", word)}
            values.setdefault(label, set()).update(words)
        found.append(Named(metric, values))
    rest = SELECTOR.sub(" ", expr)
    rest = GROUPING.sub(" ", re.sub(r"\[[^\]]*\]", " ", rest))
    rest = re.sub(r"\boffset \d+[smhd]", " ", rest)
    found += [Named(word) for word in re.findall(r"[a-zA-Z_:][\w:]*", rest) if word not in WORDS]
    return found


def grouped(expr: str) -> set[str]:
    """The labels by which it adds up or pairs."""
    return {label.strip() for group in GROUPING.findall(expr) for label in group.split(",")} - {""}


def family(metric: str, known: dict) -> str:
    """A histogram's name, of the names of its series."""
    return metric if metric in known else re.sub(r"_(bucket|sum|count)$", "", metric)
