"""Who we are, who answers, whether it is ready, and its certificate and its clock."""

import time
from email.utils import parsedate_to_datetime

from ..compose import Tools, describe_login
from ..errors import ExportError, OutOfTimeError
from ..source.retry import with_retries
from ..timeline.windows import iso
from .findings import Findings

# A sample is asked for by its time; past this, the newest windows are others than one thinks.
SKEW_S = 60
# So long before a certificate expires those that renew themselves have been renewed.
RENEW_DAYS = 14


def look_at_login(tools: Tools, findings: Findings) -> bool:
    """Whether there is one to ask with, be it none."""
    try:
        login = describe_login(tools.settings)
    except ExportError as error:
        findings.add_error("login", error)
        return False
    if login:
        findings.add("ok", "login", login)
    else:
        findings.add(
            "warning",
            "login",
            f"the secret {tools.settings.auth_secret_arn} is empty: the endpoint is asked without "
            "a login and without a tenant",
            "fill it with the command of the stack's output SecretCommand; leave it where the "
            "endpoint wants neither",
        )
    return True


def look_at_endpoint(tools: Tools, findings: Findings) -> bool:
    """Whether it can be asked for more."""
    share_s = tools.deadline.remaining_s() / 3
    try:
        with tools.mimir.within(share_s):
            ready = with_retries(tools.mimir.find_ready, tools.deadline)
    except OutOfTimeError:
        findings.add(
            "error",
            "endpoint",
            f"{tools.settings.origin} can be reached and did not answer within {share_s:.0f} s",
            "check that HOSTNAME and PORT are the query frontend's, and look at its load",
        )
        return False
    except ExportError as error:
        findings.add_error("endpoint", error)
        return False
    before = f"; before it {', '.join(ready.before)}" if ready.before else ""
    findings.add(
        "ok", "endpoint", f"{tools.settings.origin} is ready: {ready.path} says so{before}"
    )
    _look_at_server(tools, findings)
    _look_at_certificate(tools, findings)
    _look_at_clock(tools, findings)
    return True


def _look_at_server(tools: Tools, findings: Findings) -> None:
    try:
        with tools.mimir.within(tools.deadline.remaining_s() / 3):
            info = tools.mimir.build_info()
    except ExportError as error:
        findings.add_error("server", error)
        return
    # Mimir says what it is; Prometheus and those that copy its answer only say a version.
    name = info.get("application", "Prometheus API")
    said = f"{name} {info.get('version', '')}".strip()
    findings.add("ok", "server", said if info else "does not say what it is")


def _look_at_certificate(tools: Tools, findings: Findings) -> None:
    ends = tools.mimir.certificate_ends
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


def _look_at_clock(tools: Tools, findings: Findings) -> None:
    if tools.mimir.date is None:
        return
    text, came = tools.mimir.date
    try:
        skew_s = parsedate_to_datetime(text).timestamp() - came
    except ValueError:
        return
    found = f"the endpoint's is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} ours"
    if abs(skew_s) <= SKEW_S:
        # The header has whole seconds.
        findings.add("ok", "clock", f"the endpoint's and ours agree to {abs(skew_s) + 1:.0f} s")
    else:
        findings.add(
            "warning",
            "clock",
            found,
            "set the time of the endpoint's hosts (or of the proxy in front of it): windows are "
            "cut by our clock",
        )
