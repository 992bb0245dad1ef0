"""How long does one wait where others are served first?

All times are means of a steady state with first come, first served and room for everyone; a wait excludes one's own
service. Rates are requests a second. A `scv` is a squared coefficient of variation, the variance over the squared mean:
1 for Poisson arrivals and exponential times, 0 for constant ones. Every function raises ValueError, naming the
argument, for a negative or infinite one and for less than one server.
"""

import math


def utilisation(*, rate_per_second: float, service_seconds: float, servers: int) -> float:
    """Give the share of its time for which a server is busy; from 1 on, more comes than can be served."""
    _check(rate_per_second=rate_per_second, service_seconds=service_seconds)
    _check_servers(servers)
    return rate_per_second * service_seconds / servers


def mean_wait_mmc(*, rate_per_second: float, service_seconds: float, servers: int) -> float:
    """Give the mean wait in seconds for exponential service by several servers; infinite when they cannot keep up.

    Source: Kleinrock 1975, Queueing Systems, volume 1, chapter 3 (M/M/c; one server makes it M/M/1).
    """
    busy = utilisation(rate_per_second=rate_per_second, service_seconds=service_seconds, servers=servers)
    if busy >= 1:
        return math.inf
    waiting = erlang_c(offered_load=rate_per_second * service_seconds, servers=servers)
    return waiting * service_seconds / (servers * (1 - busy))


def mean_wait_mg1(*, rate_per_second: float, service_seconds: float, service_scv: float) -> float:
    """Give the mean wait in seconds for any service by one server; infinite when it cannot keep up.

    Source: the formula of Pollaczek and Khinchine, in Kleinrock 1975, Queueing Systems, volume 1, chapter 5 (M/G/1).
    """
    _check(service_scv=service_scv)
    busy = utilisation(rate_per_second=rate_per_second, service_seconds=service_seconds, servers=1)
    if busy >= 1:
        return math.inf
    return busy * service_seconds * (1 + service_scv) / (2 * (1 - busy))


def mean_wait_ggc(
    *, rate_per_second: float, service_seconds: float, servers: int, arrival_scv: float, service_scv: float
) -> float:
    """Give about the mean wait in seconds for any arrivals and any service; infinite when servers cannot keep up.

    The approximation of Allen and Cunneen (Allen 1990, Probability, Statistics, and Queueing Theory): exact for M/M/c
    and M/G/1, good where servers are busy, and too long where arrivals are steadier than Poisson and servers idle.
    """
    _check(arrival_scv=arrival_scv, service_scv=service_scv)
    exponential = mean_wait_mmc(rate_per_second=rate_per_second, service_seconds=service_seconds, servers=servers)
    if exponential == math.inf:
        # Where nothing varies, the product would be infinity times 0.
        return math.inf
    return exponential * (arrival_scv + service_scv) / 2


def erlang_c(*, offered_load: float, servers: int) -> float:
    """Give the probability that a request must wait (Kleinrock 1975, chapter 3); 1 when servers cannot keep up.

    The offered load is in erlangs: arrivals a second times seconds of service.
    """
    _check(offered_load=offered_load)
    _check_servers(servers)
    if offered_load >= servers:
        return 1.0
    # Erlang's B formula by its recursion over servers: its factorials would overflow.
    blocked = 1.0
    for server in range(1, servers + 1):
        blocked = offered_load * blocked / (server + offered_load * blocked)
    return blocked / (1 - offered_load / servers * (1 - blocked))


def _check(**arguments: float) -> None:
    for name, value in arguments.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be finite and not negative, not {value:g}")


def _check_servers(servers: int) -> None:
    if servers < 1:
        raise ValueError(f"servers must be at least 1, not {servers}")
