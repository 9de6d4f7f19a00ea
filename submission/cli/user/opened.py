"""The store that a command works on, and whom in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from submission.cli.tables import printable
from submission.config import Settings, load
from submission.core.addresses import Login
from submission.credentials import open_store
from submission.credentials.accounts import AccountError, NoSuchUserError, parse_login
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record, Store, StoreUnavailableError

user_argument = click.argument("name", metavar="USER")


class _Unavailable(click.ClickException):
    """Ends a command with EX_UNAVAILABLE."""

    exit_code = os.EX_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Opened:
    """A store, and what a command has to know beside it."""

    store: Store
    settings: Settings

    @property
    def realm(self) -> str:
        """The default realm."""
        return self.settings.auth.realm

    def sealer(self) -> Sealer | None:
        """What seals secrets, None for a store that keeps none sealed."""
        return None if self.store.keeps_clear else Sealer.from_file(self.settings.store.key_file)

    def login(self, name: str) -> Login:
        """The login that a name means."""
        return parse_login(name, self.realm)

    def record(self, name: str) -> Record:
        """What is kept of it."""
        login = self.login(name)
        record = self.store.read(login)
        if record is None:
            raise NoSuchUserError(login)
        return record


@contextlib.contextmanager
def opened(file: Path) -> Iterator[Opened]:
    """The configuration's store. What goes wrong with it ends the command."""
    settings = load(file)
    try:
        with contextlib.closing(open_store(settings.store.url)) as store:
            yield Opened(store, settings)
    except AccountError as error:
        raise click.ClickException(printable(str(error))) from None
    except StoreUnavailableError as error:
        raise _Unavailable(printable(str(error))) from None
