// A program that uses AWS: the SDK for JavaScript, told nothing but environment variables. Each line of stdin is one
// call, each line of stdout its outcome: a program that lives long shows what the SDK does over time.
import { createInterface } from 'node:readline'
import { mock } from 'node:test'
import { GetCallerIdentityCommand, STSClient, type STSClientConfig } from '@aws-sdk/client-sts'

const whoAmI = async (client: STSClient) => {
  const { Arn: arn } = await client.send(new GetCallerIdentityCommand({}))
  return { arn }
}

const own = new STSClient()

/** The credentials that the SDK found, but for the last character of the secret. */
async function altered(): Promise<STSClientConfig> {
  const { secretAccessKey, ...rest } = await own.config.credentials()
  const last = secretAccessKey.endsWith('A') ? 'B' : 'A'
  return { credentials: { ...rest, secretAccessKey: `${secretAccessKey.slice(0, -1)}${last}` } }
}

let timeStands = false
/** From here on the clock of this process stands at that instant. */
function setTime(now: number) {
  if (timeStands) mock.timers.setTime(now)
  else mock.timers.enable({ apis: ['Date'], now })
  timeStands = true
}

const calls: Readonly<Record<string, (argument: string) => Promise<object>>> = {
  identity: () => whoAmI(own),
  altered: async () => whoAmI(new STSClient(await altered())),
  environment: async () => process.env,
  time: async (now) => {
    setTime(Number(now))
    return {}
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name = '', argument = ''] = line.split(' ')
  const outcome = await calls[name]?.(argument).catch((error: Error) => ({ error: error.name, message: error.message }))
  console.log(JSON.stringify(outcome ?? { error: 'NoSuchCall', message: line }))
}
