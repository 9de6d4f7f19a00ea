"""A real Dovecot. All names may log in, and hold any character: those of strangers with an account of their own making.

It believes clients of this host that say by XCLIENT, or IMAP's ID, which address they have.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support import programs
from tests.support.network import free_ports, wait_until_accepting

PASSWORD = "secret"
CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {log}
protocols = pop3 imap
listen = {listen}
ssl = no
disable_plaintext_auth = no
login_trusted_networks = 127.0.0.0/8
mail_location = maildir:{folder}/mail
auth_username_chars =
auth_username_format = %u
auth_verbose = yes
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/mail
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
}}
"""


@contextmanager
def dovecot(folder: Path) -> Iterator[Mapping[str, int]]:
    """One that runs for as long as the context lasts: its ports by protocol. `folder/log` is whole after that."""
    file, ports = configure(folder)
    with subprocess.Popen(["dovecot", "-F", "-c", str(file)]) as process:
        try:
            for port in ports.values():
                wait_until_accepting(port, lambda: process.poll() is None)
            yield ports
        finally:
            process.terminate()


def configure(folder: Path, listen: str = "127.0.0.1", log: str = "") -> tuple[Path, Mapping[str, int]]:
    """A configuration, and the ports in it by protocol.

    `listen` is as Dovecot has it, with 127.0.0.1 among the addresses; `log` as its log_path, `folder/log` unless told.
    """
    programs.require("dovecot")
    programs.require_file(Path("/usr/lib/dovecot/pop3-login"), "dovecot-pop3d")
    programs.require_file(Path("/usr/lib/dovecot/imap-login"), "dovecot-imapd")
    (folder / "mail").mkdir()
    (folder / "mail").chmod(0o777)
    ports = dict(zip(("pop3", "imap"), free_ports(2), strict=True))
    file = folder / "dovecot.conf"
    options = {"listen": listen, "log": log or folder / "log", "password": PASSWORD}
    file.write_text(CONFIGURATION.format(folder=folder, **options, **ports))
    return file, ports
