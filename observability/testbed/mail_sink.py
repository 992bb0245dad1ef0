"""Mail sink: an SMTP server that accepts every mail and stores none.

async with mail_server() as address:
    ... send mail to address ...
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP

from observability.network.proxy import Address
from services.local.servers.ports import local_address

_NAME = "mail.lab.example"


@asynccontextmanager
async def mail_server() -> AsyncIterator[Address]:
    """Listen during a with block, without TLS. Raises OSError."""
    loop = asyncio.get_running_loop()
    # The default host name is looked up in the DNS, without a timeout.
    server = await loop.create_server(lambda: SMTP(Sink(), hostname=_NAME, loop=loop), *local_address(0))
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield host, port
    finally:
        server.close()
