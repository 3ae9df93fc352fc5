// A program that uses AWS: the SDK for JavaScript, told nothing but environment variables. One call a second, one line
// of JSON for each, until its input ends.
import { setTimeout as delay } from 'node:timers/promises'
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { systemCode } from '../core/errors.ts'

export interface Call {
  readonly ok: boolean
  /** Who AWS says the caller is. */
  readonly arn?: string
  /** The key that the request was signed with; none if there were no credentials to sign with. */
  readonly accessKeyId?: string
  readonly error?: string
}

const everyMs = 1_000

/** Calls until the standard input ends. */
export async function runClient(): Promise<void> {
  const over = new AbortController()
  process.stdin.once('close', () => over.abort()).resume()
  process.stdout.on('error', (error) => {
    if (systemCode(error) !== 'EPIPE') throw error
    over.abort()
  })
  const client = new STSClient()
  let accessKeyId: string | undefined
  // Below all the others, where requests have been signed.
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> }
      accessKeyId = /Credential=([^/]+)\//.exec(headers['authorization'] ?? '')?.[1]
      return next(args)
    },
    { step: 'deserialize', name: 'noteAccessKey' },
  )
  const call = async (): Promise<Call> => {
    accessKeyId = undefined
    try {
      const { Arn = '' } = await client.send(new GetCallerIdentityCommand({}))
      return { ok: true, arn: Arn, ...(accessKeyId === undefined ? {} : { accessKeyId }) }
    } catch (error) {
      return { ok: false, error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) }
    }
  }
  while (!over.signal.aborted) {
    const begun = performance.now()
    console.log(JSON.stringify(await call()))
    await delay(Math.max(0, begun + everyMs - performance.now()), undefined, { signal: over.signal }).catch(() => {})
  }
}
