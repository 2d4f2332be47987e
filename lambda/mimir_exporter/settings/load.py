"""The settings of this process, from its variables: each checked alone, then with the others."""

from collections.abc import Mapping

from ..errors import SettingsError
from ..errors import settings as errors
from ..timeline.windows import DAY_S
from .credentials import SECRET_NAMES, Credentials
from .rows import read_table
from .settings import ROWS, Settings


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read every variable. An empty one counts as absent.

    Raises SettingsError, one sentence that names the setting, the value and what is expected;
    secrets are checked but never quoted.
    """
    settings = read_table(Settings, lambda row: environ.get(row.name, "").strip())
    _check_grid(settings)
    _check_pairs(settings)
    if not settings.auth_secret_arn:
        Credentials.from_values(
            {name: environ.get(name, "") for name in SECRET_NAMES}, "the environment"
        )
    return settings


def refuse_future(settings: Settings, now: float) -> None:
    """A date to begin from that is still to come would be taken for now, and days would be missing
    that were meant by a slip of the year. `now` is unix seconds. Raises SettingsError."""
    date = settings.initial_backfill
    if date is not None and date.timestamp() > now:
        raise errors.INVALID_VALUE(
            name=ROWS["INITIAL_BACKFILL_DATE"].spelling,
            shown=date.isoformat(),
            expected="a date that is not in the future",
        )


def _check_grid(settings: Settings) -> None:
    step_s, frame_s = settings.query_step_s, settings.time_frame_s
    if not 1 <= step_s <= DAY_S or DAY_S % step_s:
        raise errors.INVALID_VALUE(
            name=ROWS["QUERY_STEP"].spelling,
            shown=f"{step_s} s",
            expected="a number of seconds that divides a day, such as 15, 30, 60 or 300, so that "
            "every day has the same steps",
        )
    if not step_s <= frame_s <= DAY_S or frame_s % step_s:
        raise errors.INVALID_VALUE(
            name=ROWS["TIME_FRAME"].spelling,
            shown=f"{frame_s} s",
            expected=f"a multiple of QUERY_STEP ({step_s} s) up to 86400",
        )


def _check_pairs(settings: Settings) -> None:
    """Settings that mean nothing without another one."""
    if settings.role_external_id and not settings.role_arn:
        raise _lacking("ROLE_EXTERNAL_ID", "ROLE_ARN")
    if settings.sigv4_role_arn and not settings.sigv4_region:
        raise _lacking("SIGV4_ROLE_ARN", "SIGV4_REGION")
    if settings.ca_bundle and settings.scheme != "https":
        raise errors.CONFLICTING_SETTINGS(
            problem=f"{ROWS['CA_BUNDLE'].spelling} is set, and {ROWS['SCHEME'].spelling} is http",
            change="set SCHEME=https",
        )


def _lacking(given: str, missing: str) -> SettingsError:
    return errors.CONFLICTING_SETTINGS(
        problem=f"{ROWS[given].spelling} is set, and {ROWS[missing].spelling} is not",
        change="set both or neither",
    )
