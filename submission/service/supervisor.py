"""Worker processes: started, replaced when they die or by those of another configuration, told to stop, and waited for.

The supervisor has no event loop and no threads, so that it can fork at any time and has little to go wrong. All that
concerns it comes as a signal: blocked, and waited for in sigwait. A signal only wakes it, for several of one kind
may count as one; what has happened it sees for itself: who has died, who has become ready, whose time has come.

The workers of one configuration are a crew. SIGHUP has the crew make a successor, from the configuration as it is now,
whose workers are started beside the others. Once all of these are ready, the others retire: they accept nobody any
more, and end with their last session. If one can't start, the successor's retire instead, and all stays as it was. The
sockets are the supervisor's: those that both crews have are never closed, so nobody who connects meanwhile is refused.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import NoReturn

from submission import logs
from submission.service.errors import StartError
from submission.service.station import MAX_NEWS, RETIRE, Crew, Place, Station
from submission.systemd import notify, watchdog_interval

LOOK = 0.02
"""Seconds between looks at workers that are about to start."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM, RETIRE)


class Supervisor:
    """The parent of the workers, for as long as the service runs. Times are those of the monotonic clock."""

    def __init__(
        self,
        crew: Crew,
        *,
        rows: int,
        forget: Callable[[int], None],
        patience: float,
        report: Callable[[int, StartError | None], None],
    ) -> None:
        """There are never more workers than `rows`; `forget` is called with the row of one that is dead.

        A worker that is told to stop is killed after `patience` seconds. `report` is told when all are ready, and how
        each reload ended: at which nanosecond it began, and why it was refused.
        """
        self._crew = crew
        self._successor: Crew | None = None  # until its workers are ready
        self._rows = rows
        self._forget = forget
        self._patience = patience
        self._report = report
        self._places: list[Place] = []
        self._lifeline, self._held = os.pipe()
        self._mask: Iterable[int] = ()
        self._is_ready = False
        self._is_outdated = False  # somebody said that the configuration is another
        self._begun = time.monotonic_ns()
        self._failure: StartError | None = None
        self._killing_at: float | None = None  # once the service stops
        self._reassuring_every = watchdog_interval()
        self._reassuring_at = 0.0

    def run(self, on_ready: Callable[[], None]) -> None:
        """Run workers until SIGTERM or SIGINT, and return when all are gone; `on_ready` is called once all accept.

        Raises StartError where one can't start, when the others are gone too. The signals stay blocked: one that comes
        when all is over shall not turn success into failure.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # it may have been inherited as ignored, and nobody be waited for
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._add_places(self._crew)
        while self._killing_at is None or any(place.pid for place in self._places):
            self._fill_places()
            received = self._wait()
            if received in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif received == signal.SIGHUP:
                self._is_outdated = True
            self._reap()
            self._listen(on_ready)
            self._reload()
            self._kill_late()
            self._reassure()
        if self._failure is not None:
            raise self._failure

    def _wait(self) -> signal.Signals:
        """Sleep until a signal comes, or something is due, which comes as SIGALRM."""
        due = [place.due for place in self._places if not place.pid]
        if self._killing_at is not None:
            due = [self._killing_at]
        elif self._starting is not None:
            due.append(time.monotonic() + LOOK)
        if self._is_ready and self._reassuring_every:
            due.append(self._reassuring_at)
        signal.setitimer(signal.ITIMER_REAL, max(min(due) - time.monotonic(), 0.001) if due else 0.0)
        return signal.Signals(signal.sigwait(_SIGNALS))

    @property
    def _starting(self) -> Crew | None:
        """Whose workers are waited for until all of them are ready."""
        return self._successor or (None if self._is_ready else self._crew)

    # Beginnings

    def _add_places(self, crew: Crew) -> None:
        taken = {place.row for place in self._places}
        free = [row for row in range(self._rows) if row not in taken]
        if self._rows < len([place for place in self._places if not place.is_retired]) + crew.count:
            raise StartError(f"a restart is needed for {crew.count} processes instead", os.EX_UNAVAILABLE)
        if len(free) < crew.count:
            self._end_oldest()
            text = f"{len(taken)} workers, of earlier configurations too, still have clients: the first of them end now"
            raise StartError(f"{text}, try again in a minute", os.EX_UNAVAILABLE)
        self._places += [Place(crew, number, free[number]) for number in range(crew.count)]

    def _fill_places(self) -> None:
        for place in tuple(self._places):
            if place.is_due and self._killing_at is None:
                try:
                    self._start(place)
                except OSError as error:
                    self._lose(place, os.EX_OSERR, f"can't start a worker: {error.strerror}")

    def _start(self, place: Place) -> None:
        place.started = time.monotonic()
        news, end = os.pipe()
        try:
            pid = os.fork()
            if not pid:
                os.close(news)
                self._become_worker(place.crew, Station(place.number, place.row, self._lifeline, end, self._mask))
        except OSError:
            os.close(news)
            raise
        finally:
            os.close(end)
        place.fill(pid, news)
        if self._is_ready:
            logs.event("worker-started", pid=pid)

    def _become_worker(self, crew: Crew, station: Station) -> NoReturn:
        code = os.EX_SOFTWARE
        try:
            os.close(self._held)
            for place in self._places:
                if place.pid:
                    os.close(place.news)
            self._close_sockets(but=crew)
            crew.begin()
            crew.work(station)
            code = os.EX_OK
        except StartError as error:
            os.write(station.news, str(error).encode()[:MAX_NEWS])
            code = error.code
        except BaseException as error:  # noqa: BLE001 - the parent's code, which would be next, is none of ours
            logs.failure("internal-error", error)
        finally:
            sys.stderr.flush()
            logs.flush()
            os._exit(code)

    def _listen(self, on_ready: Callable[[], None]) -> None:
        """Hear what workers have to say who are about to start."""
        crew = self._starting
        if crew is None or self._killing_at is not None:
            return
        places = [place for place in self._places if place.crew is crew]
        for place in places:
            if place.pid:
                place.hear()
        if not all(place.is_ready for place in places):
            return
        if self._successor is not None:
            self._hand_over(self._successor)
        else:
            self._is_ready = True
            self._report(self._begun, None)
            on_ready()
            notify("READY=1")

    # Another crew

    def _reload(self) -> None:
        """Have a successor for the crew, if somebody wishes so and this one has begun and is not about to end."""
        if not self._is_outdated or self._starting is not None or self._killing_at is not None:
            return
        self._is_outdated = False
        self._begun = time.monotonic_ns()
        notify("RELOADING=1", f"MONOTONIC_USEC={self._begun // 1000}")
        logs.event("reloading")
        try:
            self._successor = self._crew.renew()
            self._add_places(self._successor)
        except StartError as error:
            self._refuse(error)
        except Exception as error:  # noqa: BLE001 - a fault of ours is no reason to end what serves well
            logs.failure("internal-error", error)
            self._refuse(StartError(f"internal error: {error}", os.EX_SOFTWARE))

    def _hand_over(self, successor: Crew) -> None:
        former, self._crew, self._successor = self._crew, successor, None
        self._retire(former)
        _close_all(former.sockets, successor.sockets)
        successor.begin()
        logs.event("reloaded")
        self._conclude(None)

    def _refuse(self, reason: StartError) -> None:
        """Go on as before."""
        if self._successor is not None:
            refused, self._successor = self._successor, None
            self._retire(refused)
            _close_all(refused.sockets, self._crew.sockets)
        for line in str(reason).splitlines():
            logs.warning("reload-refused", reason=line)
        self._conclude(reason)

    def _conclude(self, reason: StartError | None) -> None:
        self._report(self._begun, reason)
        notify("READY=1")

    def _retire(self, crew: Crew) -> None:
        """Let the workers of a crew end with their last session: even those who just began may have some."""
        for place in tuple(self._places):
            if place.crew is crew:
                place.is_retired = True
                place.tell(RETIRE)
                if not place.pid:
                    self._places.remove(place)

    # Endings

    def _end_oldest(self) -> None:
        """Let those drain who have been retired for longest, or clients who stay could keep us from any reload."""
        retired = [place for place in self._places if place.is_retired]
        for place in retired:
            if place.crew is retired[0].crew:
                place.tell(signal.SIGTERM)

    def _reap(self) -> None:
        by_pid = {place.pid: place for place in self._places if place.pid}
        while by_pid:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            place = by_pid.pop(pid, None)  # a process with the pid 1 has the orphans of others too
            if place is not None:
                self._bury(place, os.waitstatus_to_exitcode(status))

    def _bury(self, place: Place, code: int) -> None:
        """Take note of a death; `code` is an exit code, or a signal's number below zero."""
        pid = place.pid
        place.empty()
        self._forget(place.row)
        reason = place.reason
        if place.is_retired and not code:
            logs.event("worker-retired", pid=pid)
        elif self._killing_at is None or code:
            cause = signal.Signals(-code).name if code < 0 else None
            status = code if code >= 0 else None
            logs.warning("worker-died", pid=pid, status=status, signal=cause, reason=reason or None)
        if place.is_retired:
            self._places.remove(place)
        else:
            self._lose(place, code if code > 0 else os.EX_SOFTWARE, reason or f"worker {pid} died at its start")

    def _lose(self, place: Place, code: int, reason: str) -> None:
        """Have a place filled again, unless that was a crew's only chance to begin."""
        if self._killing_at is not None:
            return
        if place.crew is self._successor:
            self._refuse(StartError(reason, code))
            return
        if not self._is_ready:
            self._failure = StartError(reason, code)
            self._stop()
            return
        place.put_off()

    def _stop(self) -> None:
        """Let all workers drain. Once is enough."""
        if self._killing_at is not None:
            return
        self._killing_at = time.monotonic() + self._patience
        logs.event("stopping")
        notify("STOPPING=1")
        self._close_sockets()
        self._tell(signal.SIGTERM)

    def _close_sockets(self, but: Crew | None = None) -> None:
        for crew in (self._crew, self._successor):
            if crew is not None:
                _close_all(crew.sockets, but.sockets if but else ())

    def _kill_late(self) -> None:
        if self._killing_at is not None and time.monotonic() >= self._killing_at:
            self._tell(signal.SIGKILL)
            self._killing_at += self._patience

    def _reassure(self) -> None:
        """Give the watchdog a sign of life when one is due, as long as anybody serves.

        A worker that keeps dying is no reason to stay silent: the watchdog would kill the others with us.
        """
        now = time.monotonic()
        if self._is_ready and self._reassuring_every and now >= self._reassuring_at:
            self._reassuring_at = now + self._reassuring_every
            if any(place.pid for place in self._places):
                notify("WATCHDOG=1")

    def _tell(self, number: signal.Signals) -> None:
        for place in self._places:
            place.tell(number)


def _close_all(sockets: Iterable[socket.socket], but: Iterable[socket.socket]) -> None:
    for sock in set(sockets).difference(but):
        sock.close()
