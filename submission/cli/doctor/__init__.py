"""`submission doctor`: tries the running installation as strangers, users and the relay would.

A file for each subject gives verdicts (verdict.py), each of one trial: what was tried, how it ended, what to do.

    listeners.py     each listener answers, and offers what it should where it should
    strangers.py     nobody sends without a login
    certificates.py  what clients see of TLS
    logins.py        a wrong password
    relay.py         sendmail
    files.py         what `submission check` minds, and the accounts

Nothing is changed but two counts of failed logins, and no message is ever sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from submission.cli.doctor.certificates import try_tls
from submission.cli.doctor.doors import Door, find_doors
from submission.cli.doctor.files import FILES, try_files
from submission.cli.doctor.listeners import GREETING, try_listener
from submission.cli.doctor.logins import try_logins
from submission.cli.doctor.relay import try_relay
from submission.cli.doctor.strangers import try_strangers
from submission.cli.doctor.verdict import Outcome, Place, Verdict
from submission.cli.options import configuration
from submission.cli.tables import print_table
from submission.config import Settings, load

__all__ = ["diagnose", "doctor"]


@click.command()
@configuration
def doctor(file: Path) -> None:
    """Try the running service, and say what is wrong with it.

    Tries every listener as a stranger and as a client would, TLS and certificates, the relay, and the files; sends no
    message. Two logins with a wrong password are among it, which count as failures of this machine and of one user.

    Exits with 0 if nothing failed, 1 if anything did, 69 if neither a listener nor the relay answers, 78 if the
    configuration can't be read.
    """
    settings = load(file)
    verdicts = list(diagnose(settings))
    print_table(
        ("Verdict", "Where", "Tried", "What was found"),
        ((verdict.outcome.value, verdict.where, verdict.tried, verdict.text) for verdict in verdicts),
    )
    raise SystemExit(_exit_code(verdicts))


def diagnose(settings: Settings) -> Iterator[Verdict]:
    """All trials, one after another."""
    entered: list[Door] = []
    for listen in settings.listen:
        found = find_doors(listen, settings.hostname)
        if not found:
            text = "only systemd knows where that is: systemctl list-sockets"
            yield Place(str(listen.address)).not_tried(GREETING, text)
        for door in found:
            verdicts = list(try_listener(door, settings))
            yield from verdicts
            if any(verdict.is_silence for verdict in verdicts):
                continue
            entered.append(door)
            yield from try_strangers(door, settings)
            if door is found[0]:  # TLS is the same by every address
                yield from try_tls(door, settings)
    yield from try_logins(entered, settings)
    yield from try_relay(settings)
    yield from try_files(settings)


def _exit_code(verdicts: list[Verdict]) -> int:
    asked = [each for each in verdicts if each.outcome is not Outcome.NOT_TRIED and each.where != FILES.name]
    if all(verdict.is_silence for verdict in asked):
        return os.EX_UNAVAILABLE
    return 1 if any(verdict.outcome is Outcome.FAILED for verdict in verdicts) else os.EX_OK
