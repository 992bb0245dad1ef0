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
        seconds = partial(Seconds, registry=registry, enabled=enabled)
        level = partial(Level, registry=registry, enabled=enabled)
        count = partial(Count, registry=registry, enabled=enabled)

        self.http_server_request_duration = seconds(
            "http_server_request_duration_seconds",
            "HTTP requests answered by the edge, headers in to last byte out.",
            ("context", "http_request_method", "http_route", "http_response_status_code"),
        )
        self.http_server_active_requests = level(
            "http_server_active_requests", "HTTP requests being answered now.", ("context",)
        )
        self.rpc_server_call_duration = seconds(
            "rpc_server_call_duration_seconds",
            "RPCs answered, from the handler's start to its end.",
            ("context", "rpc_method", "rpc_response_status_code"),
        )
        self.rpc_server_active_calls = level("shop_rpc_server_active_calls", "RPCs being answered now.", ("context",))
        self.rpc_client_call_duration = seconds(
            "rpc_client_call_duration_seconds",
            "RPCs made, all attempts of a call together.",
            ("context", "rpc_method", "rpc_response_status_code"),
        )
        self.use_case_duration = seconds(
            "shop_use_case_duration_seconds",
            "Use cases carried out; outcome is ok, an error's reason, INTERNAL or CANCELLED.",
            ("context", "use_case", "outcome"),
        )
        self.db_client_operation_duration = seconds(
            "db_client_operation_duration_seconds",
            "Logical statements sent to PostgreSQL, without the wait for a connection.",
            ("context", "db_query_summary", "error_type"),
        )
        self.db_client_connection_wait_time = seconds(
            "db_client_connection_wait_time_seconds", "Waits for a connection of the pool.", ("context",)
        )
        self.db_client_connection_use_time = seconds(
            "db_client_connection_use_time_seconds", "Connections held, from the pool and back.", ("context",)
        )
        self.db_client_connection_count = level(
            "db_client_connection_count", "Connections of the pool by state, idle or used.", ("context", "state")
        )
        self.db_client_connection_max = level(
            "db_client_connection_max", "Most connections the pool may open.", ("context",)
        )
        self.db_client_connection_pending_requests = level(
            "db_client_connection_pending_requests", "Callers waiting for a connection now.", ("context",)
        )
        self.db_client_connection_timeouts = count(
            "db_client_connection_timeouts", "Waits for a connection that were given up.", ("context",)
        )
        self.event_loop_lag = seconds(
            "shop_event_loop_lag_seconds", "How late the event loop woke a sleeper, sampled ten times a second.", ()
        )
        self.gc_pause = seconds("shop_gc_pause_seconds", "Garbage collections, each a pause of the process.", ())
        self.spans_processed = count(
            "otel_sdk_processor_span_processed",
            "Ended sampled spans; error_type is empty, or queue_full when the span was dropped.",
            ("error_type",),
        )
        self.spans_exported = count(
            "otel_sdk_exporter_span_exported",
            "Spans handed to the collector; error_type is empty, or export_failed when they were lost.",
            ("error_type",),
        )
