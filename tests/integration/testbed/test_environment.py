"""Description of the machine and the platform in the records of measurements."""

import getpass
import platform

from observability.testbed.environment import describe_environment


async def test_environment_has_versions_but_no_host_or_user_name(order_dsn: str) -> None:
    described = await describe_environment(order_dsn, stores={"events": "nowhere"}, platform_cpus=None)
    assert [*described] == [
        *("Plumbline", "Python", "PostgreSQL", "events"),
        *("system", "processor", "processors", "memory"),
    ]
    assert described["PostgreSQL"].split(".")[0].isdigit()
    words = " ".join(described.values()).split()
    assert platform.node() not in words
    assert getpass.getuser() not in words
