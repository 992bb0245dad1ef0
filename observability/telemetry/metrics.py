"""The one catalogue of metrics: semantic-convention names first, then `shop_*`. Seconds and bytes only.

Labels are bounded: `context` is a context's name, `outcome` and `error_type` are "ok", "" or an error's name; methods,
routes and query summaries come from code. Ids, SKUs and e-mail addresses are never labels.
"""

from functools import partial

from prometheus_client import CollectorRegistry

from observability.telemetry.instruments import Counter, Gauge, Histogram

# A context may have several pools, one a database.
POOL = ("context", "db_client_connection_pool_name")


class Metrics:
    """The catalogue, bound to one registry; a process has one. `enabled=False` records nothing."""

    def __init__(self, *, registry: CollectorRegistry, enabled: bool = True) -> None:
        self.registry = registry
        self._seconds = partial(Histogram, registry=registry, enabled=enabled)
        self._level = partial(Gauge, registry=registry, enabled=enabled)
        self._count = partial(Counter, registry=registry, enabled=enabled)
        self._add_http()
        self._add_rpc()
        self._add_guards()
        self._add_database()
        self._add_cache()
        self._add_process()
        self._add_events()
        self._add_shop()
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
        self.http_connections = self._level(
            "shop_http_connections", "Open connections of a listener, http or admin.", ("listener",)
        )
        self.http_refusals = self._count(
            "shop_http_refusals",
            "Requests and connections that a listener ended for a limit, before the application saw them.",
            ("listener", "reason"),
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
        self.rpc_server_repeated_attempts = self._count(
            "shop_rpc_server_repeated_attempts",
            "RPCs that came as a second or later attempt.",
            ("context", "rpc_method"),
        )

    def _add_guards(self) -> None:
        self.circuit_breaker_state = self._level(
            "shop_circuit_breaker_state",
            "1 for the state that the breaker in front of a dependency is in: closed, open or half_open.",
            ("context", "dependency", "state"),
        )
        self.circuit_breaker_transitions = self._count(
            "shop_circuit_breaker_transitions",
            "Times that a breaker came into a state.",
            ("context", "dependency", "state"),
        )
        self.rpc_client_rejections = self._count(
            "shop_rpc_client_rejections",
            "RPCs that were not made: reason is circuit_open or throttled.",
            ("context", "dependency", "reason"),
        )
        self.admission_decisions = self._count(
            "shop_admission_decisions",
            "Requests at a stage, http or grpc: admitted, or rejected because of deadline, limit or loop_lag.",
            ("context", "stage", "decision"),
        )
        self.admission_in_flight = self._level(
            "shop_admission_in_flight",
            "Admitted requests now: active in a slot, or waiting for another service without one.",
            ("context", "state"),
        )
        self.admission_limit = self._level(
            "shop_admission_limit", "Most admitted requests by state, active or waiting.", ("context", "state")
        )

    def _add_database(self) -> None:
        self.db_client_operation_duration = self._seconds(
            "db_client_operation_duration_seconds",
            "Logical statements sent to PostgreSQL, without the wait for a connection.",
            ("context", "db_query_summary", "error_type"),
        )
        self.db_client_connection_wait_time = self._seconds(
            "db_client_connection_wait_time_seconds", "Waits for a connection of the pool.", POOL
        )
        self.db_client_connection_use_time = self._seconds(
            "db_client_connection_use_time_seconds", "Connections held, from the pool and back.", POOL
        )
        self.db_client_connection_count = self._level(
            "db_client_connection_count", "Connections of the pool by state, idle or used.", (*POOL, "state")
        )
        self.db_client_connection_max = self._level(
            "db_client_connection_max", "Most connections the pool may open.", POOL
        )
        self.db_client_connection_pending_requests = self._level(
            "db_client_connection_pending_requests", "Callers waiting for a connection now.", POOL
        )
        self.db_client_connection_timeouts = self._count(
            "db_client_connection_timeouts", "Waits for a connection that were given up.", POOL
        )

    def _add_cache(self) -> None:
        self.cache_lookups = self._count(
            "shop_cache_lookups",
            "Keys asked of a cache: result is hit, miss, shared with who asked just before, or unavailable.",
            ("context", "cache", "result"),
        )
        self.cache_operation_duration = self._seconds(
            "shop_cache_operation_duration_seconds",
            "Commands sent to the server of a cache.",
            ("context", "cache", "operation", "error_type"),
        )
        self.cache_source_duration = self._seconds(
            "shop_cache_source_duration_seconds",
            "Reads of what a cache stands before, of all the keys that were missing together.",
            ("context", "cache"),
        )

    def _add_process(self) -> None:
        self.event_loop_lag = self._seconds(
            "shop_event_loop_lag_seconds", "How late the event loop woke a sleeper, sampled ten times a second.", ()
        )
        self.run_queue_wait = self._count(
            "shop_run_queue_wait_seconds", "Time that the event loop's thread could run and had no processor.", ()
        )
        self.gc_pause = self._seconds("shop_gc_pause_seconds", "Garbage collections, each a pause of the process.", ())
        self.log_lines_dropped = self._count(
            "shop_log_lines_dropped",
            "Log lines lost because an output, stdout or file, could not take them.",
            ("output",),
        )
        self.spans_processed = self._count(
            "otel_sdk_processor_span_processed",
            "Ended sampled spans; error_type is empty, or queue_full when the span was dropped.",
            ("error_type",),
        )
        self.spans_exported = self._count(
            "otel_sdk_exporter_span_exported",
            "Spans handed to the collector; error_type is empty, or export_failed or rejected when they were lost.",
            ("error_type",),
        )

    def _add_events(self) -> None:
        self.outbox_depth = self._level("shop_outbox_events", "Stored events that are not published yet.", ("context",))
        self.outbox_oldest_age = self._level(
            "shop_outbox_oldest_age_seconds", "How long the oldest unpublished event has waited.", ("context",)
        )
        self.relay_leader = self._level(
            "shop_relay_leader", "1 where this process's relay holds the lease.", ("context",)
        )
        self.relay_epoch = self._level("shop_relay_epoch", "The epoch of the lease, 0 without it.", ("context",))
        self.relay_published = self._count("shop_relay_published_events", "Events appended to the log.", ("context",))
        self.relay_fenced = self._count(
            "shop_relay_fenced", "Leases lost to another relay while this one was at work.", ("context",)
        )
        self.relay_republished = self._count(
            "shop_relay_republished_events", "Events published again because the log had lost some.", ("context",)
        )
        self.consumer_lag_events = self._level(
            "shop_consumer_lag_events", "Events in the log that are not consumed yet.", ("context", "consumer")
        )
        self.consumer_lag_seconds = self._level(
            "shop_consumer_lag_seconds", "Age of the oldest event that is not consumed yet.", ("context", "consumer")
        )
        self.event_dwell = self._seconds(
            "shop_event_dwell_seconds", "From an event's storing to its effect in a consumer.", ("context", "consumer")
        )
        self.consumer_duplicates = self._count(
            "shop_consumer_duplicates", "Events that came again and had no effect.", ("context", "consumer")
        )
        self.consumer_rewinds = self._count(
            "shop_consumer_rewinds", "Returns to the beginning of a log that is another.", ("context", "consumer")
        )
        self.dead_letters = self._count(
            "shop_dead_letters", "Events and sagas parked for a person to look at.", ("context", "consumer")
        )
        self.worker_failures = self._count(
            "shop_worker_failures", "Steps of background work that failed and are repeated.", ("context", "worker")
        )
        self.worker_ends = self._count(
            "shop_worker_ends",
            "Workers that ended before they were told to, and were started again.",
            ("context", "worker"),
        )

    def _add_shop(self) -> None:
        self.sagas = self._level("shop_sagas", "Orders on their way to their end.", ("context",))
        self.saga_oldest_age = self._level(
            "shop_saga_oldest_age_seconds", "Age of the oldest order on its way to its end.", ("context",)
        )
        self.saga_settled = self._count(
            "shop_sagas_settled",
            "Orders that the saga worker settled, by the state they ended in.",
            ("context", "state"),
        )
        self.saga_compensations = self._count(
            "shop_saga_compensations", "Orders whose stock was given back, released or returned.", ("context",)
        )
        self.reservations_pending = self._level(
            "shop_reservations_pending", "Reservations that hold stock and are not sold yet.", ("context",)
        )
        self.reservations_expired = self._count(
            "shop_reservations_expired", "Reservations whose time was over, given back by the sweeper.", ("context",)
        )
        self.invariant_violations = self._level(
            "shop_invariant_violations", "Rows that break an invariant, when the context last looked.", ("context",)
        )
        self.notifications_pending = self._level(
            "shop_notifications_pending", "Notifications recorded and not sent yet.", ("context",)
        )
        self.notifications_sent = self._count("shop_notifications_sent", "Notifications sent.", ("context",))
