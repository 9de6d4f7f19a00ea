"""Stands in for systemctl where no systemd runs: it starts and stops the very process that a unit names.

    systemctl start|stop|restart|reload|is-active|enable [--now]|disable [--now] UNIT...
    systemctl daemon-reload

Of a unit it honours ExecStart=, ExecReload=, Type=notify, User=, AmbientCapabilities=, UMask=, TimeoutStopSec= and the
folders of StateDirectory=, RuntimeDirectory= and ConfigurationDirectory=; what a unit forbids is tested elsewhere
(sandbox.py). Where there is no unit but /etc/init.d/UNIT, that is run, as systemd's generator would have it. What a
service prints goes into /run/stand-in/UNIT.log, for journalctl.py to show.
"""

from __future__ import annotations

import os
import pwd
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

FOLDERS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system")
PLACE = Path("/run/stand-in")
PATIENCE = 20.0
FOLDERS_OF_A_SERVICE = {"StateDirectory": "/var/lib", "RuntimeDirectory": "/run", "ConfigurationDirectory": "/etc"}


def main(words: list[str]) -> int:
    """Do it for each unit; the exit code is the worst of all."""
    options = {word for word in words if word.startswith("-")}
    verb, *names = (word for word in words if word not in options)
    if verb in {"enable", "disable"}:
        verb = {"enable": "start", "disable": "stop"}[verb] if "--now" in options else "daemon-reload"
    if verb == "daemon-reload":
        return 0
    return max(_apply(verb, name.removesuffix(".service")) for name in names)


def _apply(verb: str, name: str) -> int:
    unit = _read(name)
    if unit is None:
        script = Path("/etc/init.d", name)
        if not script.exists():
            print(f"Failed to {verb} {name}.service: Unit {name}.service not found.", file=sys.stderr)
            return 5
        return subprocess.run([script, verb]).returncode
    actions = {"start": _start, "stop": _stop, "restart": _restart, "reload": _reload, "is-active": _tell}
    return actions[verb](name, unit)


def _read(name: str) -> Mapping[str, str] | None:
    """The settings of a unit and of what was edited into it; of several lines of one key the last."""
    files = [Path(folder, f"{name}.service") for folder in FOLDERS]
    found = [file for file in files if file.exists()][:1]
    if not found:
        return None
    found += sorted(Path(FOLDERS[0], f"{name}.service.d").glob("*.conf"))
    lines = (line.partition("=") for file in found for line in file.read_text().splitlines())
    return {key.strip(): value.strip() for key, _, value in lines if value}


def _start(name: str, unit: Mapping[str, str]) -> int:
    if _pid(name):
        return 0
    PLACE.mkdir(exist_ok=True)
    _make_folders(unit)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, (PLACE / f"{name}.log").open("ab") as log:
        listener.bind(f"\0stand-in-{name}")
        process = subprocess.Popen(
            [*_becoming(unit), *shlex.split(unit["ExecStart"])],
            env={**os.environ, "NOTIFY_SOCKET": f"@stand-in-{name}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=int(unit.get("UMask", "0022"), 8),
        )
        (PLACE / f"{name}.pid").write_text(str(process.pid))
        if unit.get("Type") != "notify" or _is_ready(process, listener):
            return 0
    print(f"Job for {name}.service failed because the control process exited with error code.", file=sys.stderr)
    print((PLACE / f"{name}.log").read_text(), file=sys.stderr)
    return 1


def _make_folders(unit: Mapping[str, str]) -> None:
    for key, parent in FOLDERS_OF_A_SERVICE.items():
        for name in unit.get(key, "").split():
            folder = Path(parent, name)
            folder.mkdir(exist_ok=True)
            folder.chmod(int(unit.get(f"{key}Mode", "0755"), 8))
            if key != "ConfigurationDirectory":
                user = pwd.getpwnam(unit.get("User", "root"))
                os.chown(folder, user.pw_uid, user.pw_gid)


def _becoming(unit: Mapping[str, str]) -> list[str]:
    if "User" not in unit:
        return []
    kept = ",".join(f"+{word.removeprefix('CAP_').lower()}" for word in unit.get("AmbientCapabilities", "").split())
    user = [f"--reuid={unit['User']}", f"--regid={pwd.getpwnam(unit['User']).pw_gid}", "--init-groups"]
    return ["setpriv", *user, f"--inh-caps=-all,{kept}".rstrip(","), *([f"--ambient-caps={kept}"] if kept else [])]


def _is_ready(process: subprocess.Popen[bytes], listener: socket.socket) -> bool:
    listener.settimeout(0.05)
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            if b"READY=1" in listener.recv(4096).split(b"\n"):
                return True
        except TimeoutError:
            continue
    return False


def _stop(name: str, unit: Mapping[str, str]) -> int:
    pid = _pid(name)
    if pid:
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + float(unit.get("TimeoutStopSec", PATIENCE))
        while _pid(name) and time.monotonic() < end:
            time.sleep(0.01)  # nobody else's child tells when it ends
        if _pid(name):
            os.kill(pid, signal.SIGKILL)
    return 0


def _restart(name: str, unit: Mapping[str, str]) -> int:
    return _stop(name, unit) or _start(name, unit)


def _reload(name: str, unit: Mapping[str, str]) -> int:
    command = [*_becoming(unit), *shlex.split(unit["ExecReload"])]
    return subprocess.run(command, env={**os.environ, "MAINPID": str(_pid(name))}).returncode


def _tell(name: str, unit: Mapping[str, str]) -> int:
    print("active" if _pid(name) else "inactive")
    return 0 if _pid(name) else 3


def _pid(name: str) -> int:
    """The service's first process; 0 where it runs no longer."""
    file = PLACE / f"{name}.pid"
    pid = int(file.read_text()) if file.exists() else 0
    return pid if Path(f"/proc/{pid}").exists() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
