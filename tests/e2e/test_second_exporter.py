"""Two exporters from one checkout, in one account, region, bucket and prefix: neither meets the
other. The second reaches the bucket through a role with an external id."""

from localcloud.aws import Cloud
from mimir_exporter.catalog.metrics import load_catalog
from tests.compare import Contract, compare
from tests.e2e.deployed import (
    PREFIX,
    SECOND_HOURS,
    SETTLE_TIME_S,
    TIME_FRAME_S,
    Deployed,
    catch_up,
    on_border,
    versions,
)

OWN_FOLDERS = {"apac", "second"}


def test_it_exports_all_of_its_own_mimir(second: Deployed) -> None:
    (result,) = second.results
    assert result["outcome"] == "complete", result
    catch_up(second)
    exporter = second.exporter
    end = on_border(second.last_s - SETTLE_TIME_S)
    objects = {
        key: exporter.read(key)
        for key in exporter.list_keys()
        if folder_of(key) in OWN_FOLDERS and key.endswith(".json.gz")
    }
    contract = Contract(prefix=PREFIX, cluster_name="second", time_frame_s=TIME_FRAME_S)
    differences = compare(
        second.prometheus.query_range,
        objects.items(),
        catalogue={metric.name: metric.promql(contract.cluster_label) for metric in load_catalog()},
        start=on_border(second.first_s - SECOND_HOURS * 3600),
        end=end,
        contract=contract,
    )
    assert differences == []
    assert {folder_of(key) for key in objects} == OWN_FOLDERS


def test_it_leaves_the_first_one_s_objects_alone(deployed: Deployed, second: Deployed) -> None:
    """The first one's own runs since may have written more, and its checkpoint anew."""
    after = versions(second.exporter)
    files = {key: tag for key, tag in second.before.items() if key.endswith(".json.gz")}
    assert files
    assert {key: after.get(key) for key in files} == files
    assert not {folder_of(key) for key in second.before} & OWN_FOLDERS
    assert {folder_of(key) for key in after} >= OWN_FOLDERS


def test_the_first_one_leaves_the_second_one_s_alone(deployed: Deployed, second: Deployed) -> None:
    own = of_second(versions(deployed.exporter))
    deployed.exporter.invoke()
    assert of_second(versions(deployed.exporter)) == own


def test_no_resource_of_one_is_the_other_s(deployed: Deployed, second: Deployed) -> None:
    first, other = (
        resources(deployed.cloud, name) for name in ("MimirExporter", stack_name(second))
    )
    assert first
    assert other
    assert first & other == set()


def test_each_tells_whose_lines_and_metrics_are_its_own(
    deployed: Deployed, second: Deployed
) -> None:
    """The dimension of a metric is the stack's name, so that no alarm counts the other's runs."""
    for made, name in ((deployed, "MimirExporter"), (second, stack_name(second))):
        assert {line["service"] for line in made.exporter.log_events()} == {name}
        lines = list(made.exporter.metric_events())
        assert lines
        for line in lines:
            (directive,) = line["_aws"]["CloudWatchMetrics"]
            assert directive["Dimensions"] == [["service"]]
            assert line["service"] == name


def test_each_has_a_schedule_of_its_own(deployed: Deployed, second: Deployed) -> None:
    scheduler = deployed.cloud.session.client("scheduler", **deployed.cloud.where)
    targets = [
        scheduler.get_schedule(Name=one["Name"], GroupName=one["GroupName"])["Target"]["Arn"]
        for one in scheduler.list_schedules()["Schedules"]
    ]
    names = [arn.rpartition(":")[2] for arn in targets]
    assert sorted(names) == sorted(made.exporter.function_name for made in (deployed, second))


def of_second(found: dict[str, str]) -> dict[str, str]:
    return {key: tag for key, tag in found.items() if folder_of(key) in OWN_FOLDERS}


def folder_of(key: str) -> str:
    return key.removeprefix(f"{PREFIX}/").partition("/")[0]


def stack_name(made: Deployed) -> str:
    return made.settings["stack_name"]


def resources(cloud: Cloud, stack: str) -> set[tuple[str, str]]:
    """Type and physical id of everything in a stack."""
    found = cloud.list_resources(stack)
    return {(kind, name) for kind, name in found if kind != "AWS::CDK::Metadata"}
