"""What is said of the machine."""

import getpass
import platform

from observability.experiments.runner.environment import describe_machine


def test_environment_has_versions_but_no_host_or_user_name() -> None:
    told = describe_machine()
    known = {"Plumbline", "Python", "PostgreSQL", "databases", "system", "processor", "processors", "memory"}
    assert known == told.keys()
    assert told["PostgreSQL"].split(".")[0].isdigit()
    words = " ".join(told.values()).split()
    assert platform.node() not in words
    assert getpass.getuser() not in words
