import { test } from 'node:test'
import { keepStream } from '../../src/identity/workload-api/stream.ts'
import { createStreams, gone, unixAddress } from './scripted-api.ts'
import { createFakeClock } from '../support/fake-clock.ts'
test('x', async () => {
  const clock = createFakeClock()
  const streams = createStreams<string>(clock)
  const c = new AbortController()
  const kept = keepStream<string>({address: unixAddress, open: streams.opener, clock, random: () => 0.5, take(){}, rejected(){}, failed(){}, connected(){}})
  kept.run(c.signal).catch((e) => console.log(e))
  streams.script(gone)
  const b = clock.boot()
  await clock.advance(10_000)
  console.log(streams.all.length, streams.all.map(s => s.openedAt - b), clock.sleeping, clock.boot()-b)
  c.abort()
})
