// An application with a real SDK that is told nothing but its environment: one call after the other, each a line of its log.
import { setTimeout } from 'node:timers/promises'
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'

/** So many calls that succeed, and it is done; without, it never is. */
const enough = Number(process.argv[2] ?? Number.POSITIVE_INFINITY)

const client = new STSClient()
// As an application that still has work to do when its pod is deleted. A new client has to ask for credentials anew.
process.once('SIGTERM', () => {
  const drain = async () => {
    await setTimeout(2_000)
    await new STSClient({ userAgentAppId: `last-${process.env['AWS_SDK_UA_APP_ID']}` }).send(new GetCallerIdentityCommand())
  }
  drain().then(
    () => process.exit(0),
    () => process.exit(1),
  )
})
for (let done = 0; done < enough; ) {
  try {
    const { Arn: arn } = await client.send(new GetCallerIdentityCommand())
    const { accessKeyId: key } = await client.config.credentials()
    console.log(JSON.stringify({ at: Date.now(), arn, key }))
    done += 1
  } catch (error) {
    console.log(JSON.stringify({ at: Date.now(), error: String(error) }))
  }
  await setTimeout(1_000)
}
process.exit(0)
