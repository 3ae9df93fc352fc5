// Readers, where the original hurts: whoever reads at the wrong moment gets an empty file from the original, and never from ours.
import { chmodSync, copyFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { better } from './better.ts'
import { x509Config } from './configs.ts'
import { svid, type X509Svid } from './material.ts'
import type { Seen } from './reader-child.ts'
import type { Run } from './run.ts'

const rotations = 200
const signals = 50
const files = ['svid.pem', 'key.pem', 'bundle.pem']

/** What the files of an SVID hold, as far as the order of base64 lines tells one from another. */
const bodyOf = (der: Buffer): string => (der.toString('base64').match(/.{1,64}/g) ?? []).join('\n')
const inFiles = (text: string, { x509_svid, x509_svid_key, bundle }: X509Svid): boolean =>
  [x509_svid, x509_svid_key, bundle].every((der) => text.includes(bodyOf(der)))

const numbered = (number: number): Promise<X509Svid> => svid({ number, path: '/rotated' })

async function hammer(run: Run): Promise<void> {
  await run.logged(/X\.509 certificates updated/)
  const stop = new SharedArrayBuffer(4)
  const worker = new Worker(new URL('reader-child.ts', import.meta.url), { workerData: { files: files.map((name) => join(run.dir, name)), stop } })
  const messages: unknown[] = []
  worker.on('message', (message) => messages.push(message))
  await run.until('the reader reads', () => messages.includes('ready'))
  for (let n = 1; n <= rotations; n++) {
    const next = await numbered(n)
    run.agent.serve({ x509: { svids: [next], federated: {} } })
    await run.until('the bundle is written', () => run.stderr.split('X.509 certificates updated').length > n + 1)
  }
  Atomics.store(new Int32Array(stop), 0, 1)
  await run.until('the reader has ended', () => messages.length > 1)
  await worker.terminate()
  const seen = Object.values(messages.at(-1) as Record<string, Seen>)
  const sum = (what: keyof Seen): number => seen.reduce((total, counts) => total + counts[what], 0)
  run.note(`measured in ${rotations} rotations`, `${sum('reads')} reads, of which ${sum('empty')} empty, ${sum('cut')} cut, ${sum('missing')} without a file`)
  run.note('readers', sum('empty') + sum('cut') + sum('missing') === 0 ? 'see whole files only' : 'see broken files')
  run.signal('SIGTERM')
}

better(
  { name: 'a reader never sees a file that is empty or cut', config: x509Config, steps: hammer },
  { original: { readers: 'see broken files' }, ours: { readers: 'see whole files only' } },
  true,
)

/** Each signal is followed by a read of all three files. */
async function afterHook(run: Run): Promise<void> {
  let whole = 0
  let mixed = 0
  const served: X509Svid[] = []
  for (let n = 0; n <= signals; n++) {
    const copy = join(run.etc, `copy-${n}`)
    await run.until('the hook has copied', () => existsSync(copy))
    const text = readFileSync(copy, 'utf8')
    if (n > 0) {
      const last = served.at(-1)
      if (last !== undefined && inFiles(text, last)) whole++
      else mixed++
    }
    const next = await numbered(1_000 + n)
    served.push(next)
    run.agent.serve({ x509: { svids: [next], federated: {} } })
  }
  run.note('measured after 100 signals', `${whole} read what belongs together, ${mixed} a mixture`)
  run.note('mixtures', String(mixed))
  await delay(50)
  run.signal('SIGTERM')
}

better(
  {
    name: 'who reads after the signal reads what belongs together',
    config: `${x509Config}cmd = "{etc}/hook"\nrenew_signal = "SIGHUP"\n`,
    setup: ({ etc }) => {
      copyFileSync(join(import.meta.dirname, 'hook.pl'), join(etc, 'hook'))
      chmodSync(join(etc, 'hook'), 0o755)
    },
    steps: afterHook,
  },
  { original: { mixtures: '0' }, ours: { mixtures: '0' } },
  true,
)
