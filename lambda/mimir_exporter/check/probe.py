"""Queries of the check: small answers, and a share of the remaining time for each."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ..catalog.metrics import label_in_promql
from ..errors import OutOfTimeError
from ..errors.runs import OUT_OF_TIME
from ..errors.source import QUERY_TIMED_OUT
from ..runs.context import RunContext

T = TypeVar("T")

# Of one question. What takes longer to count than this will be slow to export too.
LIMIT_S = 30.0
# Of what is left: so each slow answer leaves two thirds of the time to the others.
SHARE = 3
LEAST_S = 0.5


class Probe:
    """Instant queries, label names, the time of a range query: each within its share of the time.

    All of them raise the errors of `Mimir`; OutOfTimeError only where no time is left at all.
    """

    def __init__(self, context: RunContext) -> None:
        self._mimir = context.mimir
        self._deadline = context.deadline
        self._label = context.settings.cluster_label
        self.now = context.now()
        # What is exported is as old as this; younger samples are still on their way.
        self.evaluation_time = self.now - context.settings.settle_time_s
        # What a run has, or nearly: the check itself has just begun.
        self.budget_s = context.deadline.remaining_s()

    def count(self, promql: str, moment: int | None = None) -> dict[str, int]:
        """How many series `promql` has by cluster; "" has those without the cluster label."""
        found = self.values(f"count by ({label_in_promql(self._label)})({promql})", moment)
        return {cluster: int(value) for cluster, value in found.items()}

    def values(self, promql: str, moment: int | None = None) -> dict[str, float]:
        """The value for each cluster of a query that is grouped by the cluster label."""
        found = self._answer(
            lambda: self._mimir.query(promql, self.evaluation_time if moment is None else moment)
        )
        return {
            series["metric"].get(self._label, ""): float(series["value"][1]) for series in found
        }

    def labels(self, promql: str) -> list[dict[str, str]]:
        """The labels of each series; the query must see to it that these are few."""
        found = self._answer(lambda: self._mimir.query(promql, self.evaluation_time))
        return [series["metric"] for series in found]

    def has_series(self, promql: str) -> bool:
        """Whether there is any."""
        return bool(
            self._answer(lambda: self._mimir.query(f"count({promql})", self.evaluation_time))
        )

    def label_values_now(self, label: str, selector: str) -> list[str]:
        """The values of a label in the series selected."""
        found = self._answer(
            lambda: self._mimir.query(
                f"count by ({label_in_promql(label)})({selector})", self.evaluation_time
            )
        )
        return sorted(series["metric"].get(label, "") for series in found)

    def label_names(self, selector: str | None = None) -> list[str]:
        """The labels that series have now, or those selected."""
        return self._answer(
            lambda: self._mimir.label_names(
                self.evaluation_time - 600, self.evaluation_time, selector
            )
        )

    def first_moment(self, promql: str, begin: int, step_s: int) -> float | None:
        """About when, from `begin` on, a query without labels first has a value."""
        # A subquery, so that no range query's QUERY_DELAY has to be waited for.
        span_s = self.evaluation_time - begin
        promql = f"min_over_time(timestamp({promql})[{span_s}s:{step_s}s])"
        found = self._answer(lambda: self._mimir.query(promql, self.evaluation_time))
        return float(found[0]["value"][1]) if found else None

    def newest_sample(self, selector: str) -> float | None:
        """When the series selected last had one, within a day."""
        promql = f"max(max_over_time(timestamp({selector})[1d:5m]))"
        found = self._answer(lambda: self._mimir.query(promql, self.now))
        return float(found[0]["value"][1]) if found else None

    def work_s(self, promql: str, first: int, last: int, step_s: int) -> float:
        """How long the endpoint works on a range query, whose answer should be small."""

        def ask() -> float:
            self._mimir.wait_for_turn()
            begun = time.monotonic()
            with self._mimir.query_range(promql, first, last, step_s) as blocks:
                for _ in blocks:
                    pass
            return time.monotonic() - begun

        return self._answer(ask)

    def _answer(self, ask: Callable[[], T]) -> T:
        with self._share():
            return ask()

    @contextmanager
    def _share(self) -> Iterator[None]:
        left_s = self._deadline.remaining_s()
        share_s = min(LIMIT_S, left_s / SHARE)
        if share_s < LEAST_S:
            raise OUT_OF_TIME()
        try:
            with self._mimir.within(share_s):
                yield
        except OutOfTimeError as error:
            raise QUERY_TIMED_OUT(seconds=share_s) from error
