// Files, where the original hurts: writes that failed are made good, modes are what was asked for, equal bytes disturb nobody.
import { chmodSync, existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { better } from './better.ts'
import { childConfig, healthConfig, jwtBundleConfig, jwtConfig, jwtEntry, x509Config } from './configs.ts'
import { denied, jwtBundles, tokens, x509 } from './material.ts'
import type { Run } from './run.ts'

const repairMs = 8_000

/** Whether a file comes to be, without any news from the agent. */
async function comes(run: Run, file: string): Promise<void> {
  const end = performance.now() + repairMs
  const there = () => existsSync(join(run.dir, file)) && statSync(join(run.dir, file)).isFile()
  while (!there() && performance.now() < end) await delay(20)
  run.note('it is made good', String(there()))
  run.signal('SIGTERM')
}

const rotateTwice = async (run: Run): Promise<void> => {
  await run.logged(/X\.509 certificates updated/)
  run.agent.serve({ x509: await x509({ number: 2 }) })
  await run.logged(/X\.509 certificates updated|Unable to dump bundle/, 2)
  run.note('the second write', run.stderr.includes('Unable to dump bundle') ? 'fails' : 'succeeds')
  run.signal('SIGTERM')
}

/** Note how many answers of /ready there were in what order, as long as the state changes. */
const readiness = async (run: Run): Promise<void> => {
  const answer = await fetch(`http://127.0.0.1:${run.port}/ready`)
  run.note('readiness', `${answer.status} ${await answer.text()}`)
}

/** The keys of our trust domain, as they are written. */
function orderIn(path: string): string {
  const bundle = JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>
  return (
    Buffer.from(bundle['example.org'] ?? '', 'base64')
      .toString()
      .match(/"kid":"[^"]*"/g) ?? []
  ).join('')
}

/** Our trust domain with four keys, and another one that makes the difference. */
async function fourKeys(more: readonly string[]): Promise<Record<string, Buffer>> {
  const some = await jwtBundles('example.org', 'a.test', 'b.test', 'c.test')
  const keys = Object.values(some).flatMap((jwks) => (JSON.parse(jwks.toString()) as { keys: object[] }).keys)
  return { ...(await jwtBundles('example.org', ...more)), 'spiffe://example.org': Buffer.from(JSON.stringify({ keys })) }
}

describe('files', { concurrency: 4 }, () => {
  better(
    {
      name: 'a write into a folder that was missing is tried again',
      config: `cert_dir = "sub"\n${x509Config}`,
      steps: async (run) => {
        await run.logged(/Unable to dump bundle/)
        mkdirSync(join(run.dir, 'sub'))
        await comes(run, 'sub/bundle.pem')
      },
    },
    { original: { 'it is made good': 'false' }, ours: { 'it is made good': 'true' } },
  )
  better(
    {
      name: 'a write into a folder that could not be written is tried again',
      config: x509Config,
      uid: 65_534,
      setup: ({ dir }) => chmodSync(dir, 0o555),
      steps: async (run) => {
        await run.logged(/Unable to dump bundle/)
        chmodSync(run.dir, 0o755)
        await comes(run, 'bundle.pem')
      },
    },
    { original: { 'it is made good': 'false' }, ours: { 'it is made good': 'true' } },
  )
  better(
    {
      name: 'a write that failed at its last file is tried again',
      config: x509Config,
      setup: ({ dir }) => mkdirSync(join(dir, 'bundle.pem')),
      steps: async (run) => {
        await run.logged(/Unable to dump bundle/)
        rmdirSync(join(run.dir, 'bundle.pem'))
        await comes(run, 'bundle.pem')
      },
    },
    { original: { 'it is made good': 'false' }, ours: { 'it is made good': 'true' } },
  )
  better(
    {
      name: 'a write of a JWT bundle is tried again',
      config: `cert_dir = "sub"\n${jwtBundleConfig}`,
      steps: async (run) => {
        await run.logged(/Error writing JWT Bundle/)
        mkdirSync(join(run.dir, 'sub'))
        await comes(run, 'sub/bundle.json')
      },
    },
    { original: { 'it is made good': 'false' }, ours: { 'it is made good': 'true' } },
  )
  better(
    {
      name: 'a mode that is asked for holds for a file that was there',
      config: `${x509Config}key_file_mode = 0600\ncert_file_mode = 0640\n`,
      setup: ({ dir }) => {
        for (const name of ['key.pem', 'svid.pem']) writeFileSync(join(dir, name), 'old\n')
      },
    },
    { original: { 'mode of key.pem': '0644', 'mode of svid.pem': '0644' }, ours: { 'mode of key.pem': '0600', 'mode of svid.pem': '0640' } },
  )
  better(
    {
      name: 'files that nobody may write are rotated by a user that is not root',
      config: `${x509Config}key_file_mode = 0400\ncert_file_mode = 0444\n`,
      uid: 65_534,
      steps: rotateTwice,
    },
    { original: { 'the second write': 'fails' }, ours: { 'the second write': 'succeeds', 'mode of key.pem': '0400', 'mode of svid.pem': '0444' } },
  )
  better(
    {
      name: 'readiness ends with the certificate on disk',
      config: healthConfig,
      serve: async () => ({ x509: await x509({ ttlSeconds: 3 }) }),
      steps: async (run) => {
        await run.logged(/X\.509 certificates updated/)
        await delay(300)
        await readiness(run)
        await delay(4_000)
        await readiness(run)
        run.signal('SIGTERM')
      },
    },
    {
      original: { readiness: /^200 /, 'readiness #2': /^200 / },
      ours: { readiness: /^200 /, 'readiness #2': /^503 .*"x509_write_status":"written".*expired/ },
    },
  )
  better(
    {
      name: 'readiness ends with the token on disk',
      config: `${jwtConfig(jwtEntry('a', 'token'))}${healthConfig.slice(healthConfig.indexOf('health_checks'))}`,
      serve: async () => ({ jwt: (asked, nth) => (nth === 0 ? short(asked, 0) : Promise.resolve(denied)) }),
      steps: async (run) => {
        await run.logged(/JWT SVID updated/)
        await delay(300)
        await readiness(run)
        await delay(3_500)
        await readiness(run)
        run.signal('SIGTERM')
      },
    },
    { original: { readiness: /^200 /, 'readiness #2': /^200 / }, ours: { readiness: /^200 /, 'readiness #2': /^503 .*token.*expired/ } },
  )
  better(
    {
      name: 'the keys of a JWT bundle have a stable order',
      config: jwtBundleConfig,
      serve: async () => ({ jwtBundles: await fourKeys([]) }),
      steps: async (run) => {
        const seen = new Set<string>()
        for (let n = 1; n <= 24; n++) {
          await run.logged(/JWT bundle updated/, n)
          seen.add(orderIn(join(run.dir, 'bundle.json')))
          // Alternately with a second trust domain, so that there is something to write.
          run.agent.serve({ jwtBundles: await fourKeys(n % 2 === 0 ? [] : ['other.test']) })
        }
        run.note('orders', seen.size === 1 ? 'one' : 'several')
        run.signal('SIGTERM')
      },
    },
    { original: { orders: 'several' }, ours: { orders: 'one' } },
  )
  better(
    {
      name: 'equal bytes are not written, and nobody is signalled',
      config: `${childConfig}renew_signal = "SIGHUP"\n`,
      steps: async (run) => {
        await run.until('the child is ready', () => run.child.lines.includes('ready'))
        const before = statSync(join(run.dir, 'svid.pem'))
        await delay(50)
        for (let n = 0; n < 5; n++) {
          run.agent.push()
          await delay(100)
        }
        const { mtimeNs, ino } = statSync(join(run.dir, 'svid.pem'), { bigint: true })
        run.note('the file', mtimeNs / 1_000_000n === BigInt(Math.floor(before.mtimeMs)) && ino === BigInt(before.ino) ? 'is untouched' : 'was written')
        run.note('the child', run.child.lines.includes('signal SIGHUP') ? 'was signalled' : 'was left alone')
        run.signal('SIGTERM')
      },
    },
    { original: { 'the file': 'was written', 'the child': 'was signalled' }, ours: { 'the file': 'is untouched', 'the child': 'was left alone' } },
  )
})

const short = tokens({ ttlSeconds: 3 })
