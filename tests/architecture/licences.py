"""Licences of the installed packages, and the command that lists them: `python -m tests.architecture.licences`."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions

# Each lets users do what Apache-2.0 does, with notices kept. MPL-2.0 binds changes to its own files alone.
ALLOWED = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "PSF-2.0"}
# What packages without a licence expression write, in SPDX's words. Of "BSD" alone the stricter one is taken.
WORDS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
CLASSIFIER = re.compile(r"License :: OSI Approved :: (.+)")


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package with its licence, an SPDX expression or the package's own words."""

    name: str
    licence: str

    @property
    def is_allowed(self) -> bool:
        """Whether every licence that the expression names is allowed, also where there is a choice."""
        names = re.findall(r"[A-Za-z0-9.+-]+", re.sub(r"\b(AND|OR)\b", " ", self.licence))
        return bool(names) and set(names) <= ALLOWED


def packages() -> list[Package]:
    """Return all installed packages, by name."""
    found = {each.metadata["Name"]: licence(each) for each in distributions()}
    return [Package(name, found[name]) for name in sorted(found, key=str.lower)]


def licence(distribution: Distribution) -> str:
    """Return the licence expression of a package; without one, what its older metadata says."""
    fields = distribution.metadata
    if expressions := fields.get_all("License-Expression", []):
        return str(expressions[0])
    classifiers = [text for each in fields.get_all("Classifier", []) for text in CLASSIFIER.findall(each)]
    words = classifiers or [line for each in fields.get_all("License", []) for line in each.splitlines()[:1]]
    return " AND ".join(WORDS.get(each, each) for each in words) or "none is named"


def lines() -> Iterator[str]:
    """Yield a line for each package."""
    for package in packages():
        yield f"{'' if package.is_allowed else 'NOT ALLOWED: '}{package.name}: {package.licence}\n"


if __name__ == "__main__":
    sys.stdout.writelines(lines())
    sys.exit(not all(package.is_allowed for package in packages()))
