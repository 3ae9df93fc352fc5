// A program that uses AWS: the SDK for JavaScript, told nothing but environment variables. One call a second, one line
// of JSON for each, until its input ends.
import { setTimeout as delay } from 'node:timers/promises'
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import type { Call } from './story.ts'

export async function runClient(): Promise<never> {
  // Whoever started it has gone, or does not listen.
  process.stdin.once('close', () => process.exit(0)).resume()
  process.stdout.on('error', () => process.exit(0))
  const client = new STSClient()
  const call = async (): Promise<Call> => {
    try {
      // The client remembers what this gives, and signs with it.
      const { accessKeyId } = await client.config.credentials()
      const { Arn = '' } = await client.send(new GetCallerIdentityCommand({}))
      return { ok: true, arn: Arn, accessKeyId }
    } catch (error) {
      return { ok: false, error: String(error) }
    }
  }
  for (;;) {
    const pause = delay(1_000)
    console.log(JSON.stringify(await call()))
    await pause
  }
}
