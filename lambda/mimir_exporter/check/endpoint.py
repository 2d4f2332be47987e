"""Who we are, who answers, whether it is ready, and its certificate and its clock."""

import time
from email.utils import parsedate_to_datetime

from ..errors import ExportError, OutOfTimeError
from ..runs.context import RunContext
from ..source.retry import with_retries
from ..source.secret import describe_credentials
from ..timeline.windows import iso
from .findings import Findings

# Clock skew above this shifts the newest window.
SKEW_S = 60
# So long before a certificate expires those that renew themselves have been renewed.
RENEW_DAYS = 14


def check_credentials(context: RunContext, findings: Findings) -> bool:
    """Whether there are credentials to ask with, or none are needed."""
    try:
        credentials = describe_credentials(context.settings, context.credentials)
    except ExportError as error:
        findings.add_error("credentials", error)
        return False
    if credentials and not _goes_in_clear_text(context):
        findings.add("ok", "credentials", credentials)
    elif credentials:
        findings.add(
            "warning",
            "credentials",
            f"{credentials}; sent unencrypted, as SCHEME is http",
            "set SCHEME=https if the endpoint, or a proxy in front of it, supports HTTPS",
        )
    else:
        findings.add(
            "warning",
            "credentials",
            f"the secret {context.settings.auth_secret_arn} is empty: queries carry no credentials "
            "and no tenant",
            "fill it with the command of the stack's output SecretCommand; no action needed if the "
            "endpoint requires neither",
        )
    return True


def check_endpoint(context: RunContext, findings: Findings) -> bool:
    """Whether it can be asked for more."""
    share_s = context.deadline.remaining_s() / 3
    try:
        with context.mimir.within(share_s):
            ready = with_retries(context.mimir.find_ready, context.deadline, jitter=context.jitter)
    except OutOfTimeError:
        findings.add(
            "error",
            "endpoint",
            f"{context.settings.origin} is reachable and timed out after {share_s:.0f} s",
            "check that HOSTNAME and PORT are the query frontend's, and look at its load",
        )
        return False
    except ExportError as error:
        findings.add_error("endpoint", error)
        return False
    before = f"; before it {', '.join(ready.before)}" if ready.before else ""
    findings.add(
        "ok", "endpoint", f"{context.settings.origin} is ready: {ready.path} says so{before}"
    )
    _check_server(context, findings)
    _check_certificate(context, findings)
    _check_clock(context, findings)
    return True


def _check_server(context: RunContext, findings: Findings) -> None:
    try:
        with context.mimir.within(context.deadline.remaining_s() / 3):
            info = context.mimir.build_info()
    except ExportError as error:
        findings.add_error("server", error)
        return
    # Mimir reports what it is; Prometheus and those that copy its answer have only a version.
    name = info.get("application", "Prometheus API")
    said = f"{name} {info.get('version', '')}".strip()
    findings.add("ok", "server", said if info else "does not say what it is")


def _check_certificate(context: RunContext, findings: Findings) -> None:
    ends = context.mimir.certificate_ends
    if ends is None:
        return
    days = int((ends - time.time()) // 86_400)
    date = iso(int(ends))[:10]
    if days >= RENEW_DAYS:
        findings.add("ok", "certificate", f"verified, valid until {date}")
    else:
        findings.add(
            "warning",
            "certificate",
            f"expires on {date}, in {days} days",
            "renew it on the server: past that day nothing is exported",
        )


def _check_clock(context: RunContext, findings: Findings) -> None:
    if context.mimir.date is None:
        return
    text, came = context.mimir.date
    try:
        skew_s = parsedate_to_datetime(text).timestamp() - came
    except ValueError:
        return
    found = f"clock skew: the endpoint is {abs(skew_s):.0f} s {'ahead' if skew_s > 0 else 'behind'}"
    if abs(skew_s) <= SKEW_S:
        # The header has whole seconds.
        findings.add("ok", "clock", f"clock skew {abs(skew_s) + 1:.0f} s at most")
    else:
        findings.add(
            "warning",
            "clock",
            found,
            "synchronize the clock of the endpoint's hosts, or of the proxy in front of it (NTP): "
            "windows follow the function's clock",
        )


def _goes_in_clear_text(context: RunContext) -> bool:
    """Whether anybody on the way can read the credentials. A tenant is none."""
    credentials = context.credentials.get()
    return context.settings.scheme == "http" and (
        credentials.method != "none" or bool(credentials.http_headers)
    )
