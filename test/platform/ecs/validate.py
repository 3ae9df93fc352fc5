"""Whether task definitions are what the ECS API takes: by botocore's model of it, values of enums included, and by moto.

Each argument is a file of JSON, each line of stdout what was found in one: an empty list, or sentences.
"""

import json
import sys

import boto3
import botocore.session
from botocore.exceptions import BotoCoreError, ClientError
from botocore.validate import ParamValidator
from moto import mock_aws

shape = (
    botocore.session.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
)


def values(value, shape, path):
    """What no enum has: botocore leaves that to the service."""
    if shape.type_name == "structure":
        return [found for key in value for found in values(value[key], shape.members[key], f"{path}.{key}")]
    if shape.type_name == "list":
        return [found for number, one in enumerate(value) for found in values(one, shape.member, f"{path}[{number}]")]
    if getattr(shape, "enum", None) and value not in shape.enum:
        return [f"{path} is {value}, which is none of {', '.join(shape.enum)}"]
    return []


def mistakes(definition):
    report = ParamValidator().validate(definition, shape)
    if report.has_errors():
        return report.generate_report().splitlines()
    return values(definition, shape, "definition")


@mock_aws
def register(definition):
    client = boto3.client("ecs", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    try:
        client.register_task_definition(**definition)
    except (BotoCoreError, ClientError) as error:
        return [str(error)]
    kept = client.describe_task_definition(taskDefinition=definition["family"])["taskDefinition"]
    return [f"{key} is kept as {kept.get(key)}" for key in ("family", "networkMode", "volumes") if kept.get(key) != definition[key]]


for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        definition = json.load(file)
    print(json.dumps(mistakes(definition) or register(definition)), flush=True)
