"""`plumb trace`: draw one trace as a waterfall in the terminal."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.text import Text

from observability.analysis.observation_folder import trace_files_of
from observability.analysis.readers.documents import spans_of_document
from observability.analysis.readers.fields import Texts
from observability.analysis.readers.trace_files import read_spans
from observability.analysis.readers.unread import UnreadCounter
from observability.analysis.spans import Span, SpanStatus, without_duplicates
from observability.analysis.trees import Node, Trace, build_traces
from observability.analysis.waterfall import SpanRow, bar_text, flatten
from observability.cli.exit_codes import FAILED, CommandFailed
from observability.load.target import find_endpoints

PATTERN = "*trace*.jsonl"
# A trace id, alone or in the response header `traceresponse`.
TRACE_ID = re.compile(r"(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?", re.IGNORECASE)
# The package before the service in the name of an RPC.
PACKAGE = re.compile(r"^[\w.]+\.(?=\w+/)")
NAME_COLUMNS = 44
FIGURES_COLUMNS = 22
FEWEST_BAR_COLUMNS = 12
MOST_BAR_COLUMNS = 60


def trace_command(
    trace: Annotated[str, typer.Argument(metavar="ID", help="A trace id, or the response header `traceresponse`.")],
    *,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder or file with traces, as for plumb diagnose. Default: that of the running platform."),
    ] = None,
) -> None:
    """Draw a trace as a waterfall: what ran when, and in which service.

    A bar is solid while the span itself was working, and pale while the spans it called were. The two columns are the
    start in the trace and the duration, in milliseconds. Spans are written some seconds after the answer.

    Exit codes: 0 drawn, 1 no such trace, 2 not a trace id, or the folder cannot be read.
    """
    found = TRACE_ID.fullmatch(trace.strip())
    if not found:
        raise CommandFailed(f"{trace!r} is not a trace id, which has 32 hex digits")
    trace_id = found[1].lower()
    directory = folder or Path(find_endpoints(None).traces_directory)
    files = sorted(directory.glob(PATTERN))
    spans = list(spans_about(files, trace_id))
    ours = [span for span in spans if span.trace_id == trace_id]
    if not ours and folder:
        spans = list(spans_of_other_formats(folder, trace_id))
        ours = [span for span in spans if span.trace_id == trace_id]
    if not ours:
        message = f"no span of {trace_id} in {directory}; spans are written some seconds after the answer"
        raise CommandFailed(message, status=FAILED)
    (tree,) = build_traces(ours).traces
    console = Console(highlight=False)
    for line in (*drawn(tree, columns=console.width), *followers(without_duplicates(spans).spans, trace_id)):
        console.print(line, soft_wrap=True)


def spans_about(files: Iterable[Path], trace_id: str) -> Iterator[Span]:
    """Yield the spans of a trace, and those of other traces on lines that name it. Raises OSError.

    Lines that are no export request, such as one that is being written, are skipped.
    """
    wanted, texts, unread = trace_id.encode(), Texts(), UnreadCounter()
    for file in files:
        with file.open("rb") as lines:
            for line in lines:
                if wanted in line.lower():
                    try:
                        document = orjson.loads(line)
                    except ValueError:
                        continue
                    yield from spans_of_document(document, texts, unread)


def spans_of_other_formats(folder: Path, trace_id: str) -> Iterator[Span]:
    """Yield the spans of a trace, and those that link to it, from a folder of any format. Raises OSError."""
    for span in read_spans(trace_files_of(folder)).spans:
        if span.trace_id == trace_id or any(link.trace_id == trace_id for link in span.links):
            yield span


def drawn(trace: Trace, *, columns: int) -> Iterator[Text]:
    """Yield the lines of the waterfall, with a title above each of its trees."""
    bar_columns = max(FEWEST_BAR_COLUMNS, min(MOST_BAR_COLUMNS, columns - NAME_COLUMNS - FIGURES_COLUMNS))
    for top in (*trace.roots, *trace.orphans):
        yield Text(_title(top, trace), style="bold")
        for row in flatten(top):
            yield _line(row, bar_columns)


def followers(spans: Iterable[Span], trace_id: str) -> Iterator[Text]:
    """Yield a line for each span of another trace that links to this one, such as a consumer's."""
    for span in sorted(spans, key=lambda span: span.start_nanoseconds):
        if span.trace_id != trace_id and any(link.trace_id == trace_id for link in span.links):
            yield Text(f"linked by  {span.name} ({span.service}), trace {span.trace_id}", style="dim")


def _title(top: Node, trace: Trace) -> str:
    missing = "; its parent is missing" if top.span.parent_span_id else ""
    taken = f"{top.span.name} ({top.span.service}), {_milliseconds(top.span.duration_nanoseconds)} ms{missing}"
    return f"{taken}; {trace.spans} spans in trace {trace.trace_id}"


def _line(row: SpanRow, bar_columns: int) -> Text:
    name = f"{'  ' * row.depth}{PACKAGE.sub('', row.span.name)} "
    service = f"({row.span.service})"
    style = "red" if row.span.status is SpanStatus.ERROR else ""
    label = Text(name, style=style).append(service, style="dim")
    label.truncate(NAME_COLUMNS - 1, overflow="ellipsis", pad=True)
    offset, duration = _milliseconds(row.offset_nanoseconds), _milliseconds(row.duration_nanoseconds)
    figures = f" {offset:>9} {duration:>9} "
    return label.append(figures).append(bar_text(row.bar, row.own, bar_columns), style=style or "cyan")


def _milliseconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:,.1f}"
