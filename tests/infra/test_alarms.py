"""Which alarms fire, where they are sent, and that their text says what to do."""

import json
from typing import Any

import pytest
from aws_cdk.assertions import Match, Template

from tests.infra.conftest import Synthesize

NAMES = {
    "NoSuccessfulRun",
    "LagTooLong",
    "WindowGivenUp",
    "ExportFunctionErrors",
    "ExportFunctionThrottled",
    "BackfillFunctionThrottled",
    "BackfillFailed",
    "BackfillTimedOut",
    "BackfillAborted",
    "DeadLetters",
}
TOPIC = "arn:aws:sns:eu-central-1:123456789012:oncall"
# References in a text mean a region, or names and addresses of at most about this length.
LONGEST_REGION, LONGEST_REFERENCE = 14, 110


def alarms_of(template: Template) -> dict[str, dict[str, Any]]:
    """Properties of every alarm by its name without the stack's."""
    found = [
        one["Properties"] for one in template.find_resources("AWS::CloudWatch::Alarm").values()
    ]
    return {one["AlarmName"].removeprefix("MimirExporter-"): one for one in found}


@pytest.fixture(scope="module")
def alarms(template: Template) -> dict[str, dict[str, Any]]:
    return alarms_of(template)


@pytest.fixture(scope="module")
def daily(synthesize: Synthesize) -> Template:
    """Runs once a day, and has its alarms sent elsewhere."""
    return synthesize(schedule_minutes=1440, alarm_topic_arn=TOPIC, alarm_lag_s=200_000)


def test_everything_that_needs_a_person_has_an_alarm(alarms: dict[str, dict[str, Any]]) -> None:
    assert set(alarms) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_alarm_is_heard_and_says_what_to_do(
    alarms: dict[str, dict[str, Any]], template: Template, name: str
) -> None:
    (topic,) = template.find_resources("AWS::SNS::Topic")
    assert alarms[name]["AlarmActions"] == alarms[name]["OKActions"] == [{"Ref": topic}]
    text = alarms[name]["AlarmDescription"]
    if name.endswith("Throttled"):
        assert "raise" in text  # there is no command for it
    else:
        assert "aws " in str(text) or "https://" in str(text)
    assert longest(text) <= 1024  # what CloudWatch takes


def longest(text: Any) -> int:
    """How many characters it may have once its references are filled in."""
    if isinstance(text, str):
        return len(text)
    if "Fn::Join" in text:
        return sum(map(longest, text["Fn::Join"][1]))
    return LONGEST_REGION if text == {"Ref": "AWS::Region"} else LONGEST_REFERENCE


def test_two_hours_without_a_word_are_a_missing_run(alarms: dict[str, dict[str, Any]]) -> None:
    alarm = alarms["NoSuccessfulRun"]
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 2 * 3600
    assert alarm["TreatMissingData"] == "breaching"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert alarm["Statistic"] == "Sum"


def test_a_run_that_did_not_take_place_changes_nothing_else(
    alarms: dict[str, dict[str, Any]],
) -> None:
    treatments = {name: alarm["TreatMissingData"] for name, alarm in alarms.items()}
    assert treatments["LagTooLong"] == treatments["WindowGivenUp"] == "ignore"
    assert [name for name, one in treatments.items() if one == "breaching"] == ["NoSuccessfulRun"]


def test_an_alarm_on_the_queue_ends_by_itself(alarms: dict[str, dict[str, Any]]) -> None:
    """Its messages stay for fourteen days."""
    alarm = alarms["DeadLetters"]
    assert (alarm["MetricName"], alarm["Statistic"]) == ("NumberOfMessagesSent", "Sum")
    assert alarm["TreatMissingData"] == "notBreaching"


def test_lag_fires_after_what_three_missed_runs_leave(alarms: dict[str, dict[str, Any]]) -> None:
    alarm = alarms["LagTooLong"]
    assert alarm["Threshold"] == 3600 + 600 + 4 * 1800
    # One run far behind, as the first after an outage is, is not enough.
    assert (alarm["Statistic"], alarm["Period"]) == ("Minimum", 3600)


def test_the_pace_of_alarms_follows_the_schedule(daily: Template) -> None:
    alarms = alarms_of(daily)
    assert alarms["NoSuccessfulRun"]["Period"] == 86_400
    assert alarms["LagTooLong"]["Threshold"] == 200_000
    for alarm in alarms.values():
        # CloudWatch looks back a week at most where a period is an hour or longer.
        assert alarm["Period"] * alarm["EvaluationPeriods"] <= 7 * 86_400


def test_alarms_are_on_this_stack_s_own_functions_machine_and_queue(
    alarms: dict[str, dict[str, Any]], template: Template
) -> None:
    functions = template.find_resources("AWS::Lambda::Function")
    entry_points = {
        name: one["Properties"]["Handler"].rpartition(".")[2] for name, one in functions.items()
    }
    (machine,) = template.find_resources("AWS::StepFunctions::StateMachine")
    (queue,) = template.find_resources("AWS::SQS::Queue")
    for name, alarm in alarms.items():
        (dimension,) = alarm["Dimensions"]
        value = dimension["Value"]
        match dimension["Name"]:
            case "service":
                assert value == "MimirExporter"
            case "FunctionName":
                assert entry_points[value["Ref"]] == name.partition("Function")[0].lower()
            case "StateMachineArn":
                assert value == {"Ref": machine}
            case "QueueName":
                assert value == {"Fn::GetAtt": [queue, "QueueName"]}
            case other:
                raise AssertionError(other)
    for one in functions.values():
        variables = one["Properties"]["Environment"]["Variables"]
        assert variables["POWERTOOLS_SERVICE_NAME"] == "MimirExporter"


def test_only_this_stack_s_alarms_may_publish(template: Template) -> None:
    (topic,) = template.find_resources("AWS::SNS::Topic")
    own = ["arn:", {"Ref": "AWS::Partition"}, ":cloudwatch:", {"Ref": "AWS::Region"}, ":"]
    own += [{"Ref": "AWS::AccountId"}, ":alarm:MimirExporter-*"]
    publish = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": {"Ref": topic},
        "Condition": {
            "ArnLike": {"aws:SourceArn": {"Fn::Join": ["", own]}},
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
        },
    }
    ((_, policy),) = template.find_resources("AWS::SNS::TopicPolicy").items()
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    assert [one for one in statements if one["Effect"] == "Allow"] == [
        {"Sid": "AlarmsOfThisExporter", **publish}
    ]
    assert "aws:SecureTransport" in json.dumps(
        [one for one in statements if one["Effect"] != "Allow"]
    )


def test_an_address_is_subscribed_where_it_is_given(
    synthesize: Synthesize, template: Template
) -> None:
    template.resource_count_is("AWS::SNS::Subscription", 0)
    synthesize(alarm_email="oncall@example.com").has_resource_properties(
        "AWS::SNS::Subscription",
        {"Protocol": "email", "Endpoint": "oncall@example.com", "TopicArn": Match.any_value()},
    )


def test_an_existing_topic_is_used_as_it_is(daily: Template) -> None:
    daily.resource_count_is("AWS::SNS::Topic", 0)
    daily.resource_count_is("AWS::SNS::TopicPolicy", 0)
    for alarm in alarms_of(daily).values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC]
