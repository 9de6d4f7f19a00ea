"""The pages: what is about a whole page is written here, the rest comes from the sources."""

from __future__ import annotations

from collections.abc import Mapping

from manual import commands, configuration
from manual.roff import Page, bold
from submission.cli.main import commands as submission
from submission.cli.passwd import passwd
from submission.config.settings import Settings

_FILE = "/etc/submission/submission.toml"
_CODES = {
    "0": "success",
    "1": "what was asked for is not so, or there was nothing to do",
    "2": "a wrong call",
    "67": "no such user to run as",
    "69": "an address that can't be bound, a store or a state that can't be used",
    "73": "a file that can't be written",
    "78": "a faulty configuration",
}


def make_pages(version: str) -> Mapping[str, str]:
    """The pages' files, by name."""
    return {
        "submission.1": _submission(version),
        "submission-passwd.1": _passwd(version),
        "submission.toml.5": _configuration(version),
    }


def _submission(version: str) -> str:
    page = Page("submission", 1, version, "an SMTP AUTH submission proxy in front of sendmail")
    commands.describe(page, submission, "submission")
    page.section("EXIT STATUS")
    page.paragraphs("Those of sysexits.h(3head), where a command says nothing else:")
    for code, text in _CODES.items():
        page.item(bold(code), text)
    _surroundings(page)
    page.item(bold("/var/lib/submission"), "What is kept: accounts, the key that seals passwords, penalties.")
    page.section("SEE ALSO")
    page.paragraphs("submission-passwd(1), submission.toml(5), sendmail(8)")
    return str(page)


def _passwd(version: str) -> str:
    page = Page("submission-passwd", 1, version, "set passwords of the submission proxy")
    commands.describe(page, passwd, "submission-passwd")
    _surroundings(page)
    page.section("SEE ALSO")
    page.paragraphs("submission(1), submission.toml(5), saslpasswd2(8)")
    return str(page)


def _configuration(version: str) -> str:
    page = Page("submission.toml", 5, version, "configuration of the submission proxy")
    page.section("DESCRIPTION")
    page.paragraphs(
        """
        One TOML file. Relative paths are relative to it, those of the store to `state_dir`. Durations are numbers of
        seconds or "30s", "15m", "2h", "7d"; sizes are octets or "40MiB". Unknown keys are faults.

        `submission check` tells every fault at once, and prints all keys as they are in force.
        """
    )
    page.section("KEYS")
    page.paragraphs("A key stands here with its default.")
    configuration.describe(page, Settings)
    _surroundings(page)
    page.section("SEE ALSO")
    page.paragraphs("submission(1), submission-passwd(1)")
    return str(page)


def _surroundings(page: Page) -> None:
    page.section("ENVIRONMENT")
    page.item(bold("SUBMISSION_CONFIG"), "The configuration, where no option names it.")
    page.section("FILES")
    page.item(bold(_FILE), "The configuration, where nothing else names it.")
