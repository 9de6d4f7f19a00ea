import asyncio
import gc
import weakref

from submission.deadline import Deadline


class Bell:
    """Notes when it rang, and lets a test wait for it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.started = self.loop.time()
        self.rings: list[float] = []
        self.rang = asyncio.Event()

    def __call__(self) -> None:
        self.rings.append(self.loop.time() - self.started)
        self.rang.set()


async def elapse(seconds: float) -> None:
    """Let time go by; a timer that was set for earlier has then fired."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()


async def test_it_expires_once() -> None:
    bell = Bell()
    deadline = Deadline(bell.loop, bell)
    deadline.set(0.02)
    await elapse(0.1)
    assert len(bell.rings) == 1
    assert bell.rings[0] >= 0.019


async def test_a_later_time_puts_it_off() -> None:
    bell = Bell()
    deadline = Deadline(bell.loop, bell)
    deadline.set(0.02)
    deadline.set(0.06)
    await bell.rang.wait()
    assert bell.rings[0] >= 0.059
    assert len(bell.rings) == 1


async def test_an_earlier_time_brings_it_forward() -> None:
    bell = Bell()
    deadline = Deadline(bell.loop, bell)
    deadline.set(60)
    deadline.set(0.02)
    await bell.rang.wait()
    assert bell.rings[0] < 30
    await elapse(0.02)
    assert len(bell.rings) == 1


async def test_cleared_it_does_not_expire_and_can_be_set_again() -> None:
    bell = Bell()
    deadline = Deadline(bell.loop, bell)
    deadline.set(0.01)
    deadline.clear()
    await elapse(0.04)
    assert bell.rings == []
    deadline.set(0.01)
    await bell.rang.wait()
    assert len(bell.rings) == 1


async def test_cleared_and_set_before_the_old_time_it_expires_at_the_new_one() -> None:
    bell = Bell()
    deadline = Deadline(bell.loop, bell)
    deadline.set(0.02)
    deadline.clear()
    deadline.set(0.06)
    await bell.rang.wait()
    assert bell.rings[0] >= 0.059


async def test_closed_it_is_silent_and_leaves_no_timer() -> None:
    bell = Bell()
    deadline = Deadline(bell.loop, bell)
    deadline.close()
    deadline.set(0.01)
    deadline.close()
    deadline.close()
    await elapse(0.03)
    assert bell.rings == []


async def test_it_may_be_set_again_by_what_it_calls() -> None:
    rings = []
    done = asyncio.Event()

    def ring() -> None:
        rings.append(1)
        if len(rings) < 3:
            deadline.set(0.001)
        else:
            done.set()

    deadline = Deadline(asyncio.get_running_loop(), ring)
    deadline.set(0.001)
    await done.wait()
    await elapse(0.01)
    assert len(rings) == 3


async def test_a_time_that_moves_with_every_command_makes_no_timer_each() -> None:
    loop = asyncio.get_running_loop()
    made = 0
    call_at = loop.call_at

    def counting(*args: object, **kwargs: object) -> asyncio.TimerHandle:
        nonlocal made
        made += 1
        return call_at(*args, **kwargs)  # type: ignore[arg-type]

    loop.call_at = counting  # type: ignore[method-assign]
    deadline = Deadline(loop, lambda: None)
    for _ in range(1000):
        deadline.set(60)
        deadline.clear()
    deadline.close()
    assert made == 1


async def test_once_closed_it_keeps_nobody() -> None:
    """Regression: a client's stream and its deadline kept each other, and all that the client had sent."""

    class Owner:
        def __init__(self) -> None:
            self.deadline = Deadline(asyncio.get_running_loop(), self.expire)

        def expire(self) -> None:
            raise AssertionError

    gc.disable()
    try:
        owner = Owner()
        deadline, trace = owner.deadline, weakref.ref(owner)
        deadline.set(60.0)
        deadline.close()
        del owner
        assert trace() is None
        deadline.set(0.0)
        await elapse(0.01)
    finally:
        gc.enable()
