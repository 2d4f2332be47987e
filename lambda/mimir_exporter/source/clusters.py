"""The names of the clusters that a metric has, as far as the server lists them.

Nothing depends on the list being whole: see parts.py. It is of the metric's own series, because
one server may hold the clusters of other systems too (Elasticsearch, Kafka), and each of those
would cost a query. Where it is refused or empty, a query counts the series by cluster.
"""

from collections.abc import Callable, Iterable, Sequence

from ..catalog.metrics import Metric
from ..errors import QueryError, StopRunError
from ..settings.settings import Settings
from ..timeline.windows import Window
from .api import Mimir
from .parts import EVERYTHING, ClusterSet, Part

Ask = Callable[[], Iterable[str]]
# Asks, and again where only waiting helps.
Retry = Callable[[Ask], Iterable[str]]


class ClusterNames:
    """Lists the values of the cluster label. A list may lack some; "" is never in it."""

    def __init__(self, settings: Settings, mimir: Mimir) -> None:
        self._label = settings.cluster_label
        self._mimir = mimir

    def of_window(self, metric: Metric, window: Window, part: Part, retry: Retry) -> Sequence[str]:
        """The clusters of a window, those that ended within the query's range before it too."""
        names = self._label_values(metric, window, EVERYTHING, retry)
        return names or self._counted(metric, part, retry)

    def discover(self, metric: Metric, window: Window, part: Part, retry: Retry) -> Sequence[str]:
        """Clusters of a complement that an earlier list lacked; empty where none are found."""
        names = self._label_values(metric, window, part.clusters, retry)
        return [name for name in names if name in part.clusters] or self._counted(
            metric, part, retry
        )

    def _label_values(
        self, metric: Metric, window: Window, clusters: ClusterSet, retry: Retry
    ) -> Sequence[str]:
        # A query looks back, so its first steps may hold a series that ended before the window.
        begin = max(0, window.start - metric.look_back_s)
        selectors = metric.selectors(self._label, clusters.matchers(self._label))
        # A server that refuses selectors there may list the values of all series.
        for match in dict.fromkeys((selectors, ())):
            names = _ask(
                retry,
                lambda match=match: self._mimir.label_values(  # type: ignore[misc]
                    self._label, begin, window.end, match
                ),
            )
            if names is not None:
                return names
        return ()

    def _counted(self, metric: Metric, part: Part, retry: Retry) -> Sequence[str]:
        """As an instant query has them at a part's ends, from all that a query reaches."""
        matchers = part.clusters.matchers(self._label)
        names: set[str] = set()
        for moment in sorted({part.first, part.last}):
            names.update(
                _ask(retry, lambda at=moment: self._count(metric, matchers, at)) or ()  # type: ignore[misc]
            )
        return sorted(names)

    def _count(self, metric: Metric, matchers: str, moment: int) -> list[str]:
        found = self._mimir.count_by(self._label, metric.promql(self._label, matchers), moment)
        return [name for name in found if name]


def _ask(retry: Retry, ask: Ask) -> list[str] | None:
    """What it gives, without ""; None where it is refused."""
    try:
        return [name for name in retry(ask) if name]
    except (QueryError, StopRunError):
        # Also a gateway that lets only queries through: one of those fails with a better reason.
        return None
