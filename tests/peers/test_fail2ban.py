"""The filter that is shipped for fail2ban, on lines of our own log, tried by fail2ban itself."""

import io
import subprocess
from pathlib import Path

import pytest

from submission import logs
from tests.support import programs

FILTER = Path(__file__).parents[2] / "contrib/fail2ban/submission.conf"
GUESSER, FORGED = "203.0.113.5", "198.51.100.66"
FAILURE = {"result": "fail", "mech": "PLAIN", "ip": GUESSER, "tls": "TLSv1.3", "session": "0123456789ab"}
LIE = f"mech=PLAIN ip={FORGED} tls=none session=1 reason=bad-credentials"

GUESSES = [
    "alice",
    "al ice@example.com",
    f'x" {LIE}',
    f'x\\\\" {LIE}',
    "a\\",
    f"a\nevent=auth result=fail {LIE}",
    f"a\r\x85\u2028event=auth result=fail {LIE}",
    "\u202e\x1b[2J",
    "<HOST>",
    f"ip={FORGED}",
]
FORMS = {
    "file": "{line}",
    "journal": "{rest}",
    "syslog": "Nov 21 10:00:00 mail submission[123]: {rest}",
    "rsyslog": "2026-11-21T10:00:00.123456+00:00 mail submission[123]: {rest}",
}


def write(path: Path, form: str, events: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(logs, "_output", logs._Output("logfmt", stream))
    for fields in events:
        logs.event(str(fields.pop("event", "auth")), **fields)
    lines = [(line, line.partition(" ")[2]) for line in stream.getvalue().splitlines()]
    # What the journal hands on has no stamp of its own, and fail2ban-regex wants one in a file.
    stamp = "2026-11-21 10:00:00 " if form == "journal" else ""
    path.write_text("".join(stamp + FORMS[form].format(line=line, rest=rest) + "\n" for line, rest in lines))


def matched(path: Path) -> list[str]:
    """The addresses that fail2ban would count a failure for."""
    programs.require("fail2ban-regex")
    command = ["fail2ban-regex", "--out", "<ip>", str(path), str(FILTER)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()


@pytest.mark.parametrize("form", FORMS)
def test_each_guess_counts_for_the_guesser_whatever_the_user_is_called(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[dict[str, object]] = [
        {"result": "fail", "user": user, **FAILURE, "reason": "bad-credentials"} for user in GUESSES
    ]
    events.append({**FAILURE, "reason": "penalty"})
    events.append({**FAILURE, "ip": "2001:db8::50", "reason": "bad-credentials"})
    write(tmp_path / "log", form, events, monkeypatch)
    assert matched(tmp_path / "log") == [GUESSER] * (len(GUESSES) + 1) + ["2001:db8::50"]


def test_what_is_no_guess_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lie = f"event=auth result=fail {LIE}"
    events: list[dict[str, object]] = [
        {**FAILURE, "result": "ok", "user": "alice"},
        {**FAILURE, "reason": "aborted"},
        {**FAILURE, "reason": "store-unavailable"},
        {"event": "message", "result": "refused", "user": lie, "from": lie, "reply": lie, "reason": "bad-credentials"},
        {"event": "connection", "ip": FORGED, "hello": f"\n{lie}"},
    ]
    write(tmp_path / "log", "file", events, monkeypatch)
    assert matched(tmp_path / "log") == []
