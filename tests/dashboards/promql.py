"""Reader of PromQL: the selectors of an expression, its grouping labels, and what it takes the rate of."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
SELECTOR = re.compile(r'([a-zA-Z_:][\w:]*)?\{((?:[^{}"]|"(?:[^"\\]|\\.)*")*)\}')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
RANGE = re.compile(r"\[[^\]]*\]")
NAME = re.compile(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()")
WORDS = frozenset({"or", "and", "unless", "bool", "offset", "by", "without"})
GROWTH = re.compile(r"\b(?:rate|increase|irate)\s*\(")


@dataclass(frozen=True, slots=True)
class Selector:
    """One vector selector; `name` is empty where a matcher on `__name__` stands for several."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    of_growth: bool

    def names(self, known: list[str]) -> list[str]:
        """Return which of the known names it selects."""
        if self.name:
            return [name for name in known if name == self.name]
        patterns = [value for label, operator, value in self.matchers if (label, operator) == ("__name__", "=~")]
        return [name for name in known if all(re.fullmatch(pattern, name) for pattern in patterns)]


def selectors(expression: str) -> list[Selector]:
    """Return every selector of an expression, with or without braces."""
    text = GROUPING.sub(lambda found: " " * len(found[0]), expression)
    growth = _spans(text)
    braced = [_selector(match[1] or "", match[2], match.start(), growth) for match in SELECTOR.finditer(text)]
    bare = RANGE.sub(lambda range_: " " * len(range_[0]), SELECTOR.sub(lambda part: " " * len(part[0]), text))
    names = [match for match in NAME.finditer(bare) if match[0] not in WORDS]
    return braced + [_selector(match[0], "", match.start(), growth) for match in names]


def aggregations(expression: str) -> Iterator[tuple[list[str], str]]:
    """Yield the labels of each `by (...)` and the expression that is summed by them."""
    for match in re.finditer(r"\bby\s*\(([^)]*)\)\s*\(", expression):
        labels = [label.strip() for label in match[1].split(",") if label.strip()]
        yield labels, expression[match.end() : _closing(expression, match.end())]


def _selector(name: str, matchers: str, start: int, growth: list[range]) -> Selector:
    return Selector(name, tuple(MATCHER.findall(matchers)), any(start in span for span in growth))


def _spans(text: str) -> list[range]:
    return [range(match.end(), _closing(text, match.end())) for match in GROWTH.finditer(text)]


def _closing(text: str, start: int) -> int:
    depth, quoted = 1, False
    for place in range(start, len(text)):
        quoted ^= text[place] == '"'
        depth += 0 if quoted else (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place
    raise ValueError(f"unbalanced: {text}")
