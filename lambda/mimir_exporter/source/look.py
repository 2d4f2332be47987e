"""A look at a few steps of a metric-window: whether there are series, or any answer at all."""

import random
import time
from collections.abc import Callable, Iterable, Iterator

from ..catalog.metrics import Metric
from ..errors import (
    OutOfTimeError,
    QueryError,
    RefusedError,
    TooLargeError,
    TooManySeriesError,
)
from ..settings.settings import Settings
from ..timeline.deadline import Deadline
from ..timeline.windows import Window
from .api import Mimir
from .retry import with_retries

# The ends of so many pieces of a window are looked at: a metric that has series has them most of
# the time.
LOOKS = 4
# For the count of one step: what takes longer is as good as no answer.
ANSWER_S = 30.0
# Of the queries that are asked at once: nginx takes 8 kB in a request's first line.
QUERY_BYTES = 4_000


class SeriesLook:
    """Counts the series of single steps."""

    def __init__(
        self,
        settings: Settings,
        mimir: Mimir,
        deadline: Deadline,
        *,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._mimir = mimir
        self._deadline = deadline
        self._sleep = sleep
        self._jitter = jitter

    def has_series(self, metric: Metric, window: Window) -> bool:
        """Whether the server has any series of this metric-window now. Raises QueryError,
        StopRunError, OutOfTimeError."""
        promql = self._promql(metric)
        steps = (window.last - window.start) // window.step_s
        moments = (
            window.start + steps * part // LOOKS * window.step_s for part in range(LOOKS + 1)
        )
        return any(self._finds(promql, moment) for moment in moments)

    def has_any(self, metrics: Iterable[Metric], moment: int) -> bool:
        """Whether the server has anything at a moment (unix seconds) of what these metrics are made
        of. Raises as `has_series` does."""
        label = self._settings.cluster_label
        reads = [
            selector
            for each in metrics
            for selector in each.selectors(label) or (each.promql(label),)
        ]
        asked = _packed(f"group({selector})" for selector in dict.fromkeys(reads))
        return any(self._finds(" or ".join(queries), moment) for queries in asked)

    def _finds(self, promql: str, moment: int) -> bool:
        """Whether the answer has series, or would have more than there may be."""

        def look() -> bool:
            self._mimir.wait_for_turn()
            return bool(self._mimir.query(promql, moment))

        try:
            return with_retries(look, self._deadline, sleep=self._sleep, jitter=self._jitter)
        except (TooLargeError, TooManySeriesError):
            return True

    def is_answered(self, metric: Metric | None, window: Window) -> bool:
        """Whether the server answers a range query of the last step, with series or without; where
        there is no metric, one of what every Prometheus records of itself. Not tried again. Raises
        StopRunError where no query can pass, OutOfTimeError."""
        self._mimir.wait_for_turn()
        try:
            with self._mimir.within(ANSWER_S):
                self._mimir.query_points(
                    self._promql(metric) if metric else "count(up)",
                    window.last,
                    window.last,
                    window.step_s,
                )
        except (TooLargeError, TooManySeriesError):
            return True  # it has looked at the series to know
        except (QueryError, RefusedError):
            return False
        except OutOfTimeError:
            self._deadline.check()
            return False
        return True

    def _promql(self, metric: Metric) -> str:
        return f"count({metric.promql(self._settings.cluster_label)})"


def _packed(queries: Iterable[str]) -> Iterator[list[str]]:
    """As many at once as QUERY_BYTES has room for."""
    part: list[str] = []
    for query in queries:
        if part and sum(map(len, part)) + len(query) > QUERY_BYTES:
            yield part
            part = []
        part.append(query)
    if part:
        yield part
