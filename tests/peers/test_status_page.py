"""The status page as a real browser, without a window, makes of it."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

from submission.core.grants import Grant
from tests.support.monitored import Monitored, monitored
from tests.support.network import free_port
from tests.support.programs import require

NASTY = "<img src=x onerror=\"document.title='taken over'\">@example.com"


async def test_a_browser_shows_what_there_is_and_obeys_nothing_of_it(tmp_path: Path) -> None:
    require("chromium")
    async with monitored(tmp_path, f"127.0.0.1:{free_port()}") as subject:
        now = time.time()
        subject.grants.record([Grant("192.0.2.7", NASTY, "pop3", "dovecot", now, now, now + 1800)])
        await subject.penalties.fail("203.0.113.9", "alice", "guess")
        assert subject.rows[0].take("")
        subject.counting[1]("message", {"via": "auth", "result": "ok", "size": 100, "relay_seconds": 0.25})
        page, complaints = await browse(subject, tmp_path)
    assert "CONSOLE" not in complaints
    assert "<title>✗ submission</title>" in page
    assert '<p id="verdict" role="status" class="bad">not healthy: relay</p>' in page
    assert "<dt>sessions</dt><dd>1</dd>" in page
    assert "<img" not in page
    assert f'<td>192.0.2.7</td><td class="long">{NASTY.replace("<", "&lt;").replace(">", "&gt;")}</td>' in page
    assert "<td>203.0.113.9</td><td>1</td>" in page
    assert 'aria-label="Messages accepted, last hour: 1"' in page
    assert len(re.findall('<rect [^>]*class="messages"', page)) == 2
    assert page.count('class="relay_seconds"') == 2
    assert "<td>mail.example.com</td>" in page


async def browse(subject: Monitored, folder: Path) -> tuple[str, str]:
    """The page when its script has run, and what the browser complained of."""
    process = await asyncio.create_subprocess_exec(
        "chromium",
        "--headless=new",
        "--no-sandbox",  # root has none
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        f"--user-data-dir={folder / 'browser'}",
        "--virtual-time-budget=3000",
        "--dump-dom",
        f"http://127.0.0.1:{subject.port}/",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(50):
            page, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return page.decode(), complaints.decode(errors="replace")
