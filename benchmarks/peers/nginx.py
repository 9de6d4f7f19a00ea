"""nginx's mail proxy: TLS and AUTH, then octets from one end to the other without a look at them.

It knows no accounts and asks an HTTP server at each login; here that is nginx itself, which answers from its
configuration once the password is the right one. Nothing that comes after AUTH is checked, logged or added to, so it
shows what is left when a submission service does no more than encrypt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import programs
from benchmarks.peers import Running, Site, absent
from benchmarks.traffic import PASSWORD
from tests.support.network import free_ports

MODULE = Path("/usr/lib/nginx/modules/ngx_mail_module.so")

CONFIGURATION = """\
load_module {module};
daemon off;
user nobody nogroup;
worker_processes {site.workers};
worker_rlimit_nofile 20000;
pid {site.folder}/pid;
error_log {site.folder}/log;
events {{
  worker_connections 8000;
}}
http {{
  access_log off;
  client_body_temp_path {site.folder}/temporary;
  proxy_temp_path {site.folder}/temporary;
  fastcgi_temp_path {site.folder}/temporary;
  uwsgi_temp_path {site.folder}/temporary;
  scgi_temp_path {site.folder}/temporary;
  server {{
    listen 127.0.0.1:{accounts};
    location / {{
      if ($http_auth_pass != "{password}") {{
        add_header Auth-Status "Invalid login or password";
        return 200;
      }}
      add_header Auth-Status OK;
      add_header Auth-Server 127.0.0.1;
      add_header Auth-Port {site.relay};
      return 200;
    }}
  }}
}}
mail {{
  server_name mail.example.com;
  auth_http 127.0.0.1:{accounts}/;
  ssl_certificate {site.certificate};
  ssl_certificate_key {site.key};
  ssl_protocols TLSv1.2 TLSv1.3;
  server {{
    listen 127.0.0.1:{port};
    protocol smtp;
    starttls only;
    smtp_auth plain;
    smtp_capabilities PIPELINING 8BITMIME DSN ENHANCEDSTATUSCODES;
    xclient off;
  }}
}}
"""


class Nginx:
    """The mail proxy."""

    name = "nginx"
    title = "nginx"
    most_connections = 1000

    def missing(self) -> str | None:
        """Whether it can't be measured."""
        return absent("nginx", str(MODULE), package="nginx and libnginx-mod-mail")

    def version(self) -> str:
        """As Debian names it."""
        return f"nginx {programs.package_version('nginx')}"

    @contextmanager
    def running(self, site: Site) -> Iterator[Running]:
        """One that runs for as long as the context lasts."""
        port, accounts = free_ports(2)
        file = site.folder / "nginx.conf"
        file.write_text(CONFIGURATION.format(site=site, port=port, accounts=accounts, module=MODULE, password=PASSWORD))
        with programs.running(["nginx", "-c", str(file)], port, site.folder) as pid:
            yield Running(port, pid)
