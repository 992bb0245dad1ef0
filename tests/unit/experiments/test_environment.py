"""What is said of the machine."""

import getpass
import platform

from observability.experiments.runner.environment import describe_machine


def test_machine_and_versions_are_told_and_neither_the_machines_name_nor_its_users() -> None:
    told = describe_machine()
    known = {"Plumbline", "Python", "PostgreSQL", "databases", "system", "processor", "processors", "memory"}
    assert known == told.keys()
    assert told["PostgreSQL"].split(".")[0].isdigit()
    words = " ".join(told.values()).split()
    assert platform.node() not in words
    assert getpass.getuser() not in words
