"""This machine's clock beside S3's."""

import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from ..errors import storage as errors
from ..timeline.clock import CLOCK_OFF_S
from ..timeline.windows import iso

# Ours may be ahead by less: by more than SETTLE_TIME, and the newest window would be exported
# before it is over.
CLOCK_AHEAD_S = 5 * 60


def check_clock(date: str | None) -> None:
    """Compare this machine's clock with the `Date` of an answer of S3.

    Raises StopRunError where they differ too much. A run a year ahead would record a year of
    windows as exported without a single series, and delete every file as too old; what retention
    deletes cannot be restored, since Mimir forgets too. S3 refuses such requests by itself; others
    that speak its protocol do not look.
    """
    try:
        there = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return  # says no time, or none that can be read
    here = time.time()
    if not -CLOCK_OFF_S <= here - there <= CLOCK_AHEAD_S:
        raise errors.CLOCK_SKEW(seconds=abs(here - there), here=iso(here), there=iso(there))


def ask_date(url: str, ca_bundle: str, timeout_s: float) -> str | None:
    """The `Date` of S3's answer to a request that is not signed and names no bucket.

    None where there is no answer: the next request says what is wrong, and better.
    """
    import urllib3  # noqa: PLC0415 - not for a folder in the place of the bucket
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}/"
    proxy = _proxy_for(parts.scheme, parts.hostname or "")
    ca_certs = ca_bundle or None
    pool = (
        urllib3.ProxyManager(proxy, ca_certs=ca_certs)
        if proxy
        else urllib3.PoolManager(ca_certs=ca_certs)
    )
    try:
        answer = pool.request("HEAD", origin, timeout=timeout_s, retries=False, redirect=False)
    except (HTTPError, OSError):
        return None
    finally:
        pool.clear()
    return answer.headers.get("Date")


def _proxy_for(scheme: str, host: str) -> str | None:
    """The proxy that the environment names, as botocore and obstore read it."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - as above

    return None if proxy_bypass(host) else getproxies().get(scheme)
