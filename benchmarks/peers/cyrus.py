"""Accounts of Cyrus SASL, for the servers that ask it: Postfix and sendmail."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks import programs
from benchmarks.traffic import PASSWORD, USER


def make_accounts(folder: Path, application: str, owner: str) -> None:
    """Write APPLICATION.conf and a sasldb2 with the one account, for a server that runs as `owner`."""
    database = folder / "sasldb2"
    user, _, realm = USER.partition("@")
    (folder / f"{application}.conf").write_text(
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\nmech_list: PLAIN\n"
    )
    programs.run(["saslpasswd2", "-p", "-c", "-f", database, "-u", realm, user], PASSWORD)
    shutil.chown(database, owner)
