"""Catalogue of all metrics: names of the semantic conventions where they exist, `shop_*` otherwise.

Units are seconds and bytes. Labels are bounded: `context` is a context's name, `outcome` and `error_type` are "ok", ""
or an error's name; methods, routes and query summaries come from code. Ids, SKUs and e-mail addresses are never labels.
"""

from functools import partial

from prometheus_client import CollectorRegistry

from observability.telemetry.instruments import Counter, Gauge, Histogram

# A context may have several pools, one for each database.
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
        self._add_overload_protection()
        self._add_database()
        self._add_replicas()
        self._add_shards()
        self._add_cache()
        self._add_process()
        self._add_events()
        self._add_shop()
        self.use_case_duration = self._seconds(
            "shop_use_case_duration_seconds",
            "Duration of use cases; outcome is ok, an error's reason, INTERNAL or CANCELLED.",
            ("context", "use_case", "outcome"),
        )

    def _add_http(self) -> None:
        self.http_server_request_duration = self._seconds(
            "http_server_request_duration_seconds",
            "Duration of HTTP requests at the edge, from the headers to the last byte of the response.",
            ("context", "http_request_method", "http_route", "http_response_status_code"),
        )
        self.http_server_active_requests = self._level(
            "http_server_active_requests", "HTTP requests in progress.", ("context",)
        )
        self.http_connections = self._level(
            "shop_http_connections", "Open connections of a listener, http or admin.", ("listener",)
        )
        self.http_refusals = self._count(
            "shop_http_refusals",
            "Requests and connections that a listener refused because of a limit, before the application.",
            ("listener", "reason"),
        )

    def _add_rpc(self) -> None:
        self.rpc_server_call_duration = self._seconds(
            "rpc_server_call_duration_seconds",
            "Duration of RPCs on the server, from the handler's start to its end.",
            ("context", "rpc_method", "rpc_response_status_code"),
        )
        self.rpc_server_active_calls = self._level(
            "shop_rpc_server_active_calls", "RPCs in progress on the server.", ("context",)
        )
        self.rpc_client_call_duration = self._seconds(
            "rpc_client_call_duration_seconds",
            "Duration of RPCs on the client, with all attempts of a call.",
            ("context", "rpc_method", "rpc_response_status_code"),
        )
        self.rpc_server_repeated_attempts = self._count(
            "shop_rpc_server_repeated_attempts",
            "RPCs received that were a retry by gRPC.",
            ("context", "rpc_method"),
        )

    def _add_overload_protection(self) -> None:
        self.circuit_breaker_state = self._level(
            "shop_circuit_breaker_state",
            "1 for the state of the circuit breaker in front of a dependency: closed, open or half_open.",
            ("context", "dependency", "state"),
        )
        self.circuit_breaker_transitions = self._count(
            "shop_circuit_breaker_transitions",
            "Transitions of a circuit breaker into a state.",
            ("context", "dependency", "state"),
        )
        self.rpc_client_rejections = self._count(
            "shop_rpc_client_rejections",
            "RPCs that the client rejected without a call: reason is circuit_open or throttled.",
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
            "Duration of logical statements on PostgreSQL, without the wait for a connection.",
            ("context", "db_query_summary", "error_type"),
        )
        self.db_client_connection_wait_time = self._seconds(
            "db_client_connection_wait_time_seconds", "Time waited for a connection of the pool.", POOL
        )
        self.db_client_connection_use_time = self._seconds(
            "db_client_connection_use_time_seconds", "Time that a connection is in use, from acquire to release.", POOL
        )
        self.db_client_connection_count = self._level(
            "db_client_connection_count", "Connections of the pool by state, idle or used.", (*POOL, "state")
        )
        self.db_client_connection_max = self._level(
            "db_client_connection_max", "Most connections the pool may open.", POOL
        )
        self.db_client_connection_pending_requests = self._level(
            "db_client_connection_pending_requests", "Callers that wait for a connection.", POOL
        )
        self.db_client_connection_timeouts = self._count(
            "db_client_connection_timeouts", "Waits for a connection that timed out.", POOL
        )

    def _add_replicas(self) -> None:
        database = ("context", "database")
        self.replica_up = self._level("shop_replica_up", "1 when the replica of this pool answers.", POOL)
        self.replica_lag_bytes = self._level(
            "shop_replica_lag_bytes", "Bytes of the primary's log that the replica has not replayed yet.", POOL
        )
        self.replica_lag_seconds = self._level(
            "shop_replica_lag_seconds",
            "Age of the oldest sample of the primary's log that the replica has not reached yet.",
            POOL,
        )
        self.replica_reads = self._count(
            "shop_replica_reads",
            "Reads that replicas may answer, by target: replica, primary in its place, or rejected.",
            (*database, "target"),
        )
        self.replica_wait = self._seconds(
            "shop_replica_wait_seconds", "Time that reads waited for a replica to get a change.", database
        )
        self.replica_fallbacks = self._count(
            "shop_replica_fallbacks",
            "Reads that went to the primary because replicas were behind, lacked the row, had a conflict, or were"
            " unavailable.",
            (*database, "reason"),
        )
        self.replica_conflicts = self._count(
            "shop_replica_conflicts", "Reads that a replica cancelled in favour of its replay.", database
        )

    def _add_shards(self) -> None:
        self.shard_move_age = self._level(
            "shop_shard_move_age_seconds",
            "Age of the move of a logical shard that is not complete: state is running while a process makes it,"
            " otherwise interrupted; 0 without one.",
            ("context", "state"),
        )
        self.shards_unavailable = self._level(
            "shop_logical_shards_unavailable",
            "Logical shards that the shard map gives the server, and whose orders it rejects.",
            ("context", "shard"),
        )

    def _add_cache(self) -> None:
        self.cache_lookups = self._count(
            "shop_cache_lookups",
            "Keys looked up in a cache: result is hit, miss, shared with an earlier request, or unavailable.",
            ("context", "cache", "result"),
        )
        self.cache_operation_duration = self._seconds(
            "shop_cache_operation_duration_seconds",
            "Duration of commands to the server of a cache.",
            ("context", "cache", "operation", "error_type"),
        )
        self.cache_source_duration = self._seconds(
            "shop_cache_source_duration_seconds",
            "Duration of reads of a cache's source, each for all missing keys of a request.",
            ("context", "cache"),
        )

    def _add_process(self) -> None:
        self.event_loop_lag = self._seconds(
            "shop_event_loop_lag_seconds", "Lag of the event loop, sampled ten times a second.", ()
        )
        self.run_queue_wait = self._count(
            "shop_run_queue_wait_seconds", "Time that the event loop's thread was runnable and waited for a CPU.", ()
        )
        self.gc_pause = self._seconds("shop_gc_pause_seconds", "Duration of garbage collections, which pause all.", ())
        self.log_lines_dropped = self._count(
            "shop_log_lines_dropped",
            "Log lines dropped because an output, stdout or file, was too slow or failed.",
            ("output",),
        )
        self.spans_processed = self._count(
            "otel_sdk_processor_span_processed",
            "Ended sampled spans; error_type is empty, or queue_full when the span was dropped.",
            ("error_type",),
        )
        self.spans_exported = self._count(
            "otel_sdk_exporter_span_exported",
            "Spans exported; error_type is empty, or export_failed or rejected for lost ones.",
            ("error_type",),
        )

    def _add_events(self) -> None:
        self.outbox_depth = self._level(
            "shop_outbox_events", "Stored events that are not published yet.", ("context", "shard")
        )
        self.outbox_oldest_age = self._level(
            "shop_outbox_oldest_age_seconds", "Age of the oldest unpublished event.", ("context", "shard")
        )
        self.relay_leader = self._level(
            "shop_relay_leader", "1 when this process's relay holds the lease.", ("context", "shard")
        )
        self.relay_epoch = self._level("shop_relay_epoch", "Epoch of the lease; 0 without it.", ("context", "shard"))
        self.relay_published = self._count(
            "shop_relay_published_events", "Events appended to the log.", ("context", "shard")
        )
        self.relay_fenced = self._count("shop_relay_fenced", "Leases lost to another relay.", ("context", "shard"))
        self.relay_republished = self._count(
            "shop_relay_republished_events",
            "Events published again because the log had lost events.",
            ("context", "shard"),
        )
        self.consumer_lag_events = self._level(
            "shop_consumer_lag_events", "Events in the log that are not consumed yet.", ("context", "consumer")
        )
        self.consumer_lag_seconds = self._level(
            "shop_consumer_lag_seconds", "Age of the oldest event that is not consumed yet.", ("context", "consumer")
        )
        self.event_dwell = self._seconds(
            "shop_event_dwell_seconds", "Time from an event's storing to its effect.", ("context", "consumer")
        )
        self.consumer_duplicates = self._count(
            "shop_consumer_duplicates", "Repeated events, which had no effect.", ("context", "consumer")
        )
        self.consumer_rewinds = self._count(
            "shop_consumer_rewinds", "Rewinds to the beginning of a new log.", ("context", "consumer")
        )
        self.dead_letters = self._count(
            "shop_dead_letters", "Events and sagas parked for a person to look at.", ("context", "consumer")
        )
        self.worker_failures = self._count(
            "shop_worker_failures", "Steps of workers that failed and are retried.", ("context", "worker")
        )
        self.worker_ends = self._count(
            "shop_worker_ends",
            "Workers that ended unexpectedly and were restarted.",
            ("context", "worker"),
        )

    def _add_shop(self) -> None:
        self.sagas = self._level("shop_sagas", "Orders that are not settled yet.", ("context", "shard"))
        self.saga_oldest_age = self._level(
            "shop_saga_oldest_age_seconds", "Age of the oldest order that is not settled yet.", ("context", "shard")
        )
        self.saga_settled = self._count(
            "shop_sagas_settled",
            "Orders that the saga worker settled, by the state they ended in.",
            ("context", "state"),
        )
        self.saga_compensations = self._count(
            "shop_saga_compensations", "Orders whose stock was released or returned.", ("context",)
        )
        self.reservations_pending = self._level(
            "shop_reservations_pending", "Reservations that hold stock and are not sold yet.", ("context",)
        )
        self.reservations_expired = self._count(
            "shop_reservations_expired", "Reservations that the sweeper expired.", ("context",)
        )
        self.invariant_violations = self._level(
            "shop_invariant_violations", "Rows that violated an invariant in the last check.", ("context",)
        )
        self.notifications_pending = self._level(
            "shop_notifications_pending", "Notifications recorded and not sent yet.", ("context",)
        )
        self.notifications_sent = self._count("shop_notifications_sent", "Notifications sent.", ("context",))
