"""Which metrics exist? The one catalogue: semantic-convention names first, then `shop_*`. Seconds and bytes only.

Labels are bounded: `context` is a context's name, `outcome` and `error_type` are "ok", "" or an error's name; methods,
routes and query summaries come from code. Ids, SKUs and e-mail addresses are never labels.
"""

from functools import partial

from prometheus_client import CollectorRegistry

from observability.telemetry.instruments import Count, Level, Seconds


class Metrics:
    """The catalogue, bound to one registry; a process has one. `enabled=False` records nothing."""

    def __init__(self, *, registry: CollectorRegistry, enabled: bool = True) -> None:
        self.registry = registry
        self._seconds = partial(Seconds, registry=registry, enabled=enabled)
        self._level = partial(Level, registry=registry, enabled=enabled)
        self._count = partial(Count, registry=registry, enabled=enabled)
        self._add_http()
        self._add_rpc()
        self._add_database()
        self._add_process()
        self.use_case_duration = self._seconds(
            "shop_use_case_duration_seconds",
            "Use cases carried out; outcome is ok, an error's reason, INTERNAL or CANCELLED.",
            ("context", "use_case", "outcome"),
        )

    def _add_http(self) -> None:
        self.http_server_request_duration = self._seconds(
            "http_server_request_duration_seconds",
            "HTTP requests answered by the edge, headers in to last byte out.",
            ("context", "http_request_method", "http_route", "http_response_status_code"),
        )
        self.http_server_active_requests = self._level(
            "http_server_active_requests", "HTTP requests being answered now.", ("context",)
        )

    def _add_rpc(self) -> None:
        self.rpc_server_call_duration = self._seconds(
            "rpc_server_call_duration_seconds",
            "RPCs answered, from the handler's start to its end.",
            ("context", "rpc_method", "rpc_response_status_code"),
        )
        self.rpc_server_active_calls = self._level(
            "shop_rpc_server_active_calls", "RPCs being answered now.", ("context",)
        )
        self.rpc_client_call_duration = self._seconds(
            "rpc_client_call_duration_seconds",
            "RPCs made, all attempts of a call together.",
            ("context", "rpc_method", "rpc_response_status_code"),
        )

    def _add_database(self) -> None:
        self.db_client_operation_duration = self._seconds(
            "db_client_operation_duration_seconds",
            "Logical statements sent to PostgreSQL, without the wait for a connection.",
            ("context", "db_query_summary", "error_type"),
        )
        self.db_client_connection_wait_time = self._seconds(
            "db_client_connection_wait_time_seconds", "Waits for a connection of the pool.", ("context",)
        )
        self.db_client_connection_use_time = self._seconds(
            "db_client_connection_use_time_seconds", "Connections held, from the pool and back.", ("context",)
        )
        self.db_client_connection_count = self._level(
            "db_client_connection_count", "Connections of the pool by state, idle or used.", ("context", "state")
        )
        self.db_client_connection_max = self._level(
            "db_client_connection_max", "Most connections the pool may open.", ("context",)
        )
        self.db_client_connection_pending_requests = self._level(
            "db_client_connection_pending_requests", "Callers waiting for a connection now.", ("context",)
        )
        self.db_client_connection_timeouts = self._count(
            "db_client_connection_timeouts", "Waits for a connection that were given up.", ("context",)
        )

    def _add_process(self) -> None:
        self.event_loop_lag = self._seconds(
            "shop_event_loop_lag_seconds", "How late the event loop woke a sleeper, sampled ten times a second.", ()
        )
        self.gc_pause = self._seconds("shop_gc_pause_seconds", "Garbage collections, each a pause of the process.", ())
        self.spans_processed = self._count(
            "otel_sdk_processor_span_processed",
            "Ended sampled spans; error_type is empty, or queue_full when the span was dropped.",
            ("error_type",),
        )
        self.spans_exported = self._count(
            "otel_sdk_exporter_span_exported",
            "Spans handed to the collector; error_type is empty, or export_failed when they were lost.",
            ("error_type",),
        )
