"""A template's values as they are once it is deployed, with made-up names and ARNs."""

from collections.abc import Iterator, Mapping
from typing import Any

REGION, ACCOUNT = "eu-central-1", "123456789012"
PSEUDO = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "MimirExporter",
}
# The part of an ARN behind the account, `{}` being the name.
ARNS = {
    "AWS::IAM::Role": "arn:aws:iam::123456789012:role/{}",
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::SNS::Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{{}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}",
    "AWS::SecretsManager::Secret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{{}}-AbCdEf",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{{}}",
}
# Whose Ref is their ARN.
REF_IS_ARN = {
    "AWS::SNS::Topic",
    "AWS::SecretsManager::Secret",
    "AWS::StepFunctions::StateMachine",
}
IDENTITY_POLICIES = {"AWS::IAM::Policy": "PolicyDocument"}
RESOURCE_POLICIES = {
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::EC2::VPCEndpoint": "PolicyDocument",
}

Resources = Mapping[str, Mapping[str, Any]]


def resolve(value: Any, resources: Resources) -> Any:
    """The value with its references and functions filled in."""
    match value:
        case {"Ref": name}:
            return _ref(str(name), resources)
        case {"Fn::GetAtt": [name, attribute]}:
            return _attribute(str(name), str(attribute), resources)
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(str(resolve(part, resources)) for part in parts)
        case {"Fn::Split": [separator, text]}:
            return str(resolve(text, resources)).split(str(separator))
        case {"Fn::Select": [index, options]}:
            return resolve(options, resources)[int(index)]
        case {"Fn::GetAZs": _}:
            return [f"{REGION}a", f"{REGION}b"]
        case dict():
            unknown = [key for key in value if str(key).startswith("Fn::")]
            assert not unknown, value
            return {key: resolve(one, resources) for key, one in value.items()}
        case list():
            return [resolve(one, resources) for one in value]
    return value


def _ref(name: str, resources: Resources) -> str:
    if name in PSEUDO:
        return PSEUDO[name]
    kind = resources[name]["Type"]
    return ARNS[kind].format(name) if kind in REF_IS_ARN else name


def _attribute(name: str, attribute: str, resources: Resources) -> str:
    kind = resources[name]["Type"]
    if attribute in ("Arn", "TopicArn", "Id") and kind in ARNS:
        return ARNS[kind].format(name)
    return f"{name}.{attribute}"


def policies(resources: Resources) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every policy of a template, by whose it is; whether it is one of an identity."""
    for name, resource in resources.items():
        kind, properties = str(resource["Type"]), resource.get("Properties", {})
        if kind in IDENTITY_POLICIES:
            yield name, resolve(properties[IDENTITY_POLICIES[kind]], resources), True
        if kind in RESOURCE_POLICIES and RESOURCE_POLICIES[kind] in properties:
            yield name, resolve(properties[RESOURCE_POLICIES[kind]], resources), False
        for one in properties.get("Policies", ()):
            yield f"{name} {one['PolicyName']}", resolve(one["PolicyDocument"], resources), True


def machines(resources: Resources) -> Iterator[str]:
    """The definition of every state machine, JSON."""
    for resource in resources.values():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            yield resolve(resource["Properties"]["DefinitionString"], resources)
