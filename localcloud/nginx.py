"""nginx in front of a server: TLS, credentials and tenants, as gateways before Mimir have them."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.certificates import Certificate
from localcloud.processes import Program, free_port, serve
from localcloud.programs import find_program

CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; return 200; }}
    {sites}
}}
"""
SITE = """
    server {{
        listen 127.0.0.1:{port}{tls};
        {certificate}
        location / {{ {rules} proxy_pass {upstream}; }}
    }}
"""


@dataclass(frozen=True)
class Site:
    """A port of nginx's that leads to `upstream` (a URL; its path replaces the request's `/`).

    `rules` are directives of nginx, such as who is let in. With `client_ca` only those are who
    show a certificate that it has signed.
    """

    upstream: str
    rules: str = ""
    certificate: Certificate | None = None
    client_ca: Path | None = None


@contextlib.contextmanager
def running_nginx(sites: Mapping[str, Site]) -> Iterator[Mapping[str, int]]:
    """Run one nginx with these sites until the block ends; their ports. Raises StartError."""
    binary = find_program("nginx")
    with tempfile.TemporaryDirectory(prefix="nginx-", ignore_cleanup_errors=True) as folder:
        config = Path(folder, "nginx.conf")
        ports: dict[str, int] = {}

        def make(port: int) -> Program:
            """Its own port only says that it is up: a site may refuse whoever asks."""
            ports.update({name: free_port() for name in sites})
            written = "".join(_write(site, ports[name]) for name, site in sites.items())
            config.write_text(CONFIG.format(folder=folder, port=port, sites=written), "utf-8")
            return Program(
                name="nginx",
                argv=[str(binary), "-e", "stderr", "-p", folder, "-c", str(config)],
                env=dict(os.environ),
                ready_url=f"http://127.0.0.1:{port}/",
                log=Path(folder, "nginx.log"),
                scratch=Path(folder),
            )

        with serve(make):
            yield ports


def _write(site: Site, port: int) -> str:
    own = site.certificate
    verify = f" ssl_client_certificate {site.client_ca}; ssl_verify_client on;"
    return SITE.format(
        port=port,
        upstream=site.upstream,
        rules=site.rules,
        tls=" ssl" if own else "",
        certificate=f"ssl_certificate {own.certificate}; ssl_certificate_key {own.key};"
        + (verify if site.client_ca else "")
        if own
        else "",
    )
