"""The saved queries of the template; tests/e2e asks them of real logs."""

from aws_cdk.assertions import Template

from infra.monitoring.queries import QUERIES
from tests.infra.conftest import Synthesize


def test_every_query_is_in_the_stack_s_folder_and_reads_both_functions_logs(
    template: Template,
) -> None:
    functions = template.find_resources("AWS::Lambda::Function").values()
    groups = [
        made["Properties"]["LoggingConfig"]["LogGroup"]
        for made in functions
        if made["Properties"]["Handler"].startswith("mimir_exporter.handler.")
    ]
    saved = [
        one["Properties"] for one in template.find_resources("AWS::Logs::QueryDefinition").values()
    ]
    assert {one["Name"]: one["QueryString"] for one in saved} == {
        f"MimirExporter/{query.name}": query.text for query in QUERIES
    }
    for one in saved:
        assert sorted(map(str, one["LogGroupNames"])) == sorted(map(str, groups))


def test_they_can_be_left_out(synthesize: Synthesize) -> None:
    synthesize(saved_queries=False).resource_count_is("AWS::Logs::QueryDefinition", 0)
