"""Completion in bash, as docs/commands.md sets it up: the shell asks the command what could come next."""

import os
import subprocess
import sysconfig

from tests.support import programs

SCRIPT = """
PATH=$1:$PATH
eval "$(_SUBMISSION_COMPLETE=bash_source submission)"
eval "$(_SUBMISSION_PASSWD_COMPLETE=bash_source submission-passwd)"

complete_words() {
  local function COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  read -r _ _ _ _ function _ <<<"$(complete -p "$1")"
  "$function" "$1"
  echo "${COMPREPLY[@]}"
}

complete_words submission pena
complete_words submission client-config --format auto
complete_words submission-passwd -
"""


def test_bash_is_told_what_could_come_next() -> None:
    programs.require("bash")
    command = ["bash", "--norc", "-c", SCRIPT, "bash", sysconfig.get_path("scripts")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=50, env={"PATH": os.environ["PATH"]})
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "penalties",
        "autoconfig autodiscover",
        "-c -d -n -p -u -f -C -h --help",
    ]
