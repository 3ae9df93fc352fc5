// Agents, where the original hurts: fresh files come as soon as the agent does, and one-shot runs wait for what may come, and no longer.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { better } from './better.ts'
import { jwtBundleConfig, jwtConfig, jwtEntry, x509Config } from './configs.ts'
import { denied, type Serving, x509 } from './material.ts'
import type { Run } from './run.ts'

const promptMs = 500

/** How long it takes from now until the certificate is another than `before`. */
async function fresh(run: Run, before: string | undefined): Promise<void> {
  const begun = performance.now()
  const now = () => (existsSync(join(run.dir, 'bundle.pem')) ? readFileSync(join(run.dir, 'svid.pem'), 'utf8') : undefined)
  while ((now() ?? before) === before && performance.now() - begun < 35_000) await delay(5)
  const took = performance.now() - begun
  run.note('measured until fresh files', `${Math.round(took)} ms`)
  run.note('prompt', String(took < promptMs))
  run.signal('SIGTERM')
}

const late = (seconds: number) => ({
  name: `an agent that comes ${seconds} s after the daemon is noticed at once`,
  config: x509Config,
  agent: 'down' as const,
  collapse: true,
  steps: async (run: Run) => {
    await run.logged(/Watching for X509 Context/)
    await delay(seconds * 1000)
    await run.agent.start()
    await fresh(run, undefined)
  },
})

/** Whether a one-shot ends within a second of SIGTERM, while it tries again and again. */
const terminated = async (run: Run): Promise<void> => {
  await run.logged(/Daemon mode disabled/)
  // The original's sixth try is at 7.8 s.
  await delay(2_500)
  run.signal('SIGTERM')
  await run.ended(1_000)
  run.note('it ends', run.running ? 'later' : 'at once')
  run.signal('SIGKILL')
}

const deniedAll: Partial<Serving> = { x509: denied, jwtBundles: denied, jwt: async () => denied }
const audienceOf = (token: string): string =>
  JSON.stringify((JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { aud: unknown }).aud)

describe('agents', { concurrency: true }, () => {
  better(late(2), { original: { prompt: 'false' }, ours: { prompt: 'true' } })
  better(late(20), { original: { prompt: 'false' }, ours: { prompt: 'true' } })
  better(
    {
      name: 'an agent that was gone for 15 s is noticed at once',
      config: x509Config,
      collapse: true,
      steps: async (run) => {
        await run.logged(/X\.509 certificates updated/)
        const before = readFileSync(join(run.dir, 'svid.pem'), 'utf8')
        await run.agent.stop()
        run.agent.serve({ x509: await x509({ number: 2 }) })
        await delay(15_500)
        await run.agent.start()
        await fresh(run, before)
      },
    },
    { original: { prompt: 'false' }, ours: { prompt: 'true' } },
  )
  for (const [what, config] of [
    ['X.509-SVID', x509Config],
    ['JWT bundle', jwtBundleConfig],
  ] as const)
    better(
      { name: `a one-shot that waits for its ${what} obeys SIGTERM at once`, config, oneShot: true, serve: async () => deniedAll, steps: terminated },
      { original: { 'it ends': 'later' }, ours: { 'it ends': 'at once' } },
    )
  for (const [what, config] of [
    ['X.509-SVID', x509Config],
    ['JWT bundle', jwtBundleConfig],
  ] as const)
    better(
      {
        name: `a one-shot waits for an agent that comes late, for its ${what}`,
        config,
        oneShot: true,
        agent: 'down',
        steps: async (run) => {
          await delay(1_500)
          await run.agent.start()
          await run.ended(20_000)
        },
      },
      { original: { end: 'code 1' }, ours: { end: 'code 0' } },
    )
  better(
    {
      name: 'a one-shot asks often enough for an identity that comes after 5 s',
      config: x509Config,
      oneShot: true,
      serve: async () => ({ x509: denied }),
      steps: async (run) => {
        // Ours asks every two seconds at the latest; the original's next try is at 7.8 s.
        await delay(5_000)
        run.agent.serve({ x509: await x509({}) })
        await run.ended(2_400)
        run.note('it has ended', String(!run.running))
        run.signal('SIGKILL')
      },
    },
    { original: { 'it has ended': 'false' }, ours: { 'it has ended': 'true' } },
  )
  better(
    {
      name: 'a one-shot keeps the extra audiences',
      config: jwtConfig(jwtEntry('a', 'token', ', jwt_extra_audiences = ["b", "c"]')),
      oneShot: true,
      steps: async (run) => {
        await run.ended()
        run.note('audiences', audienceOf(readFileSync(join(run.dir, 'token'), 'utf8')))
      },
    },
    { original: { audiences: '["a"]' }, ours: { audiences: '["a","b","c"]' } },
  )
})
