"""Time goes by only where there is nothing to do, and nobody waits for ever."""

import asyncio
from collections.abc import Iterator

import pytest

from fuzz.loop import Loop, Wire


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(lambda: False, patience=100.0)
    yield made
    made.dismiss()


def test_an_hour_takes_no_time_and_is_too_long(loop: Loop) -> None:
    loop.run_until_complete(asyncio.sleep(99))
    assert loop.time() == 99
    with pytest.raises(AssertionError, match=r"not over in 100\.0 s"):
        loop.run_until_complete(asyncio.sleep(3600))


def test_what_is_left_is_ended(loop: Loop) -> None:
    with pytest.raises(AssertionError, match="everybody waits"):
        loop.run_until_complete(wait_for_ever())
    (task,) = asyncio.all_tasks(loop)
    loop.dismiss()
    assert task.cancelled()


async def wait_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def test_who_waits_for_nobody_is_told(loop: Loop) -> None:
    with pytest.raises(AssertionError, match="everybody waits"):
        loop.run_until_complete(loop.create_future())


def test_something_is_found_before_time_goes_by() -> None:
    found = iter([True, False])
    made = Loop(lambda: next(found), patience=10.0)
    made.run_until_complete(asyncio.sleep(5))
    assert made.time() == 5
    assert next(found, None) is None
    made.close()


def test_a_thread_s_work_is_done_at_once(loop: Loop) -> None:
    assert loop.run_until_complete(asyncio.wait_for(loop.run_in_executor(None, int, "7"), 1)) == 7
    with pytest.raises(ValueError):
        loop.run_until_complete(loop.run_in_executor(None, int, "seven"))


def test_a_closed_wire_takes_nothing_and_says_so(loop: Loop) -> None:
    class Noting(asyncio.Protocol):
        heard: list[object]

        def data_received(self, data: bytes) -> None:
            self.heard.append(data)

        def connection_lost(self, exc: Exception | None) -> None:
            self.heard.append("lost")

    protocol, taken = Noting(), []
    protocol.heard = []
    wire = Wire(loop, protocol, taken.append)
    wire.write(b"one")
    wire.deliver(b"two")
    wire.deliver_end()
    wire.write(b"three")
    wire.deliver(b"four")
    loop.run_until_complete(asyncio.sleep(0))
    assert (taken, protocol.heard) == ([b"one"], [b"two", "lost"])
