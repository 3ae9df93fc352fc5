// An application that is told nothing but its environment: one client of the AWS SDK, and a line for each of its calls.
import { setTimeout } from 'node:timers/promises'
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'

const client = new STSClient()
for (;;) {
  try {
    const { Arn: arn } = await client.send(new GetCallerIdentityCommand())
    const { accessKeyId: key } = await client.config.credentials()
    console.log(JSON.stringify({ arn, key }))
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }))
  }
  await setTimeout(500)
}
