"""Do events and orders come to their end? Outbox, relay, log and consumers; sagas, reservations, notifications."""

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
    "Do events have their effect, and do orders come to their end?",
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
