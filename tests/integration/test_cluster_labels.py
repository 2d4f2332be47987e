"""Labels of clusters that are not plain names of one's own: in UTF-8, or one that a scrape adds."""

import gzip
import json
import re
from dataclasses import replace
from urllib.parse import quote, unquote, urlencode

import pytest

from localcloud.history import History
from localcloud.prometheus import find_prometheus, version_of
from localcloud.remote_write import Batch, RemoteWriter
from tests.conftest import MakePrometheus
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import CONTRACT, HOUR_S, LAST_END, NOW, Function
from tests.integration.faults import Answer, Exchange, Proxy

UTF_8 = ("k8s.cluster.name", "grappe/été")


def knows_utf_8(label: str) -> faults.Fault:
    """A Prometheus 3, made of one that is older: it knows `label`, in quotes, as its `cluster`."""
    spelled = json.dumps(label, ensure_ascii=False)

    def act(exchange: Exchange) -> None:
        request = exchange.request
        fields = request.fields
        for name in ("query", "match[]"):
            if name in fields:
                text = fields[name]
                # Bare it is no name there.
                assert not re.search(rf"(?<![\"\w]){re.escape(label)}(?![\"\w])", text), text
                fields[name] = text.replace(spelled, "cluster")
        target = request.target.partition("?")[0]
        target = target.replace(quote(label, safe=""), "cluster").replace(
            "U__grappe_2f__e9_t_e9_", "cluster"
        )
        is_post = request.method == "POST"
        body = urlencode(fields).encode() if is_post else b""
        exchange.request = replace(
            request,
            target=target if is_post else f"{target}?{urlencode(fields)}",
            headers={**request.headers, "content-length": str(len(body))},
            body=body,
        )
        whole = exchange.forward({"accept-encoding": "identity"})
        answer = whole.body.replace(b'"cluster":', spelled.encode() + b":")
        if target.endswith("/labels"):
            answer = answer.replace(b'"cluster"', spelled.encode())
        request.status = whole.status
        headers = {k: v for k, v in whole.headers.items() if k.lower() != "content-length"}
        exchange.send(Answer(whole.status, answer, headers))

    return act


def in_utf_8(proxy: Proxy, label: str) -> None:
    proxy.spoil(knows_utf_8(label), lambda r: "/api/v1/" in r.path)


@pytest.mark.parametrize("label", UTF_8)
def test_a_label_in_utf_8_splits_the_files(label: str, through: Function, proxy: Proxy) -> None:
    """Under the same keys as with the same clusters under a plain name."""
    named = through.with_env(CLUSTER_LABEL_NAME=label)
    in_utf_8(proxy, label)
    assert named.export()["outcome"] == "complete"
    folders = {key.split("/")[2] for key in named.file_keys()}
    assert folders - {"central"} == {"prod-eu", "prod-us", "staging"}
    (key,) = [key for key in named.file_keys() if "prod-eu" in key and "pod_info" in key]
    assert json.loads(gzip.decompress(named.read(key)))["data"]["result"][0]["metric"][label]
    # And is found to be so by the next run, whose metadata it is.
    assert (
        named.export({"action": "reexport", "start": LAST_END - HOUR_S, "end": LAST_END})["outcome"]
        == "complete"
    )


@pytest.mark.parametrize("label", UTF_8)
def test_a_label_in_utf_8_is_queried_by_cluster(
    label: str, through: Function, proxy: Proxy
) -> None:
    named = replace(through.with_env(CLUSTER_LABEL_NAME=label), metrics=("node_info",))
    spelled = json.dumps(label, ensure_ascii=False)
    refuse = faults.error(422, "err-mimir-max-series-per-query")
    proxy.spoil(
        refuse,
        lambda r: (
            r.is_query
            and f"{spelled}=" not in r.fields["query"]
            and f"{spelled}!" not in r.fields["query"]
        ),
    )
    in_utf_8(proxy, label)
    result = named.export()
    assert (result["outcome"], result["failures"]) == ("complete", [])
    assert len([r for r in proxy.queries if r.status == 200]) > 1
    listed = [r for r in proxy.requests if "/label/" in r.path]
    names = {unquote(r.path).removesuffix("/values").partition("/label/")[2] for r in listed}
    assert names == {"U__grappe_2f__e9_t_e9_" if "/" in label else label}


@pytest.mark.parametrize("is_refused_whole", [False, True])
@pytest.mark.parametrize("label", UTF_8)
def test_a_label_in_utf_8_at_a_prometheus_that_knows_it(
    label: str,
    is_refused_whole: bool,
    make_prometheus: MakePrometheus,
    make_proxy: MakeProxy,
    make_function: MakeFunction,
) -> None:
    if version_of(find_prometheus()) < (3, 0):
        pytest.skip("the Prometheus here is older than 3")
    source = make_prometheus(History(end_s=NOW, days=0.1, cluster_label=label))
    proxy = make_proxy(f"http://127.0.0.1:{source.port}")
    if is_refused_whole:
        spelled = json.dumps(label, ensure_ascii=False)
        proxy.spoil(
            faults.error(422, "err-mimir-max-series-per-query"),
            lambda r: r.is_query and not re.search(rf"{re.escape(spelled)}[=!]", r.fields["query"]),
        )
    function = make_function(PORT=str(proxy.port), CLUSTER_LABEL_NAME=label)
    result = function.export()
    assert (result["outcome"], result["failures"]) == ("complete", [])
    assert {key.split("/")[2] for key in function.file_keys()} > {"prod-eu", "prod-us", "staging"}
    assert function.differences(source, 1, contract=replace(CONTRACT, cluster_label=label)) == []


def test_check_recommends_a_label_in_utf_8_that_settings_take(
    through: Function, proxy: Proxy
) -> None:
    label = "k8s.cluster.name"
    in_utf_8(proxy, label)
    wrong = through.with_env(CLUSTER_LABEL_NAME="no_such_label")
    result = wrong.export({"action": "check"})
    (found,) = [one for one in result["findings"] if one["what"] == "cluster_label"]
    assert f"set CLUSTER_LABEL_NAME to {label}" in found["remedy"]
    right = wrong.with_env(CLUSTER_LABEL_NAME=label).export({"action": "check"})
    (found,) = [one for one in right["findings"] if one["what"] == "cluster_label"]
    # One cluster has no label at all; another name would not help it.
    assert f"have no label {label}" in found["summary"]
    assert "CLUSTER_LABEL_NAME" not in found["remedy"]


@pytest.mark.parametrize("label", ["prometheus", "job", "instance", "service", "replica", "uid"])
def test_a_label_that_the_catalogue_drops_tells_clusters_apart(
    label: str, make_prometheus: MakePrometheus, make_function: MakeFunction
) -> None:
    """Where it is the label of the clusters: each has a file of its own."""
    server = make_prometheus()
    times = [1000 * at for at in range(LAST_END - HOUR_S - 300, LAST_END, 60)]
    writer = RemoteWriter(server.write_url, server.headers)
    writer.send(
        Batch.of(
            {"__name__": name, label: cluster, "namespace": "pay", **own},
            times,
            [1.0 for _ in times],
        )
        for cluster in ("east", "west")
        for name, own in (
            ("kube_pod_labels", {"pod": "api", "label_app": "api"}),
            ("kube_node_labels", {"node": "n1", "label_zone": "a"}),
            ("kube_namespace_labels", {"label_team": "pay"}),
        )
    )
    names = ("pod_labels", "node_labels", "namespace_labels")
    function = replace(
        make_function(PORT=str(server.port), CLUSTER_LABEL_NAME=label), metrics=names
    )
    assert function.export()["outcome"] == "complete"
    folders = {tuple(key.split("/")[2:6:3]) for key in function.file_keys()}
    assert {(one, f"metric={name}") for one in ("east", "west") for name in names} == folders
