"""Where does the mail of a trial go? To a mail server that takes every mail and keeps none.

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
    """Listen for the time of a block, without TLS. Raises OSError."""
    loop = asyncio.get_running_loop()
    # Its own default for the name asks the DNS, without a limit.
    server = await loop.create_server(lambda: SMTP(Sink(), hostname=_NAME, loop=loop), *local_address(0))
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield host, port
    finally:
        server.close()
