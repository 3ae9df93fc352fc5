// One kept stream over a scripted agent, whose messages are words.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { type Failure, failure } from '../../src/core/errors.ts'
import { keepStream } from '../../src/identity/workload-api/stream.ts'
import type { SocketAddress } from '../../src/spiffe/socket-address.ts'
import { createStreams, unixAddress } from './scripted-api.ts'
import { setup } from './setup.ts'

export interface Kept {
  clock: ReturnType<typeof setup>['clock']
  streams: ReturnType<typeof createStreams<string>>
  taken: string[]
  failed: Failure[]
  rejected: Failure[]
  replace: () => void
  stop: () => Promise<void>
}

const half = () => 0.5

/** Messages are words; the word "bad" is refused. */
export function keep(t: TestContext, { address = unixAddress, random = half }: { address?: SocketAddress; random?: () => number } = {}): Kept {
  const { api, clock, start } = setup(t)
  const streams = createStreams<string>(clock)
  const [taken, failed, rejected]: [string[], Failure[], Failure[]] = [[], [], []]
  const kept = keepStream<string>(
    { api: { ...api, address }, clock, random },
    {
      open: streams.opener,
      take: (message) => {
        if (message === 'bad') throw failure('x509_svid_invalid', message)
        taken.push(message)
      },
      rejected: (problem) => rejected.push(problem),
      failed: (problem) => failed.push(problem),
    },
  )
  let asked = 0
  const { stop } = start(kept.run)
  t.after(() => assert.equal(streams.open.length, 0, 'streams left open'))
  return { clock, streams, taken, failed, rejected, replace: () => kept.replace(String(++asked)), stop }
}
