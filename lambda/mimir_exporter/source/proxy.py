"""The forward proxy on the way to a host, as a setting or the environment names it."""

import urllib.request

from urllib3.util import parse_url


def find_proxy(scheme: str, host: str, proxy_url: str) -> str:
    """The URL of the proxy for a host, or "".

    `proxy_url` is the setting's, which counts for every host that NO_PROXY does not name; without
    it HTTPS_PROXY and HTTP_PROXY do, which botocore follows for AWS.
    """
    proxies = urllib.request.getproxies_environment()
    # typeshed lacks it
    bypass = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]
    if bypass(host, proxies):
        return ""
    return proxy_url or proxies.get(scheme, "")


def without_password(proxy_url: str) -> str:
    """The proxy's scheme, host and port."""
    url = parse_url(proxy_url)
    return f"{url.scheme}://{url.host}" + (f":{url.port}" if url.port else "")
