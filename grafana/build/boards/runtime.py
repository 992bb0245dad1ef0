"""Dashboard of the processes: CPU, run queue, memory, event loop, garbage collection, files, telemetry."""

from grafana.build.lib.panel import Board, Heading, PanelRow
from grafana.build.panels.process import PROCESS_DURATION, PROCESS_RATE, PROCESS_RESOURCES, PROCESS_SATURATION
from grafana.build.panels.signals import signals, traces
from grafana.build.panels.stack import STACK_ERRORS, STACK_RATE

NEWEST = traces(
    72, "Newest traces of one process", "$job", then="choose one process above; a gap between spans is its loop."
)
BOARD = Board(
    "shop-runtime",
    "Runtime",
    "The resources of each process, and the way of its telemetry to the stack.",
    (
        PanelRow(Heading.RATE, (*PROCESS_RATE, *STACK_RATE)),
        PanelRow(Heading.ERRORS, STACK_ERRORS),
        PanelRow(Heading.DURATION, PROCESS_DURATION),
        PanelRow(Heading.SATURATION, PROCESS_SATURATION),
        PanelRow(Heading.RESOURCES, PROCESS_RESOURCES),
        signals(NEWEST),
    ),
)
