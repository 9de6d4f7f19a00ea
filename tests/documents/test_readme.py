"""README.md, followed from the top by a newcomer: in a clean checkout, on a host that doesn't have the product.

Stand-ins: an index that pip could ask. The libraries that it would give a new environment are those of this one, and
hatchling, which pip would put into an environment of its own to build with, is among them. `make demo` finds `.venv`
set up for the same reason. pip is among them, too: what a new environment has besides takes three seconds to unpack.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.host import Host
from tests.support.recipe import Command, read_recipe
from tests.support.walk import Walk

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "README.md"
CHECKOUT = "/root/submission-proxy"
PASSWORD = "secret"

PIP = """\
[global]
no-index = true
no-build-isolation = false
"""  # the last one means that there is none
PYTHON = f"""\
#!/bin/sh
python={Path(sys.executable).resolve()}
[ "$1 $2" = "-m venv" ] || exec $python "$@"
$python -m venv --without-pip "$3"
echo {sysconfig.get_path("purelib")} > "$(echo "$3"/lib/python3.*/site-packages)/index.pth"
printf '#!/bin/sh\\nexec %s/bin/python -m pip "$@"\\n' "$3" > "$3/bin/pip"
chmod 755 "$3/bin/pip"
"""
# Newer than whatever make would set it up from.
ENVIRONMENT = f"""
mkdir {CHECKOUT}/.venv
ln -s {sys.prefix}/bin {CHECKOUT}/.venv/bin
touch {CHECKOUT}/.venv/stamp {CHECKOUT}/.venv/package
echo {CHECKOUT} > /run/walk-folder
"""


@pytest.fixture
def newcomer(there: Host) -> Host:
    programs.require("git", "make", "ss", "swaks")
    there.do("rm -r /opt/submission /usr/local/bin/submission /usr/local/bin/submission-passwd")
    there.path("/etc/pip.conf").write_text(PIP)
    there.path("/usr/local/bin/python3").write_text(PYTHON)
    there.path("/usr/local/bin/python3").chmod(0o755)
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines():
        copy = there.path(f"{CHECKOUT}/{name}")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy)
    there.do(ENVIRONMENT)
    return there


@pytest.mark.timeout(180)  # a minute is too little for a way so long, on a busy machine
def test_from_the_top(newcomer: Host) -> None:
    commands = {step.text for step in read_recipe(DOCUMENT) if isinstance(step, Command)}
    asking = ("submission-passwd", "submission user verify", "swaks --server mail.example.com:587 --tls --auth-user")
    answers = {text: f"{PASSWORD}\n" for text in commands if text.startswith(asking)}
    with Walk(newcomer, DOCUMENT, answers=answers, lasting={"make demo": "Serving until Ctrl-C ..."}) as walk:
        walk.section("submission-proxy")
