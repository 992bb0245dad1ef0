"""Templates of all report pages, and the formats of their figures and names."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from observability.report.plots import percent, position

# Holds the style sheet and the drawings that all pages share.
_SHARED = "observability.report.demo"


def page_environment(*packages: str) -> Environment:
    """Return the templates of these packages and the shared ones."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, _SHARED)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        milliseconds=milliseconds, duration=duration, short_name=short_name, position=position, percent=percent
    )
    return environment


def short_name(name: str) -> str:
    """Leave out the package of an RPC's name, as in InventoryService/ReserveStock."""
    package, slash, method = name.rpartition("/")
    return f"{package.rpartition('.')[2]}/{method}" if slash and " " not in name else name


def milliseconds(seconds: float) -> str:
    """Write a duration in milliseconds with three significant digits and no unit."""
    value = seconds * 1e3
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """Write a duration with its unit: milliseconds below a second."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{milliseconds(seconds)} ms"
