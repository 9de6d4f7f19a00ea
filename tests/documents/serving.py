"""The service in the foreground of a host whose user alice has an account, and messages of hers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import programs
from tests.support.host import NAME, Host, Result, end
from tests.support.network import wait_until

_PASSWORD = "secret"
_MESSAGE = (
    f"swaks --server {NAME}:587 --tls --auth-user alice --auth-password {_PASSWORD}"
    " --from alice@example.com --to you@example.org"
)


@contextmanager
def serving(there: Host, settings: str) -> Iterator[None]:
    """Have it run with these settings behind those that are in its configuration already."""
    with there.path("/etc/submission/submission.toml").open("a") as file:
        file.write(settings)
    there.do(f"printf {_PASSWORD} | submission-passwd -c -p alice")
    output = there.folder / "serve"
    process = there.start("exec submission serve", output=output)
    try:
        wait_until(lambda: "ready" in output.read_text().splitlines())
        yield
    finally:
        end(process)


def send(there: Host) -> Result:
    """A message of hers, from the client's machine."""
    programs.require("swaks")
    return there.run(_MESSAGE, from_client=True)
