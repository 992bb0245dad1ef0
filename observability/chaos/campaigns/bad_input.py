"""Bad input campaign (fuzzing): random, oversized and malformed messages to each RPC of both services.

Messages are drawn from the services' own descriptors: every field has a value that is valid, at a bound, beyond it, or
absurd. Some calls send bytes that are no message, some more than the limit, some a few bytes that decompress to many.
Each must be answered in time, or rejected as the caller's mistake; and every process must survive.
"""

import asyncio
import random
import string
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from observability.chaos.campaign_context import CampaignContext, Say
from observability.chaos.campaign_report import Report
from observability.chaos.history import History
from observability.chaos.platform_options import CampaignPlatformOptions
from observability.load.orders import stream
from observability.load.stock_plan import ample_stock
from observability.load.stocking import stock_shop
from observability.testbed.process_group import PLAIN, ProcessGroup
from services.infra.rpc.client import OPTIONS
from services.infra.rpc.server import MAX_MESSAGE_BYTES
from services.inventory.rpc.server import SERVICE as INVENTORY
from services.local.servers.ports import local_address
from services.order.rpc.server import SERVICE as ORDER

AT_ONCE = 8
CALL_SECONDS = 5.0
REPORT_EVERY = 1_000
SKUS = ("A", "B", "C 1", "D/2")
MOST_DEPTH = 4
BOMB_BYTES = 64 * 1024 * 1024
OVERSIZED_BYTES = (MAX_MESSAGE_BYTES + 1, 4 * MAX_MESSAGE_BYTES)
# Answers to a valid request, or to a mistake of the caller.
ALLOWED = frozenset(
    {
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
# Some are valid: a request that is rejected at once does not reach the code behind the validation.
TEXTS = (
    *("", " ", "0", "\x00", "\n", "é", "\N{PILE OF POO}", "'; DROP TABLE items; --", "%s%n", "../../etc/passwd"),
    *("A" * 64, "A" * 65, "A" * 10_000, *SKUS, "GBP", "EUR", "XXX", "00000000-0000-0000-0000-000000000000"),
)
INTEGERS = (0, 1, 2, -1, 100, 10_000, 10_001, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))


class InputKind(StrEnum):
    """Kind of payload: a drawn message, random bytes, too many bytes, or a compression bomb."""

    DESCRIBED = "described"
    RAW = "raw"
    OVERSIZED = "oversized"
    BOMB = "bomb"


WEIGHTS = {InputKind.DESCRIBED: 84, InputKind.RAW: 12, InputKind.OVERSIZED: 3, InputKind.BOMB: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class BadInputOptions(CampaignPlatformOptions):
    """Options of the campaign; `cases` is the number of calls."""

    seed: int
    cases: int


@dataclass(frozen=True, slots=True)
class Case:
    """One call: the kind of its payload, its path and bytes, and whether they are sent compressed."""

    kind: InputKind
    path: str
    payload: bytes
    compressed: bool = False


async def bad_input(options: BadInputOptions, folder: Path, say: Say) -> Report:
    """Run the campaign. Raises LocalError, TestbedError, LoadError."""
    report = Report("bad-input", asdict(options))
    async with ProcessGroup.open(options.process_group(folder, environment=PLAIN)) as group:
        context = CampaignContext(group, History(), report, say)
        await group.start_all()
        target = str(local_address(group.ports.inventory_grpc))
        await stock_shop(target, ample_stock(SKUS), request_id_prefix="bad-input")
        ports = {ORDER.full_name: group.ports.order_grpc, INVENTORY.full_name: group.ports.inventory_grpc}
        counts, wrong = await _send_all(options, ports, say)
        report.figures |= {"cases": counts.total(), "answers": {" ".join(key): n for key, n in sorted(counts.items())}}
        report.violations += wrong
        for name in group.processes:
            report.expect(not group.handles[name].ended, f"{name} ended")
        if not report.violations:
            context.say("every case was answered or rejected, and every process still runs")
    return report


async def _send_all(
    options: BadInputOptions, ports: Mapping[str, int], say: Say
) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Send all cases, some concurrently; return the answers by kind and status, and a sentence for each violation."""
    counts, wrong = Counter[tuple[str, str]](), list[str]()
    numbers = iter(range(options.cases))

    async def send(channels: Mapping[str, grpc.aio.Channel]) -> None:
        for number in numbers:
            case = draw_case(stream(options.seed, f"case {number}"))
            code = await _code_of(channels[case.path.split("/")[1]], case)
            counts[case.kind, code.name] += 1
            if code not in ALLOWED:
                wrong.append(f"case {number}, {case.kind} to {case.path}: {code.name}")
            if (number + 1) % REPORT_EVERY == 0:
                say(f"{number + 1:,} of {options.cases:,} cases")

    targets = {name: str(local_address(port)) for name, port in ports.items()}
    channels = {name: grpc.aio.insecure_channel(target, options=OPTIONS) for name, target in targets.items()}
    try:
        async with asyncio.TaskGroup() as senders:
            for _ in range(AT_ONCE):
                senders.create_task(send(channels))
    finally:
        for channel in channels.values():
            await channel.close()
    return counts, wrong


async def _code_of(channel: grpc.aio.Channel, case: Case) -> grpc.StatusCode:
    """Send one case and return its status."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(case.path)
    compression = grpc.Compression.Gzip if case.compressed else grpc.Compression.NoCompression
    try:
        await call(case.payload, timeout=CALL_SECONDS, compression=compression)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def draw_case(generator: random.Random) -> Case:
    """Draw the payload of one call."""
    method = generator.choice([method for service in (ORDER, INVENTORY) for method in methods_of(service)])
    path = f"/{method.containing_service.full_name}/{method.name}"
    (kind,) = generator.choices(tuple(WEIGHTS), weights=tuple(WEIGHTS.values()))
    match kind:
        case InputKind.DESCRIBED:
            return Case(kind, path, draw_message(generator, method.input_type).SerializeToString())
        case InputKind.RAW:
            return Case(kind, path, generator.randbytes(generator.choice((0, 1, 7, 200, 5_000))))
        case InputKind.OVERSIZED:
            return Case(kind, path, b"\x0a" * generator.randint(*OVERSIZED_BYTES))
        case InputKind.BOMB:
            return Case(kind, path, bytes(BOMB_BYTES), compressed=True)


def methods_of(service: ServiceDescriptor) -> Sequence[MethodDescriptor]:
    """Return the RPCs of a service."""
    return tuple(service.methods)


def draw_message(generator: random.Random, descriptor: Descriptor, depth: int = 0) -> Message:
    """Draw a message: each field is left out, or has one or several values."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if generator.random() < 0.1:
            continue
        if field.is_repeated:
            count = generator.choices((0, 1, 2, 5, 1_501), weights=(5, 40, 30, 24, 1))[0]
            for _ in range(count if depth < MOST_DEPTH else 0):
                _put(generator, message, field, depth, getattr(message, field.name).append)
        else:
            _put(generator, message, field, depth, partial(setattr, message, field.name))
    return message


def _put(
    generator: random.Random,
    message: Message,
    field: FieldDescriptor,
    depth: int,
    put: Callable[[Any], None],
) -> None:
    if field.message_type is None:
        put(_draw_scalar(generator, field))
    elif depth < MOST_DEPTH:
        drawn = draw_message(generator, field.message_type, depth + 1)
        if field.is_repeated:
            put(drawn)
        else:
            getattr(message, field.name).CopyFrom(drawn)


def _draw_scalar(generator: random.Random, field: FieldDescriptor) -> object:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            if field.type == FieldDescriptor.TYPE_BYTES:
                return generator.randbytes(generator.choice((0, 1, 100)))
            return _draw_text(generator)
        case FieldDescriptor.CPPTYPE_BOOL:
            return generator.random() < 0.5
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return generator.choice((0.0, -1.0, 1e308, float("inf"), float("nan")))
        case FieldDescriptor.CPPTYPE_ENUM:
            return generator.choice((0, 1, 99))
    bits = 32 if field.cpp_type in {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32} else 64
    is_signed = field.cpp_type in {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64}
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    return generator.choice([number for number in INTEGERS if low <= number <= high])


def _draw_text(generator: random.Random) -> str:
    chance = generator.random()
    if chance < 0.3:
        return str(uuid.UUID(int=generator.getrandbits(128), version=4))
    if chance < 0.4:
        return "".join(generator.choices(string.printable, k=generator.randint(1, 80)))
    return generator.choice(TEXTS)
