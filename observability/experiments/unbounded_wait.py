"""Experiment unbounded wait: some calls take seconds, and their caller has no timeout."""

import random
from collections.abc import Callable

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Metric, Setting, Truth, Variant
from observability.network.loss import Loss
from observability.network.proxy import Delay
from observability.telemetry.telemetry import Telemetry
from services.infra.rpc.client import RpcClient
from services.inventory.rpc import translate
from services.inventory.rpc.client import InventoryClient
from services.inventory.rpc.server import SERVICE

# The highest value that the setting allows, far beyond a customer's deadline.
NEVER_SECONDS = 60.0
# A call that waits for a lost packet holds its connection: with the usual eight, orders would wait for the pool.
POOL_SIZE = "32"


class PatientClient(InventoryClient):
    """Client without an effective timeout of its calls."""

    def __init__(self, *arguments: object, target: str, telemetry: Telemetry, guarded: bool = True) -> None:
        super().__init__(*arguments, target=target, telemetry=telemetry, guarded=guarded)  # type: ignore[arg-type]
        self._rpc = RpcClient(
            target=target,
            service=SERVICE.full_name,
            telemetry=telemetry,
            errors=translate.ERRORS,
            guarded=guarded,
            call_seconds=NEVER_SECONDS,
        )


def patient_client(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return the client of inventory."""
    return PatientClient


def draw(source: random.Random) -> Setting:
    """Draw the packet loss between inventory and its database, and the utilisation.

    Loss comes in bursts, so that a lost packet is often delayed by seconds; a call sends about thirty chunks. Orders
    are small: otherwise other orders would wait for the locks of one that waits for a packet.
    """
    loss = Loss(share=source.uniform(0.02, 0.03), again=0.8)
    network = {"inventory-database": Delay(latency_seconds=0.0005, loss=loss)}
    pool = {"INVENTORY_DATABASE_POOL_SIZE": POOL_SIZE}
    return Setting(
        place=f"{loss.share:.1%} of what inventory and its database send is lost, and calls have no timeout",
        before=Variant(
            environment={"inventory": pool, "order": {"ORDER_REQUEST_DEADLINE_SECONDS": f"{NEVER_SECONDS:g}"}},
            adapters={"order-inventory": f"{__name__}:patient_client"},
            network=network,
        ),
        after=Variant(environment={"inventory": pool}, network=network),
        demand=Demand(utilisation=source.uniform(0.35, 0.45), lines=(1, 2), respond_async=True),
        truth=Truth(Bottleneck.UNBOUNDED_WAIT, "order"),
    )


EXPERIMENT = Experiment(
    name="unbounded_wait",
    kind=ExperimentKind.BOTTLENECK,
    metric=Metric.GOODPUT,
    hypothesis="A call that takes seconds keeps its order waiting for longer than its customer waits for an answer.",
    fix="Give a call up in time, answer that the order is kept, and bring it to its end afterwards.",
    symptoms=(
        "a part of the calls takes seconds, the others what they always took",
        "no call ends by its time being over",
    ),
    owner_alert="none",
    owner_alert_because="Orders are slow, which is an objective's alert, and none looks at how long a call may take.",
    draw=draw,
)
