"""Processor use from samples and from metrics of many names, each against its own limit."""

from collections.abc import Sequence

import pytest

from observability.analysis.metrics_page import parse_page
from observability.analysis.observation import ProcessSample, TimedScrape
from observability.analysis.processor_use import ProcessorUse, Scope
from observability.analysis.processors import by_service, fullest, processors, utilisation
from tests.unit.analysis.seeing import seen

SECONDS = 60


def sampled(**used: tuple[float, float | None]) -> list[ProcessSample]:
    """Return samples of processes, each with the processors it used and those it waited for."""
    return [
        ProcessSample(at, name, at * use, None if waited is None else at * waited)
        for at in (0.0, 10.0)
        for name, (use, waited) in used.items()
    ]


def scraped(*lines: str, target: str = "web", times: Sequence[float] = (0, SECONDS)) -> list[TimedScrape]:
    """Return scrapes; a line is a metric, and its value or, as `+x`, its increase a second."""

    def text(at: float) -> str:
        words = [line.rpartition(" ") for line in lines]
        return "".join(
            f"{name} {at * float(value) if value.startswith('+') else float(value)}\n" for name, _, value in words
        )

    return [TimedScrape(at, target, parse_page(text(at))) for at in times]


def only(scrapes: Sequence[TimedScrape]) -> ProcessorUse:
    """Return the one use that the scrapes tell of."""
    [use] = processors(seen(scrapes=scrapes))
    return use


# --- Names of metrics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        ["process_cpu_seconds_total +0.6"],
        ["shop_process_cpu_seconds_total +0.6"],
        ["process_cpu_seconds_total +0.6", "process_cpu_user_seconds_total +0.5"],
        ['process_cpu_time_seconds_total{state="user"} +0.5', 'process_cpu_time_seconds_total{state="system"} +0.1'],
        ["jvm_cpu_time_seconds_total +0.6"],
        ['dotnet_process_cpu_time_seconds_total{cpu_mode="user"} +0.6'],
        ['process_runtime_cpython_cpu_time_seconds_total{type="user"} +0.6'],
        ['container_cpu_usage_seconds_total{container="web",cpu="total"} +0.6'],
        [f'container_cpu_usage_seconds_total{{name="web",cpu="cpu0{cpu}"}} +0.3' for cpu in (0, 1)],
        ['container_cpu_usage_total_nanoseconds_total{container_name="web"} +600000000'],
        ['k8s_container_cpu_time_seconds_total{k8s_container_name="web"} +0.6'],
    ],
)
def test_processor_time_is_found_under_its_usual_names(lines: list[str]) -> None:
    assert only(scraped(*lines)).used == pytest.approx(0.6)


@pytest.mark.parametrize(
    "line",
    [
        "go_cpu_classes_total_cpu_seconds_total +4",
        "container_cpu_cfs_throttled_seconds_total +1",
        'container_cpu_usage_seconds_total{id="/"} +3',
        'container_cpu_usage_seconds_total{container="POD",pod="web-1"} +1',
        "process_start_time_seconds 7",
    ],
)
def test_other_counters_are_no_processor_use(line: str) -> None:
    """Go counts idle processors in, and a container without a name is the sum of all."""
    assert processors(seen(scrapes=scraped(line))) == []


def test_a_restart_does_not_make_the_use_negative() -> None:
    pages = [(0, 100), (30, 10), (60, 20)]
    use = only([TimedScrape(at, "web", parse_page(f"process_cpu_seconds_total {value}\n")) for at, value in pages])
    assert use.used == pytest.approx(20 / 60)


def test_one_scrape_tells_no_use() -> None:
    assert processors(seen(scrapes=scraped("process_cpu_seconds_total 5", times=[0]))) == []


def test_a_gauge_of_the_machines_share_is_its_use() -> None:
    use = only(scraped("process_cpu_usage 0.4", "system_cpu_count 8"))
    assert [use.used, use.limit, use.share] == pytest.approx([3.2, 8, 0.4])


# --- Limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "line", "limit"),
    [
        ("a Go runtime", "go_sched_gomaxprocs_threads 4", 4),
        ("a JVM", "jvm_cpu_count 2", 2),
        ("node.js has one thread", "nodejs_eventloop_lag_seconds 0.01", 1),
        ("CPython runs one thread at a time", 'python_info{implementation="CPython"} 1', 1),
        ("an event loop is one thread", "some_event_loop_lag_seconds_count 3", 1),
        ("nothing tells", "up 1", None),
    ],
)
def test_a_process_is_limited_by_its_runtime(why: str, line: str, limit: float | None) -> None:
    assert only(scraped("process_cpu_seconds_total +0.8", line)).limit == limit, why


def test_a_process_that_uses_two_processors_has_several_threads() -> None:
    """A native library can use more than one processor in CPython."""
    assert only(scraped("process_cpu_seconds_total +1.9", "python_gc_collections_total 3")).limit is None


def test_a_container_is_limited_by_its_quota() -> None:
    use = only(
        scraped(
            'container_cpu_usage_seconds_total{container="web",pod="web-1",cpu="total"} +0.19',
            'container_spec_cpu_quota{container="web",pod="web-1"} 20000',
            'container_spec_cpu_period{container="web",pod="web-1"} 100000',
            'container_spec_cpu_quota{container="other",pod="other-1"} 900000',
            'container_spec_cpu_period{container="other",pod="other-1"} 100000',
        )
    )
    assert [use.limit, use.share] == pytest.approx([0.2, 0.95])
    assert use.is_full


def test_a_process_has_the_limit_of_its_pod() -> None:
    scrapes = [
        *scraped('process_cpu_seconds_total{pod="web-1"} +0.45'),
        *scraped(
            'kube_pod_container_resource_limits{pod="web-1",container="web",resource="cpu"} 0.5',
            'kube_pod_container_resource_limits{pod="web-1",container="web",resource="memory"} 100',
            target="kube-state-metrics",
        ),
    ]
    assert only(scrapes).share == pytest.approx(0.9)


def test_a_container_that_its_quota_stops_is_full() -> None:
    """It uses half of its quota on average, and all of it in 30 of 100 periods."""
    use = only(
        scraped(
            'container_cpu_usage_seconds_total{container="web"} +0.5',
            'container_spec_cpu_quota{container="web"} 100000',
            'container_spec_cpu_period{container="web"} 100000',
            'container_cpu_cfs_throttled_periods_total{container="web"} +3',
            'container_cpu_cfs_periods_total{container="web"} +10',
            'container_cpu_cfs_throttled_seconds_total{container="web"} +0.2',
        )
    )
    assert [use.fullness, use.waited] == pytest.approx([1.0, 0.2])
    assert use.is_full


def test_a_machine_is_used_as_far_as_it_is_not_idle() -> None:
    lines = [
        f'node_cpu_seconds_total{{cpu="{cpu}",mode="{mode}"}} +{rate}'
        for cpu in (0, 1)
        for mode, rate in {"idle": 0.2, "iowait": 0.1, "user": 0.6, "system": 0.1}.items()
    ]
    use = only(scraped(*lines, target="node"))
    assert use.scope is Scope.MACHINE
    assert [use.limit, use.share] == pytest.approx([2, 0.7])
    assert utilisation(seen(scrapes=scraped(*lines, target="node"))) == pytest.approx(0.7)


# --- One processor for several ----------------------------------------------------------------------------------------


def test_processes_that_wait_for_each_other_share_a_processor() -> None:
    observation = seen(processes=sampled(web=(0.5, 0.2), database=(0.3, 0.3)))
    assert utilisation(observation) == pytest.approx(0.8)
    assert {use.owner: use.share for use in processors(observation)} == pytest.approx({"web": 0.8, "database": 0.8})


@pytest.mark.parametrize(
    ("why", "samples"),
    [
        ("they hardly wait", sampled(web=(0.5, 0.01), database=(0.3, 0.01))),
        ("it is unknown whether they wait", sampled(web=(0.5, None), database=(0.3, None))),
        ("together they use more than one", sampled(web=(0.8, 0.9), database=(0.7, 0.9))),
    ],
)
def test_the_use_of_several_processors_is_not_summed(why: str, samples: list[ProcessSample]) -> None:
    observation = seen(processes=samples)
    assert utilisation(observation) is None, why
    assert [use.share for use in processors(observation)] == [use.used for use in processors(observation)]


def test_utilisation_is_unknown_without_samples() -> None:
    assert utilisation(seen()) is None


def test_utilisation_is_unknown_from_one_sample() -> None:
    assert utilisation(seen(processes=[ProcessSample(100.0, "web", 5.0, None)])) is None


def test_an_only_process_is_all_that_is_shared() -> None:
    assert utilisation(seen(processes=sampled(web=(0.6, None)))) == pytest.approx(0.6)


def test_several_processes_of_one_name_are_left_out() -> None:
    """Their counters take turns, so that the difference of first and last means nothing."""
    two = [ProcessSample(at, "web", 500.0 * (at % 2), 0.0) for at in (0.0, 1.0, 2.0, 3.0)]
    assert processors(seen(processes=two)) == []


def test_a_process_that_was_sampled_and_scraped_counts_once() -> None:
    observation = seen(
        processes=sampled(web=(1.8, 0.0)),
        scrapes=scraped("process_cpu_seconds_total +1.7", "go_sched_gomaxprocs_threads 2"),
    )
    [use] = processors(observation)
    assert [use.used, use.limit] == pytest.approx([1.8, 2])


# --- Whose it is ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("process_cpu_seconds_total +0.6", "web"),
        ('process_cpu_seconds_total{service_name="web"} +0.6', "kubernetes-pods"),
        ('container_cpu_usage_seconds_total{container="app",pod="web-7d9f8c6b5-x2x4z"} +0.6', "kubelet"),
        ('container_cpu_usage_seconds_total{name="shop_web_1"} +0.6', "cadvisor"),
        ('container_cpu_usage_seconds_total{name="/shop-web-1"} +0.6', "cadvisor"),
        ("process_cpu_seconds_total +0.6", "the-only-one"),
    ],
)
def test_a_use_belongs_to_the_service_it_is_named_after(line: str, target: str) -> None:
    found = by_service(seen(scrapes=scraped(line, target=target)), ["web"])
    assert {service: use.used for service, use in found.items()} == pytest.approx({"web": 0.6})


def test_the_longest_name_of_a_service_counts() -> None:
    scrapes = [
        *scraped("process_cpu_seconds_total +0.1", target="web"),
        *scraped("process_cpu_seconds_total +0.9", target="web-admin"),
    ]
    found = by_service(seen(scrapes=scrapes), ["web", "web-admin"])
    assert {service: use.used for service, use in found.items()} == pytest.approx({"web": 0.1, "web-admin": 0.9})


def test_the_fullest_replica_counts() -> None:
    scrapes = scraped(
        'process_cpu_seconds_total{instance="a"} +0.2',
        'process_cpu_seconds_total{instance="b"} +0.9',
        "nodejs_eventloop_lag_seconds 0.01",
    )
    assert by_service(seen(scrapes=scrapes), ["web"])["web"].share == pytest.approx(0.9)


def test_one_of_two_strange_processes_belongs_to_nobody() -> None:
    scrapes = [
        *scraped("process_cpu_seconds_total +0.1", target="prometheus"),
        *scraped("process_cpu_seconds_total +0.9", target="batch"),
    ]
    assert by_service(seen(scrapes=scrapes), ["web"]) == {}


def test_a_busy_process_that_the_services_do_not_need_is_not_the_fullest() -> None:
    scrapes = [
        *scraped("process_cpu_seconds_total +0.2", "nodejs_eventloop_lag_seconds 0", target="web"),
        *scraped("process_cpu_seconds_total +1.0", "nodejs_eventloop_lag_seconds 0", target="batch"),
    ]
    use = fullest(seen(scrapes=scrapes), ["web"])
    assert use is not None
    assert use.owner == "web"
