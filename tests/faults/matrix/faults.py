"""The faults that a dependency can have, as behaviours of a server on a raw socket."""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import Enum
from functools import cache
from typing import Final

LATENCY_SECONDS: Final = 1.0
"""A slow answer that each deadline still allows."""

SILENCE_SECONDS: Final = 60.0
"""Longer than any deadline."""

DRIP_SECONDS: Final = 0.5
HUGE_BYTES: Final = 200_000_000
PROSE: Final = "Rate limit is exceeded. Try again in 26 seconds."


class Place(Enum):
    """Where a host name leads instead of the dependency: faults of the connection itself."""

    NOWHERE = "there is no address"
    CLOSED_PORT = "connections are refused"
    FULL_BACKLOG = "connections are never accepted"
    STRANGER = "another host answers, with a certificate of its own"
    SLAMMED_DOOR = "connections are reset when they are made"


@dataclass(slots=True)
class Exchange:
    """One request at a dependency: its true answer, and the connection to its caller."""

    answer: Callable[[], Awaitable[bytes]]
    writer: asyncio.StreamWriter
    success: int
    error_body: Callable[[int, str, str], tuple[str, bytes]]
    sent: int = 0

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()
        self.sent += len(content)

    async def reply(self, status: int, body: bytes, *headers: str) -> None:
        fields = [
            f"HTTP/1.1 {status} Status",
            *headers,
            f"Content-Length: {len(body)}",
            "Connection: close",
            "",
            "",
        ]
        await self.send("\r\n".join(fields).encode() + body)


Behaviour = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: a wrong place, or a behaviour once the request is there."""

    name: str
    place: Place | None = None
    behave: Behaviour | None = None


async def _reset(exchange: Exchange) -> None:
    await exchange.answer()
    exchange.writer.transport.abort()


async def _half(exchange: Exchange) -> None:
    whole = await exchange.answer()
    head = whole.index(b"\r\n\r\n") + 4
    body = len(whole) - head
    await exchange.send(whole[: head + body // 2 if body else head // 2])


async def _drip(exchange: Exchange) -> None:
    for byte in await exchange.answer():
        await exchange.send(bytes([byte]))
        await asyncio.sleep(DRIP_SECONDS)


def _late(seconds: float) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        whole = await exchange.answer()
        await asyncio.sleep(seconds)
        await exchange.send(whole)

    return behave


def _error(status: int, code: str, message: str = "A message.", *headers: str) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        media, body = exchange.error_body(status, code, message)
        await exchange.reply(status, body, f"Content-Type: {media}", f"x-ms-error-code: {code}", *headers)

    return behave


def _page(status: int, *headers: str) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        body = b"<html><body>Please sign in</body></html>"
        await exchange.reply(status, body, "Content-Type: text/html", *headers)

    return behave


async def _busy_until_a_date(exchange: Exchange) -> None:
    # The broker waits as long as it is asked to, and its next create is tried within some ten seconds.
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=4), usegmt=True)
    await _error(503, "ServerBusy", "Busy.", f"Retry-After: {date}")(exchange)


async def _bomb(exchange: Exchange) -> None:
    fields = ("Content-Type: application/json", "Content-Encoding: gzip")
    await exchange.reply(exchange.success, bomb(), *fields)


async def _hidden_bomb(exchange: Exchange) -> None:
    """Name the coding in a second field."""
    fields = ("Content-Type: application/json", "Content-Encoding: identity", "Content-Encoding: gzip")
    await exchange.reply(exchange.success, bomb(), *fields)


async def _oversized(exchange: Exchange) -> None:
    head = f"HTTP/1.1 {exchange.success} OK\r\nContent-Type: application/json\r\nContent-Length: {HUGE_BYTES}\r\n\r\n"
    await exchange.send(head.encode() + b'"')
    chunk = b"x" * 100_000
    while exchange.sent < HUGE_BYTES:
        await exchange.send(chunk)
        # Only the loop notices that the caller has gone.
        await asyncio.sleep(0)


async def _invalid_json(exchange: Exchange) -> None:
    await exchange.reply(exchange.success, b'{"value": ', "Content-Type: application/json")


async def _wrong_type(exchange: Exchange) -> None:
    await _page(exchange.success)(exchange)


@cache
def bomb() -> bytes:
    """Pack 200 MB. In parts: the test itself must not take the memory that it looks for."""
    packer = zlib.compressobj(9, wbits=31)
    part = bytes(1_000_000)
    return b"".join(packer.compress(part) for _ in range(HUGE_BYTES // len(part))) + packer.flush()


FAULTS: Final = (
    Fault("DNS fails", Place.NOWHERE),
    Fault("connection refused", Place.CLOSED_PORT),
    Fault("connect hangs", Place.FULL_BACKLOG),
    Fault("bad certificate", Place.STRANGER),
    Fault("reset before the request", Place.SLAMMED_DOOR),
    Fault("reset after the request", behave=_reset),
    Fault("half an answer", behave=_half),
    Fault("dripping answer", behave=_drip),
    Fault("slow answer", behave=_late(LATENCY_SECONDS)),
    Fault("silence", behave=_late(SILENCE_SECONDS)),
    Fault("400", behave=_error(400, "BadRequest")),
    Fault("401", behave=_error(401, "401")),
    Fault(
        "403 quota",
        behave=_error(403, "403", "Out of call volume quota. Quota will be replenished in 26 days."),
    ),
    Fault("404", behave=_page(404)),
    Fault("408", behave=_error(408, "RequestTimeout")),
    Fault("429 with header", behave=_error(429, "429", "Too many.", "Retry-After: 2")),
    Fault("429 in prose", behave=_error(429, "429", PROSE)),
    Fault("500", behave=_error(500, "InternalServerError")),
    Fault("502 page", behave=_page(502)),
    Fault("503 until a date", behave=_busy_until_a_date),
    Fault("gzip bomb", behave=_bomb),
    Fault("hidden gzip bomb", behave=_hidden_bomb),
    Fault("200 MB", behave=_oversized),
    Fault("invalid JSON", behave=_invalid_json),
    Fault("page with status of success", behave=_wrong_type),
    Fault("redirect", behave=_page(302, "Location: https://elsewhere.azure.net/")),
)


def json_error(status: int, code: str, message: str) -> tuple[str, bytes]:
    """An error in the shape of Face, Key Vault, Event Grid and the identity endpoint."""
    return "application/json", json.dumps({"error": {"code": code, "message": message}}).encode()


def table_error(status: int, code: str, message: str) -> tuple[str, bytes]:
    """An error in the shape of the table service."""
    error = {"code": code, "message": {"lang": "en-US", "value": message}}
    return "application/json", json.dumps({"odata.error": error}).encode()


def queue_error(status: int, code: str, message: str) -> tuple[str, bytes]:
    """An error in the shape of the queue service."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return "application/xml", body.encode()
