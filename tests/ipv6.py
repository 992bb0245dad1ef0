"""The mark of a test that needs [::1]."""

import pytest

from services.local.servers.ports import first_present

needs_ipv6 = pytest.mark.skipif(
    first_present(("::1", "127.0.0.1")) != "::1", reason="there is no [::1] here: services on IPv6 stay unproven"
)
