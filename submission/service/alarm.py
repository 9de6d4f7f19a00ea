"""What happens once when a user has reached a limit: the admin's command, and the end of the account, if asked for.

Both take their time, so a thread has each, one user after the other: no command that hangs puts off the end of another
account. The command is run without a shell, as the service's
own user, with PATH and two variables of ours, and is killed with all that it started if it hasn't ended after ten
seconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from submission import logs
from submission.core.addresses import Login
from submission.credentials.accounts import AccountError
from submission.credentials.store import StoreUnavailableError

PATIENCE = 10.0
"""Seconds for the command."""
MAX_WAITING = 1000
"""Users who wait for theirs; of more, the log alone tells."""


class Alarm:
    """Called with a login, and the name of the limit that it has reached."""

    def __init__(self, command: Sequence[str], suspend: Callable[[Login], None] | None) -> None:
        """`suspend` disables an account, may block, and raises AccountError or StoreUnavailableError."""
        self._command = tuple(command)
        self._suspend = suspend
        self._suspending = ThreadPoolExecutor(1, thread_name_prefix="suspending")
        self._alerting = ThreadPoolExecutor(1, thread_name_prefix="alerting")
        self._room = threading.Semaphore(MAX_WAITING)

    def __call__(self, login: Login, limit: str) -> None:
        """Do what is to be done, soon."""
        if self._command or self._suspend is not None:
            self._suspending.submit(self._act, login, limit)

    def close(self) -> None:
        """Do what is still to be done. Blocks."""
        self._suspending.shutdown()
        self._alerting.shutdown()

    def _act(self, login: Login, limit: str) -> None:
        if self._suspend is not None:
            try:
                self._suspend(login)
                logs.warning("suspended", user=str(login), limit=limit)
            except (AccountError, StoreUnavailableError) as error:
                logs.failure("suspension-failed", error, user=str(login), limit=limit)
        if not self._command:
            return
        if self._room.acquire(blocking=False):
            self._alerting.submit(self._alert, login, limit)
        else:
            _log_failure(login, limit, "too many wait for theirs")

    def _alert(self, login: Login, limit: str) -> None:
        self._room.release()
        fault = _run(self._command, login, limit)
        if fault:
            _log_failure(login, limit, fault)


def _run(command: Sequence[str], login: Login, limit: str) -> str:
    """Run the command to its end, or to that of our patience; what was wrong with it, if anything was."""
    environment: dict[str, str | bytes] = {
        "PATH": os.environ.get("PATH", os.defpath),
        "SUBMISSION_USER": str(login).encode(),
        "SUBMISSION_LIMIT": limit,
    }
    silence = subprocess.DEVNULL
    try:
        process = subprocess.Popen(  # noqa: S603 - it is the admin's, and no shell reads what a client sent
            command, stdin=silence, stdout=silence, stderr=silence, cwd="/", env=environment, start_new_session=True
        )
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    with process:
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return f"{command[0]}: killed after {PATIENCE:.0f} seconds"
    return f"{command[0]}: exit status {status}" if status else ""


def _log_failure(login: Login, limit: str, reason: str) -> None:
    logs.warning("alert-failed", user=str(login), limit=limit, reason=reason)
