"""A wrong optimisation: confirmations are written to memory instead of to disk, and no customer notices."""

import random

from observability.lab.experiments.experiment import HEALTHY, Demand, Experiment, Kind, Setting, Variant

# The block that runs a variant puts a folder in memory here.
MEMORY_FOLDER = "{memory_folder}"


def draw(source: random.Random) -> Setting:
    """Draw how busy it is. All orders are alike: what differs between them would hide whether the fix changes any."""
    return Setting(
        place="the folder of confirmations in memory",
        before=HEALTHY,
        after=Variant(environment={"notification": {"NOTIFICATION_OUTBOX_FOLDER": MEMORY_FOLDER}}),
        demand=Demand(utilisation=source.uniform(0.25, 0.35), lines=(3, 3)),
        truth=None,
    )


EXPERIMENT = Experiment(
    name="wrong_optimisation",
    kind=Kind.WRONG_OPTIMISATION,
    hypothesis="Sending a confirmation is the longest wait for a disk in the whole trace; a faster disk must help.",
    fix="Write confirmations to memory.",
    symptoms=("the span of sending falls by half or more", "no answer comes sooner: none waits for it"),
    owner_alert="none",
    owner_alert_because="Nothing is wrong.",
    draw=draw,
    own_time="notification.send_confirmation",
    times_as_many_pairs=3,
)
