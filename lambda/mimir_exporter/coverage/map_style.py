"""The colours of the coverage map, in light and dark.

Blue against orange and vermilion can be told apart with any colour vision, and every state that
needs an operator has a sign of its own besides.
"""

from dataclasses import dataclass

from .states import State


@dataclass(frozen=True)
class Look:
    """How a state's cell looks. `sign` is the shape drawn on it."""

    slug: str
    light: str
    dark: str
    sign: str = ""


# In the order of the legend.
LOOKS = {
    State.EXPORTED: Look("exported", "#4795cf", "#3d83bb"),
    State.AUDITED: Look("audited", "#2f74ab", "#62a5d8"),
    State.UNAUDITABLE: Look("unauditable", "#7f9bb3", "#587a99", "dot"),
    State.SOURCE_UNSTABLE: Look("unstable", "#6f7fc4", "#8d9be0", "slash"),
    State.EMPTY: Look("empty", "#c4dff2", "#27587d"),
    State.REEXPORT_REQUESTED: Look("again", "#4795cf", "#3d83bb", "ring"),
    State.GAP: Look("gap", "#c5351b", "#ff6d55", "cross"),
    State.NOTHING_LEFT: Look("nothingleft", "#a02060", "#f06fae", "bar"),
    State.MISSED_PAST_RETENTION: Look("lapsed", "#8c3d6b", "#d78cba", "cross"),
    State.IN_PART: Look("inpart", "#d9662b", "#f08a4b", "half"),
    State.UNCONFIRMED: Look("unconfirmed", "#8fb8a4", "#4f8a70", "ring"),
    State.FAILED: Look("failed", "#ee9a3c", "#e58d35", "slash"),
    State.PENDING: Look("pending", "#f7e3ad", "#7d6a35", "ring"),
    State.IN_EXECUTION: Look("work", "#f3cf73", "#c99f3b", "dot"),
    State.ACCEPTED: Look("accepted", "#b9a3b2", "#6f5a68", "dash"),
    State.DELETED: Look("deleted", "#cfd4db", "#424b57", "dash"),
    State.BEFORE_BEGINNING: Look("before", "#eef0f3", "#222b37"),
    State.NOT_DUE: Look("notdue", "transparent", "transparent"),
}

_INK = {"light": "#16191f", "dark": "#e9edf2"}
_MUTED = {"light": "#5c6672", "dark": "#9aa7b5"}
_FAINT = {"light": "#dde1e7", "dark": "#2f3a48"}
_PAPER = {"light": "#ffffff", "dark": "#101820"}
_SIGN = {"light": "#ffffff", "dark": "#101820"}
_SIGN_ON_PALE = {"light": "#6b4e00", "dark": "#fff3d1"}

FONT = "'Amazon Ember','Open Sans','Helvetica Neue',Roboto,Arial,sans-serif"


def style_sheet(theme: str) -> str:
    """CSS for `light` or `dark`; for anything else, as for `auto`, what the reader's system
    prefers."""
    if theme in ("light", "dark"):
        return _rules(theme)
    return f"{_rules('light')}@media (prefers-color-scheme:dark){{{_rules('dark')}}}"


def _rules(theme: str) -> str:
    cells = "".join(
        f".cov-{look.slug}{{fill:{look.dark if theme == 'dark' else look.light}}}"
        for look in LOOKS.values()
    )
    pale = ",".join(f".cov-on-{LOOKS[state].slug}" for state in (State.PENDING, State.IN_EXECUTION))
    return (
        f".cov text{{font-family:{FONT};fill:{_INK[theme]}}}"
        f".cov .cov-muted{{fill:{_MUTED[theme]}}}"
        f".cov-paper{{fill:{_PAPER[theme]}}}"
        f".cov-notdue{{stroke:{_FAINT[theme]};stroke-width:1}}"
        f".cov-line{{stroke:{_FAINT[theme]};stroke-width:1}}"
        f".cov-now{{fill:none;stroke:{_INK[theme]};stroke-width:2}}"
        f".cov-here{{fill:{_INK[theme]}}}"
        f".cov-sign{{fill:none;stroke:{_SIGN[theme]};stroke-width:1.6;stroke-linecap:round}}"
        f"{pale}{{stroke:{_SIGN_ON_PALE[theme]}}}"
        f"{cells}"
    )
