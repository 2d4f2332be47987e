"""The looks and the layout of the coverage map, in light and dark.

Blue against orange and vermilion can be told apart with any colour vision, and every state that
needs an operator has a sign of its own besides.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .hours import SILENT
from .states import State


@dataclass(frozen=True)
class Look:
    """How a state's cell looks. `sign` is the shape drawn on it."""

    slug: str
    light: str
    dark: str
    sign: str = ""


# In the order of the legend.
LOOKS: Mapping[str, Look] = {
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
    SILENT: Look("silent", "#b06a00", "#e0a030", "bang"),
    State.FAILED: Look("failed", "#ee9a3c", "#e58d35", "slash"),
    State.PENDING: Look("pending", "#f7e3ad", "#7d6a35", "ring"),
    State.IN_EXECUTION: Look("work", "#f3cf73", "#c99f3b", "dot"),
    State.ACCEPTED: Look("accepted", "#b9a3b2", "#6f5a68", "dash"),
    State.DELETED: Look("deleted", "#cfd4db", "#424b57", "dash"),
    State.BEFORE_BEGINNING: Look("before", "#eef0f3", "#222b37"),
    State.NOT_DUE: Look("notdue", "transparent", "transparent"),
}

# Each in a square of 10 by 10.
SIGNS = {
    "cross": "M2 2L8 8M8 2L2 8",
    "slash": "M2 8L8 2",
    "half": "M2 8H8V5",
    "dash": "M2 5H8",
    "bar": "M5 2V8",
    "bang": "M5 1V6M5 8.6V9",
    "ring": "M5 2.4A2.6 2.6 0 1 1 4.99 2.4",
    "dot": "M5 4.4A.6 .6 0 1 1 4.99 4.4",
    "tick": "M2.4 5.2L4.4 7.2L7.8 3.2",
}

_INK = {"light": "#16191f", "dark": "#e9edf2"}
_MUTED = {"light": "#5c6672", "dark": "#9aa7b5"}
_FAINT = {"light": "#dde1e7", "dark": "#2f3a48"}
_SIGN = {"light": "#ffffff", "dark": "#101820"}
_SIGN_ON_PALE = {"light": "#6b4e00", "dark": "#fff3d1"}

FONT = "'Amazon Ember','Open Sans','Helvetica Neue',Roboto,Arial,sans-serif"


def style_sheet(theme: str) -> str:
    """CSS for `light` or `dark`; for anything else, as for `auto`, what the reader's system
    prefers."""
    if theme in ("light", "dark"):
        return _LAYOUT + _rules(theme)
    dark = f"@media (prefers-color-scheme:dark){{{_rules('dark')}}}"
    return f"{_LAYOUT}{_rules('light')}{dark}"


# What does not depend on the theme. A row is as high as the room allows: its label takes no part in
# that. Container queries thin out the labels where there is little room; a browser without them
# shows all.
_LAYOUT = (
    ".cov{box-sizing:border-box;max-width:100%;display:flex;flex-direction:column;gap:6px;"
    f"overflow:hidden;container:cov/size;text-align:left;font:13px/1.3 {FONT}}}"
    ".cov p,.cov i{margin:0;font-style:normal}"
    ".cov svg{height:64%;max-height:10px;aspect-ratio:1;overflow:visible}"
    ".cov path{fill:none;stroke-width:1.6;stroke-linecap:round;vector-effect:non-scaling-stroke}"
    ".cov i{display:flex;align-items:center;justify-content:center;min-width:0;min-height:0}"
    ".cov-head{flex:none;max-height:45%;overflow:hidden;position:relative;padding-left:28px}"
    ".cov-head strong{font-size:18px;line-height:22px;font-weight:600}"
    ".cov-head p.cov-muted{font-size:12px}"
    ".cov-spare{float:right;height:24px}"
    ".cov .cov-badge{position:absolute;left:0;top:2px;width:18px;height:18px;border-radius:50%}"
    ".cov-body{flex:1;min-height:0;display:flex;gap:20px}"
    ".cov-room{flex:1 1 60%;min-width:0;min-height:60px;container:room/size}"
    ".cov-grid{height:100%;display:grid;gap:1px 1.5px;"
    "grid-template-columns:auto repeat(24,minmax(0,1fr))}"
    ".cov-grid i{border-radius:2px}"
    ".cov-grid .cov-week{grid-column:1/-1}"
    ".cov-day,.cov-hour{font-size:11px;white-space:nowrap}"
    ".cov-day{align-self:center;height:0;line-height:0;text-align:right;padding-right:6px}"
    ".cov-hour{line-height:14px;width:0}"
    ".cov-today{font-weight:600}"
    ".cov-list{flex:0 0 30%;min-height:0;overflow-y:auto;font-size:12px}"
    ".cov-list p{position:relative;padding:4px 4px 2px 20px}"
    ".cov-list b{font-weight:600}"
    ".cov .cov-key{width:12px;height:12px;border-radius:2px}"
    ".cov-list .cov-key{position:absolute;left:0;top:6px}"
    ".cov-legend{flex:none;display:flex;flex-wrap:wrap;gap:2px 16px;font-size:12px}"
    ".cov-legend span{display:flex;gap:6px;align-items:center}"
    "@container cov (max-width:800px){.cov-body{flex-direction:column;gap:6px}"
    ".cov-list{flex:0 1 auto;max-height:40%}}"
    "@container cov (max-width:560px){.cov-head strong{font-size:15px;line-height:18px}}"
    "@container cov (max-height:460px){.cov-head .cov-muted{display:none}}"
    "@container cov (max-height:320px){.cov-legend,.cov-list{display:none}}"
    "@container room (max-width:560px){.cov-every1{visibility:hidden}}"
    "@container room (max-width:320px){.cov-every3{visibility:hidden}}"
    "@container room (max-height:380px){.cov-between:not(.cov-today){visibility:hidden}}"
    "@container room (max-height:200px){.cov-between{visibility:hidden}}"
)


def _rules(theme: str) -> str:
    cells = "".join(
        f".cov-{look.slug}{{background:{look.dark if theme == 'dark' else look.light}}}"
        for look in LOOKS.values()
    )
    pale = ",".join(
        f".cov-{LOOKS[state].slug} path" for state in (State.PENDING, State.IN_EXECUTION)
    )
    return (
        f".cov,.cov p{{color:{_INK[theme]}}}"
        f".cov .cov-muted{{color:{_MUTED[theme]}}}"
        f".cov path{{stroke:{_SIGN[theme]}}}"
        f"{pale}{{stroke:{_SIGN_ON_PALE[theme]}}}"
        f"{cells}"
        f".cov-notdue{{box-shadow:inset 0 0 0 1px {_FAINT[theme]}}}"
        f".cov .cov-now{{box-shadow:inset 0 0 0 2px {_INK[theme]}}}"
    )
