"""Dashboard of the asynchronous work: outbox, relay, log and consumers; sagas, reservations, notifications."""

from grafana.build.lib.panel import Board, Heading, PanelRow
from grafana.build.panels.signals import signals, traces
from grafana.build.panels.streams import (
    FRESHNESS,
    STREAM_DURATION,
    STREAM_ERRORS,
    STREAM_RATE,
    STREAM_RESOURCES,
    STREAM_SATURATION,
)
from grafana.build.panels.work import WORK_DURATION, WORK_ERRORS, WORK_RATE, WORK_SATURATION

CONSUMED = traces(
    72,
    "Traces of the notification process",
    "notification",
    then="the links of its span: they lead to the request that stored the event.",
)
BOARD = Board(
    "shop-events",
    "Events",
    "The way of events from the outbox to their consumers, and the background work on orders.",
    (
        PanelRow(Heading.SLO, FRESHNESS),
        PanelRow(Heading.RATE, (*STREAM_RATE, *WORK_RATE)),
        PanelRow(Heading.ERRORS, (*STREAM_ERRORS, *WORK_ERRORS)),
        PanelRow(Heading.DURATION, (*STREAM_DURATION, *WORK_DURATION)),
        PanelRow(Heading.SATURATION, (*STREAM_SATURATION, *WORK_SATURATION)),
        PanelRow(Heading.RESOURCES, STREAM_RESOURCES),
        signals(CONSUMED),
    ),
)
