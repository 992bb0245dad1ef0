"""Registry of experiments: every module of this package with an EXPERIMENT; a new file needs no entry here."""

import importlib
import pkgutil
from pathlib import Path

from observability.experiments.experiment import Experiment
from observability.load.errors import LoadUsageError


def experiments() -> dict[str, Experiment]:
    """Return all experiments by name, sorted by name."""
    package = __package__
    modules = (importlib.import_module(f"{package}.{module.name}") for module in _modules())
    found = [module.EXPERIMENT for module in modules if hasattr(module, "EXPERIMENT")]
    return {experiment.name: experiment for experiment in sorted(found, key=lambda each: each.name)}


def find_experiment(name: str) -> Experiment:
    """Return the experiment of this name. Raises LoadUsageError."""
    known = experiments()
    if name not in known:
        raise LoadUsageError(f"there is no experiment {name!r}; choose one of {', '.join(known)}")
    return known[name]


def _modules() -> list[pkgutil.ModuleInfo]:
    return list(pkgutil.iter_modules([str(Path(__file__).parent)]))
