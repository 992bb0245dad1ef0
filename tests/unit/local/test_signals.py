"""A signal ends a command after its clean-up."""

import asyncio
import os
import signal

import pytest

from services.local.processes.signals import Interrupted, run_interruptible


async def interrupt_oneself(number: int) -> None:
    """Send the signal and wait for it to take effect."""
    os.kill(os.getpid(), number)
    await asyncio.sleep(30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_command_and_is_named_afterwards(number: int) -> None:
    with pytest.raises(Interrupted) as interrupted:
        run_interruptible(lambda: interrupt_oneself(number))
    assert interrupted.value.number == number


def test_a_second_signal_does_not_break_the_clearing_up() -> None:
    done: list[str] = []
    told_again = asyncio.Event()

    async def clear_up_slowly() -> None:
        try:
            await interrupt_oneself(signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await told_again.wait()
            done.append("cleared up")

    with pytest.raises(Interrupted):
        run_interruptible(clear_up_slowly, again=told_again.set)
    assert done == ["cleared up"]


def test_the_result_of_a_command_that_is_left_alone_is_returned() -> None:
    async def answer() -> int:
        return 42

    assert run_interruptible(answer) == 42
