// What answers to `aws` while commands of the documentation are run: one command of AWS's CLI, with the SDK for JavaScript and its default chain.
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'

if (process.argv.slice(2).join(' ') !== 'sts get-caller-identity') {
  console.error(`aws: these tests know sts get-caller-identity only, and not: ${process.argv.slice(2).join(' ')}`)
  process.exit(252)
}
const { UserId, Account, Arn } = await new STSClient().send(new GetCallerIdentityCommand({}))
console.log(JSON.stringify({ UserId, Account, Arn }, undefined, 2))
