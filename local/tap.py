"""A tap on the alerts: an SQS queue subscribed to the topic, and the alerts received so far."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local.stack import Aws

_QUEUE = "tap"


@dataclass(frozen=True)
class Alert:
    """One message of the topic; `body` is the JSON that queues and functions get."""

    subject: str
    body: dict[str, Any]


def make(aws: Aws, topic_arn: str) -> str:
    """Subscribe a new queue to the topic and return its URL."""
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=_QUEUE)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn = attributes["Attributes"]["QueueArn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
            }
        ],
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    aws.client("sns").subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn)
    return str(url)


class Tap:
    """The alerts of a laptop cloud in the order of arrival.

    Messages are moved from the queue to a file in the state folder, so every reader sees every
    alert. They are deleted from the queue only after they are in the file.
    """

    def __init__(self, aws: Aws, url: str, home: Path) -> None:
        self._sqs = aws.client("sqs")
        self._url = url
        self._file = home / "alerts.jsonl"

    def alerts(self) -> list[Alert]:
        """Return every alert since the laptop cloud started."""
        while messages := self._receive():
            with self._file.open("a") as file:
                for message in messages:
                    file.write(json.dumps(asdict(_alert(message["Body"]))) + "\n")
            for message in messages:
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        if not self._file.exists():
            return []
        return [Alert(**json.loads(line)) for line in self._file.read_text().splitlines()]

    def _receive(self) -> list[dict[str, Any]]:
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
        return list(answer.get("Messages", []))


def _alert(envelope: str) -> Alert:
    notification = json.loads(envelope)
    try:
        body = json.loads(notification["Message"])
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"message": notification["Message"]}
    return Alert(notification.get("Subject") or "", body)
