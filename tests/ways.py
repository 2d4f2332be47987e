"""The ways in which people scrape a cluster, each by its name."""

from dataclasses import replace

from tests.scraping import Scrape, Way

KUBELET = Scrape(
    {
        "job": "kubelet",
        "instance": "{ip}:10250",
        "node": "{name}",
        "metrics_path": "/metrics/cadvisor",
        "service": "kubelet",
        "endpoint": "https-metrics",
    },
    honor_labels=True,
)
STATE = Scrape(
    {"job": "kube-state-metrics", "instance": "10.2.0.9:8080", "service": "ksm"},
    offset_s=31,
    honor_labels=True,
)
# The target of a Service with pods behind it, as prometheus-operator makes it.
OF_A_POD = {"namespace": "monitoring", "pod": "ksm-0", "container": "kube-state-metrics"}
OPENCOST = Scrape(
    {
        "job": "opencost",
        "instance": "10.2.0.8:9003",
        "namespace": "opencost",
        "pod": "opencost-7d",
        "container": "opencost",
    },
    offset_s=44,
)
USUAL = Way(kubelet=(KUBELET,), state=(STATE,))


def having(scrape: Scrape, **labels: str) -> Scrape:
    """The same target with other labels; an empty one is none."""
    merged = {**scrape.labels, **labels}
    return replace(scrape, labels={name: value for name, value in merged.items() if value})


def _pair(scrape: Scrape, label: str = "prometheus_replica") -> tuple[Scrape, ...]:
    """By two Prometheus, which scrape at other times."""
    other = (scrape.offset_s + 27) % scrape.interval_s
    return having(scrape, **{label: "r-0"}), replace(
        having(scrape, **{label: "r-1"}), offset_s=other
    )


def _slow(scrape: Scrape, interval_s: float) -> Scrape:
    return replace(scrape, interval_s=interval_s)


def _not_honored(scrape: Scrape, **labels: str) -> Scrape:
    return replace(having(scrape, **labels), honor_labels=False)


RESOURCE = replace(having(KUBELET, metrics_path="/metrics/resource"), offset_s=23)
NO_NODE = having(KUBELET, node="")
BOTH = replace(USUAL, state=_pair(STATE))
# In these the sums are right with the default settings.
WAYS: dict[str, Way] = {
    "usual": USUAL,
    "ha-pair": replace(BOTH, kubelet=_pair(KUBELET)),
    "ha-pair-unknown-label": Way(_pair(KUBELET, "replica_of"), state=_pair(STATE, "replica_of")),
    "two-jobs": replace(USUAL, kubelet=(KUBELET, replace(having(KUBELET, job="k"), offset_s=50))),
    "dual-stack": replace(
        USUAL, kubelet=(KUBELET, replace(having(KUBELET, instance="[{ip6}]:10250"), offset_s=8))
    ),
    "resource-beside": replace(USUAL, resource=(RESOURCE,)),
    "resource-same-labels": replace(
        USUAL,
        kubelet=(having(KUBELET, metrics_path=""),),
        resource=(having(RESOURCE, metrics_path=""),),
    ),
    "resource-alone": Way(resource=(RESOURCE,), state=(STATE,)),
    "ksm-not-honored": replace(USUAL, state=(_not_honored(STATE, **OF_A_POD),)),
    "ksm-not-honored-node": replace(
        USUAL, state=(_not_honored(STATE, namespace="monitoring", node="ip-10-1-0-1.ec2.internal"),)
    ),
    "kubelet-not-honored": replace(
        USUAL, kubelet=(_not_honored(KUBELET, namespace="kube-system"),)
    ),
    "nothing-honored-ha": Way(
        kubelet=_pair(_not_honored(KUBELET, namespace="kube-system", node="")),
        state=_pair(_not_honored(STATE, **OF_A_POD)),
    ),
    "opencost-copies": replace(USUAL, opencost=(OPENCOST,)),
    "opencost-honored": replace(USUAL, opencost=(replace(OPENCOST, honor_labels=True),)),
    "opencost-only-copies-honored": Way(
        kubelet=(KUBELET,), state=(_not_honored(STATE, **OF_A_POD),), opencost=(OPENCOST,)
    ),
    "no-node-label": replace(USUAL, kubelet=(NO_NODE,)),
    "instance-is-the-node": replace(USUAL, kubelet=(having(NO_NODE, instance="{name}"),)),
    "no-node-label-ipv6": replace(USUAL, kubelet=(having(NO_NODE, instance="[{ip6}]:10250"),)),
    "no-node-label-ha": replace(BOTH, kubelet=_pair(NO_NODE)),
    "node-label-by-one-job": replace(
        USUAL, kubelet=(KUBELET, replace(having(NO_NODE, job="other"), offset_s=40))
    ),
    "no-ids": replace(BOTH, kubelet=_pair(replace(KUBELET, drop=("id", "name", "image")))),
    "labels-of-the-node": replace(
        USUAL,
        kubelet=(having(NO_NODE, instance="{name}", topology_kubernetes_io_zone="a", arch="arm"),),
    ),
    "two-state-metrics": replace(
        USUAL,
        state=(STATE, replace(having(STATE, instance="10.2.0.10:8080"), offset_s=2)),
        other_state=(replace(having(STATE, job="ksm-two", instance="10.2.0.7:8080"), offset_s=9),),
    ),
    "old-state-metrics-beside": replace(
        USUAL,
        old_state=(replace(having(STATE, job="ksm-old", instance="10.2.0.7:8080"), offset_s=9),),
    ),
    "every-15-seconds": Way(kubelet=(_slow(replace(KUBELET, offset_s=4), 15),), state=(STATE,)),
    "every-2-minutes": Way(kubelet=(_slow(KUBELET, 120),), state=(_slow(STATE, 120),)),
    "ha-pair-of-15-and-60": replace(
        USUAL,
        kubelet=(
            _slow(replace(having(KUBELET, replica="a"), offset_s=4), 15),
            having(KUBELET, replica="b"),
        ),
    ),
}
# Right with a longer RATE_RANGE.
SLOW_WAYS: dict[str, Way] = {
    "every-4-minutes": Way(kubelet=(_slow(KUBELET, 240),), state=(_slow(STATE, 240),)),
}
