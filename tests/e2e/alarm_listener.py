"""The alarms of one stack, the metrics that they watch, and a queue subscribed to them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from localcloud.aws import REGION, Cloud
from tests.policies import as_policy

Key = tuple[str, ...]


class AlarmListener:
    """Subscribes to the topic of a stack's alarms."""

    def __init__(self, cloud: Cloud, *, stack: str, topic_arn: str) -> None:
        self._stack = stack
        self.recovered: set[str] = set()
        self._cloudwatch: Any = cloud.session.client("cloudwatch", **cloud.where)
        self._sqs: Any = cloud.session.client("sqs", **cloud.where)
        self._queue = self._sqs.create_queue(QueueName="alarm-listener")["QueueUrl"]
        asked = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        self._sqs.set_queue_attributes(
            QueueUrl=self._queue,
            Attributes={
                "Policy": as_policy(
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "sns.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": asked["Attributes"]["QueueArn"],
                        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
                    }
                )
            },
        )
        sns: Any = cloud.session.client("sns", **cloud.where)
        sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=asked["Attributes"]["QueueArn"])
        self.reset()

    def reset(self) -> None:
        """No alarm fires, whatever other tests did, and what was sent for it is forgotten."""
        for name in self.alarms():
            self.set_state(name, "OK")
        self.messages()
        self.recovered.clear()

    def set_state(self, alarm: str, state: Literal["OK", "ALARM"]) -> None:
        self._cloudwatch.set_alarm_state(
            AlarmName=f"{self._stack}-{alarm}", StateValue=state, StateReason="a test"
        )

    def alarms(self) -> dict[str, dict[str, Any]]:
        """Every alarm of the stack by its name without the stack's."""
        prefix = f"{self._stack}-"
        found = self._cloudwatch.describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"]
        return {one["AlarmName"].removeprefix(prefix): one for one in found}

    def firing(self) -> set[str]:
        """The alarms that fire now."""
        return {name for name, one in self.alarms().items() if one["StateValue"] == "ALARM"}

    def messages(self) -> dict[str, str]:
        """What the topic has sent since the last call: the texts of alarms by their names.

        Alarms that are OK again are added to `recovered`.
        """
        received: dict[str, str] = {}
        while got := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for one in got:
                message = json.loads(json.loads(one["Body"])["Message"])
                name = message["AlarmName"].removeprefix(f"{self._stack}-")
                if message["NewStateValue"] == "ALARM":
                    received[name] = message["AlarmDescription"]
                else:
                    self.recovered.add(name)
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=one["ReceiptHandle"])
        return received

    def put_line(self, line: Mapping[str, Any]) -> None:
        """The metrics of an EMF line, as CloudWatch makes them of it."""
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        self._cloudwatch.put_metric_data(
            Namespace=directive["Namespace"],
            MetricData=[
                {
                    "MetricName": one["Name"],
                    "Unit": one["Unit"],
                    "Values": line[one["Name"]],
                    "Dimensions": [
                        {"Name": name, "Value": line[name]} for name in directive["Dimensions"][0]
                    ],
                }
                for one in directive["Metrics"]
            ],
        )

    def put(self, alarm: str, value: float) -> None:
        """The metric that an alarm is on."""
        on = self.alarms()[alarm]
        self._cloudwatch.put_metric_data(
            Namespace=on["Namespace"],
            MetricData=[
                {"MetricName": on["MetricName"], "Dimensions": on["Dimensions"], "Value": value}
            ],
        )

    def counted(self, alarm: str) -> float:
        """What the metric of an alarm adds up to by the cloud's own count."""
        on = self.alarms()[alarm]
        asked = self._cloudwatch.get_metric_statistics(
            Namespace=on["Namespace"],
            MetricName=on["MetricName"],
            Dimensions=on["Dimensions"],
            StartTime=0,
            EndTime=4102444800,
            Period=86_400,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in asked["Datapoints"]))

    def dashboard_metrics(self) -> Iterator[Key]:
        """Every metric of the stack's dashboard: namespace, name, then dimensions."""
        body = self._cloudwatch.get_dashboard(DashboardName=f"{self._stack}-{REGION}")[
            "DashboardBody"
        ]
        for widget in json.loads(body)["widgets"]:
            for metric in widget["properties"].get("metrics", ()):
                if isinstance(metric[0], str):
                    yield tuple(part for part in metric if isinstance(part, str))


def published(line: Mapping[str, Any]) -> Iterator[Key]:
    """The metrics of an EMF line, as `dashboard_metrics` has them."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    where = [part for name in directive["Dimensions"][0] for part in (name, line[name])]
    for one in directive["Metrics"]:
        yield (directive["Namespace"], one["Name"], *where)
