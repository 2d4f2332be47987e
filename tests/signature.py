"""AWS's signature of a request (Signature Version 4), by hand.

By AWS's description (create a signed API request) and its test suite, not by botocore, which is
what the exporter signs with.
"""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlsplit


def canonical_request(
    method: str, url: str, headers: Mapping[str, str], signed: str, body: bytes
) -> str:
    parts = urlsplit(url)
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return "\n".join(
        [
            method,
            quote(quote(parts.path, safe="/-_.~"), safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(headers[name].split())}" for name in signed.split(";")),
            "",
            signed,
            hashlib.sha256(body).hexdigest(),
        ]
    )


def signature(secret: str, region: str, service: str, moment: str, request: str) -> str:
    def keyed(key: bytes, text: str) -> bytes:
        return hmac.new(key, text.encode(), hashlib.sha256).digest()

    key = f"AWS4{secret}".encode()
    for part in (moment[:8], region, service, "aws4_request"):
        key = keyed(key, part)
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    return keyed(key, f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}").hex()
