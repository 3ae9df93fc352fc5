"""A program that uses AWS: boto3, told nothing but environment variables.

Each line of stdin is one call, each line of stdout its outcome: a program that lives long shows what the SDK does
over time.
"""

import json
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

own = boto3.Session()


def identity(_argument, session=own):
    return {"arn": session.client("sts").get_caller_identity()["Arn"]}


def s3(bucket, session=own):
    """Makes a bucket, writes an object and reads it back. The key is one that is easily encoded wrongly."""
    client = session.client("s3")
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="a b/ü+%", Body=b"written by boto3")
    return {"body": client.get_object(Bucket=bucket, Key="a b/ü+%")["Body"].read().decode()}


def altered(argument):
    """A call by the credentials that boto3 found, but for the last character of the secret."""
    found = own.get_credentials().get_frozen_credentials()
    secret = found.secret_key[:-1] + ("B" if found.secret_key.endswith("A") else "A")
    session = boto3.Session(found.access_key, secret, found.token)
    return s3("altered", session) if argument == "s3" else identity(argument, session)


calls = {"identity": identity, "s3": s3, "altered": altered}

for line in sys.stdin:
    name, _, argument = line.strip().partition(" ")
    try:
        outcome = calls[name](argument)
    except ClientError as error:
        outcome = {"error": error.response["Error"]["Code"], "message": str(error)}
    except (BotoCoreError, ValueError) as error:
        outcome = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(outcome), flush=True)
