"""Page of the scaling benchmark: orders a second as measured and as predicted, in Markdown."""

from collections.abc import Mapping, Sequence

from observability.bench.scaling import Predicted, ScalingFigures
from observability.bench.scaling_model import OrderDemand

PAGE = "scaling.md"
COMMAND = "plumb bench scaling --to docs"
HEAD = f"""# Scaling by shards

`{COMMAND}` measures and writes this page; no figure here is typed by hand. [sharding.md](sharding.md) says what is
measured, what the model is, and what it leaves out. The model knows only the measurement with one server, so the error
at each further number of servers is that of a prediction.

| servers | customers | measured, orders/s (each round) | model | error | one processor each | at most |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""
FOOT = """
*One processor each* is the model where each server and its services have a processor of their own and customers order
as unevenly as in a shop; *at most* is its limit for any number of customers. Nothing of these two columns is measured.
"""


def page(
    figures: Sequence[ScalingFigures],
    predicted: Sequence[Predicted],
    demand: OrderDemand,
    provenance: Mapping[str, str],
) -> str:
    """Return the page; `provenance` says by name when, where and with which code it was measured."""
    rows = "".join(
        _row(each, [one.sold_per_second for one in figures if one.servers == each.servers]) for each in predicted
    )
    needs = (
        f"An order held a connection to its server for {demand.server_seconds * 1e3:.0f} ms, needed "
        f"{demand.processor_seconds * 1e3:.0f} ms of processor, and took {demand.delay_seconds * 1e3:.0f} ms beside.\n"
    )
    measured = "Measured: " + "; ".join(f"{name}: {value}" for name, value in provenance.items()) + ".\n"
    return "\n".join((HEAD + rows + FOOT, needs, measured))


def _row(each: Predicted, rounds: Sequence[float]) -> str:
    every = ", ".join(f"{sold:.1f}" for sold in rounds)
    cells = (
        f"{each.servers}",
        f"{each.customers}",
        "" if each.measured_per_second is None else f"{each.measured_per_second:.1f} ({every})",
        f"{each.here_per_second:.1f}",
        "" if each.error is None or each.servers == 1 else f"{each.error:+.0%}",
        f"{each.apart_per_second:.1f}",
        f"{each.most_per_second:.1f}",
    )
    return f"| {' | '.join(cells)} |\n"
