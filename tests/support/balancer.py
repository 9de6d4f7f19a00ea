"""Real load balancers in front of the service, which name their clients to it by PROXY headers: HAProxy and nginx."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support import programs
from tests.support.network import PATIENCE, free_ports, wait_until_accepting

Ports = Mapping[int, int]
"""Ports of 127.0.0.1: that of the service, to the balancer's in front of it."""

_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

_HAPROXY = """\
defaults
    mode tcp
    unique-id-format %ci-%ts
    timeout connect 20s
    timeout client 60s
    timeout server 60s
"""
_HAPROXY_LISTENER = """\
listen port-{back}
    bind 127.0.0.1:{front}
    option smtpchk EHLO haproxy.example
    server submission 127.0.0.1:{back} {options}
"""

_NGINX = """\
load_module {module};
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{}}
stream {{
    proxy_protocol on;
    {listeners}
}}
"""
_NGINX_LISTENER = "server {{ listen 127.0.0.1:{front}; proxy_pass 127.0.0.1:{back}; }}"


@contextmanager
def haproxy(folder: Path, backs: list[int], options: str) -> Iterator[Ports]:
    """HAProxy in front of ports of the service; `options` are those of a `server` line."""
    programs.require("haproxy")
    ports = dict(zip(backs, free_ports(len(backs)), strict=True))
    listeners = (_HAPROXY_LISTENER.format(back=back, front=front, options=options) for back, front in ports.items())
    configuration = folder / "haproxy.cfg"
    configuration.write_text(_HAPROXY + "".join(listeners))
    with _running(["haproxy", "-q", "-db", "-f", str(configuration)], ports):
        yield ports


@contextmanager
def nginx(folder: Path, backs: list[int]) -> Iterator[Ports]:
    """Nginx's stream module in front of ports of the service."""
    programs.require("nginx")
    module = programs.require_file(_STREAM_MODULE, "nginx's stream module")
    ports = dict(zip(backs, free_ports(len(backs)), strict=True))
    listeners = (_NGINX_LISTENER.format(back=back, front=front) for back, front in ports.items())
    configuration = folder / "nginx.conf"
    configuration.write_text(_NGINX.format(module=module, folder=folder, listeners="\n    ".join(listeners)))
    with _running(["nginx", "-p", str(folder), "-e", "stderr", "-c", str(configuration)], ports):
        yield ports


@contextmanager
def _running(command: list[str], ports: Ports) -> Iterator[None]:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            for front in ports.values():
                wait_until_accepting(front, lambda: process.poll() is None)
            yield
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()
