// How long it takes from the agent's word to the last file, of both programs in one run; printed, and bounded generously.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay, setImmediate } from 'node:timers/promises'
import { better } from './better.ts'
import { x509Config } from './configs.ts'
import { svid } from './material.ts'
import type { Run } from './run.ts'

const measure = (rotations: number, pauseMs: number) => async (run: Run) => {
  await run.logged(/X\.509 certificates updated/)
  const last = join(run.dir, 'bundle.pem')
  const took: number[] = []
  for (let n = 1; n <= rotations; n++) {
    // Another bundle each time, since it is the last of the three files.
    const next = await svid({ number: n, path: '/speed' })
    const other = await svid({ number: n, path: '/root', kind: n % 2 === 0 ? 'plain' : 'rsa' })
    const marker = other.bundle.toString('base64').slice(0, 60)
    const begun = performance.now()
    run.agent.serve({
      x509: { svids: [{ ...next, bundle: Buffer.concat([next.bundle, other.bundle, ...(n % 2 === 0 ? [other.bundle] : [])]) }], federated: {} },
    })
    const size = () => readFileSync(last, 'latin1').split(marker).length
    while (size() !== (n % 2 === 0 ? 4 : 2) && performance.now() - begun < 5_000) await setImmediate()
    took.push(performance.now() - begun)
    await run.logged(/X\.509 certificates updated/, n + 1)
    await delay(pauseMs)
  }
  took.sort((one, other) => one - other)
  const at = (part: number): number => took[Math.floor(took.length * part)] ?? 0
  run.note('measured from push to last file', `median ${at(0.5).toFixed(1)} ms, p90 ${at(0.9).toFixed(1)} ms, worst ${(took.at(-1) ?? 0).toFixed(1)} ms`)
  run.note('all arrived', String((took.at(-1) ?? 5_000) < 5_000))
  run.signal('SIGTERM')
}

for (const [words, rotations, pauseMs] of [
  ['one after the other', 50, 0],
  ['a second apart', 10, 1_000],
] as const)
  better(
    { name: `${rotations} rotations, ${words}`, config: x509Config, steps: measure(rotations, pauseMs) },
    { original: { 'all arrived': 'true' }, ours: { 'all arrived': 'true' } },
    true,
  )
