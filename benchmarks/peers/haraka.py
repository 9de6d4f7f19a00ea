"""Haraka, a server in JavaScript, with its plugin that opens the relay's connection at MAIL and proxies from there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import programs
from benchmarks.peers import Running, Site
from benchmarks.traffic import PASSWORD, USER
from tests.support.network import free_port

# What is changed of the configuration that it comes with.
FILES = {
    "plugins": "tls\nauth/flat_file\nqueue/smtp_proxy\n",
    "smtp.ini": "listen=127.0.0.1:{port}\nnodes={nodes}\nforce_shutdown_timeout=1\n",
    "tls.ini": "key={site.key}\ncert={site.certificate}\ndhparam=dhparams.pem\n",
    "auth_flat_file.ini": "[core]\nmethods=PLAIN\n[users]\n{user}={password}\n",
    "smtp_proxy.ini": "host=127.0.0.1\nport={site.relay}\n",
}


class Haraka:
    """One process a worker, or with two workers a third that starts them."""

    name = "haraka"
    title = "Haraka"
    most_connections = 1000

    def missing(self) -> str | None:
        """Whether it can't be measured."""
        return None if shutil.which("haraka") else "not installed (npm install --global Haraka)"

    def version(self) -> str:
        """That of its package, and of Node.js."""
        package = Path(shutil.which("haraka") or "").resolve().parent.parent / "package.json"
        node = programs.run(["node", "--version"]).strip()
        return f"Haraka {json.loads(package.read_text())['version']}, Node.js {node}"

    @contextmanager
    def running(self, site: Site) -> Iterator[Running]:
        """One that runs for as long as the context lasts."""
        port = free_port()
        nodes = 0 if site.workers == 1 else site.workers
        home = site.folder / "haraka"
        programs.run(["haraka", "--install", home])
        for name, text in FILES.items():
            content = text.format(site=site, port=port, nodes=nodes, user=USER, password=PASSWORD)
            (home / "config" / name).write_text(content)
        # Without these it would spend minutes of CPU on parameters of its own.
        group = ["-algorithm", "DH", "-pkeyopt", "group:ffdhe2048"]
        programs.run(["openssl", "genpkey", "-genparam", *group, "-out", home / "config/dhparams.pem"])
        with programs.running(["haraka", "--configs", home], port, site.folder) as pid:
            yield Running(port, pid)
