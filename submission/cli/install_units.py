"""`submission install-units`: the units for systemd, put where it looks for them.

They come with the package, in `share/submission` of the installation; all that is changed in them is the path of the
command. What the service couldn't reach from within its unit is refused here, for from systemd the admin would only
hear status=203/EXEC.
"""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import click

HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108 - only compared with
"""What ProtectHome= and PrivateTmp= keep from the service."""

_COMMAND = "=/usr/bin/submission "
_PLAIN = re.compile(r"/[A-Za-z0-9/._+@-]*")  # nothing that systemd would take for a quote, a blank or a specifier
_NEXT = """
Next, as root:
    id submission || useradd --system --home-dir /var/lib/submission --shell /usr/sbin/nologin submission
    submission check
    systemctl daemon-reload
    systemctl enable --now submission.service
The user submission has to be able to read certificate and key, and for POP before SMTP the mail log.

systemd can hold the ports: with address = "systemd:submission" (587) and "systemd:submissions" (465) in the
configuration, before the last of these:
    systemctl enable --now submission.socket submissions.socket
"""


class _Unfit(click.ClickException):
    """Ends the command where no unit could start the service from there."""

    exit_code = os.EX_UNAVAILABLE


class _Unwritable(click.ClickException):
    """Ends the command where a file can't be written."""

    exit_code = os.EX_CANTCREAT


@click.command("install-units")
@click.option(
    "--prefix",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default="/usr/local",
    show_default=True,
    help="Where the installation is to be found; the units go into DIR/lib/systemd/system.",
)
@click.option(
    "--executable",
    metavar="PATH",
    type=click.Path(path_type=Path),
    default=lambda: Path(sysconfig.get_path("scripts"), "submission"),
    help="The submission command that the units start; this installation's unless given.",
)
@click.option("--dry-run", is_flag=True, help="Print the units, write nothing.")
def install_units(prefix: Path, executable: Path, *, dry_run: bool) -> None:
    """Install units for systemd, and say what to do next."""
    folder = prefix.absolute() / "lib/systemd/system"
    units = make_units(Path(sysconfig.get_path("data"), "share/submission/systemd"), executable)
    for name, text in units.items():
        if dry_run:
            click.echo(f"# {folder / name}\n{text}")
        else:
            _write(folder / name, text)
            click.echo(f"wrote {folder / name}")
    if not dry_run:
        click.echo(_NEXT, nl=False)


def make_units(shipped: Path, executable: Path) -> Mapping[str, str]:
    """The units in the folder `shipped`, by their names, made to start `executable`. Raises a ClickException."""
    if not _PLAIN.fullmatch(str(executable)) or not os.access(executable, os.X_OK):
        raise _Unfit(f"{executable}: is no path of a command that systemd could start")
    paths = (executable, executable.resolve())
    hiding = [folder for folder in HIDDEN if any(path.is_relative_to(folder) for path in paths)]
    if hiding:
        raise _Unfit(
            f"{executable}: the service is kept from {hiding[0]}, so install it elsewhere:"
            " python3 -m venv /opt/submission && /opt/submission/bin/pip install …"
        )
    try:
        units = {file.name: file.read_text() for file in sorted(shipped.iterdir())}
    except OSError as error:
        raise _Unfit(f"{error.filename}: {error.strerror}: the installation is not complete") from None
    return {name: text.replace(_COMMAND, f"={executable} ") for name, text in units.items()}


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o644)
    except OSError as error:
        raise _Unwritable(f"{error.filename or file}: {error.strerror}") from None
