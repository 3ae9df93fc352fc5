// Raw HTTP with mistakes, by the thousand: no end, no hang, no credentials for who may not have them, and no memory that grows.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seeded } from '../support/random.ts'
import { exchange, type Subject, withDaemon } from './support.ts'

const seed = Number(process.env['SVIDECAR_FUZZ_SEED'] ?? 20_261_122)
const inputs = Number(process.env['SVIDECAR_FUZZ_INPUTS'] ?? 20_000)
const atOnce = 32
const mostGrowth = 40 << 20

/** Requests that are right, but for the secret that each of them lacks. */
const seeds: Readonly<Record<string, readonly string[]>> = {
  container: [
    'GET /v1/credentials HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: TOKEN\r\nAccept: */*\r\n\r\n',
    'GET /v1/credentials/app HTTP/1.1\r\nHost: localhost\r\nAuthorization: TOKEN\r\n\r\n',
  ],
  imds: [
    'PUT /latest/api/token HTTP/1.1\r\nHost: 127.0.0.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\r\n',
    'GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-aws-ec2-metadata-token: TOKEN\r\n\r\n',
    'GET /latest/meta-data/iam/security-credentials/web HTTP/1.1\r\nHost: 127.0.0.1\r\nX-aws-ec2-metadata-token: TOKEN\r\n\r\n',
  ],
  metrics: ['GET /metrics HTTP/1.1\r\nHost: 10.0.0.1:9913\r\n\r\n', 'HEAD /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'],
  status: ['GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', 'GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: none\r\n\r\n'],
}

const pieces = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '\t',
  ':',
  '/',
  '//',
  '..',
  '%2e%2e',
  '%00',
  ';',
  '?',
  '#',
  '\u00ff',
  'HTTP/1.1',
  'HTTP/0.9',
  'HTTP/9.9',
  'GET ',
  'CONNECT ',
  'OPTIONS ',
  'Host: evil.example\r\n',
  'Host: 127.0.0.1\r\n',
  'Origin: null\r\n',
  'X-Forwarded-For:\r\n',
  'Via: 1.1 x\r\n',
  'Forwarded: for=1\r\n',
  'Sec-Fetch-Site: cross-site\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: -1\r\n',
  'Content-Length: 99999999999\r\n',
  'Connection: keep-alive\r\n',
  'Connection: Upgrade\r\nUpgrade: h2c\r\n',
  'Expect: 100-continue\r\n',
  'Authorization: \r\n',
  'Authorization: Bearer x\r\n',
  '5\r\nhello\r\n0\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'X: '.padEnd(9_000, 'a'),
]

/** One request of the seeds with some mistakes. `secret` stands where a token would. */
function mutate(text: string, secret: string, random: () => number): Buffer {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  let bytes = Buffer.from(text.replaceAll('TOKEN', secret), 'latin1')
  for (let count = 1 + Math.floor(random() * 4); count > 0; count--) {
    const at = Math.floor(random() * (bytes.length + 1))
    const length = Math.floor(random() * 12)
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)]
    const [first = '', ...lines] = bytes.toString('latin1').split('\r\n')
    bytes = pick([
      () => Buffer.concat([before, Buffer.from(pick(pieces), 'latin1'), after]),
      () => Buffer.concat([before, after.subarray(length)]),
      () => Buffer.concat([before, Buffer.from([Math.floor(random() * 256)]), after.subarray(1)]),
      () => Buffer.concat([bytes, bytes]),
      () => Buffer.from([first, pick(pieces).trim(), ...lines].join('\r\n'), 'latin1'),
      () => bytes.subarray(0, at),
    ])()
  }
  return bytes
}

interface Counts {
  [outcome: string]: number
}

/** Plays many inputs on one listener; throws at the first answer that should not be. */
async function fuzz(subject: Subject, name: string, count: number, random: () => number): Promise<Counts> {
  const counts: Counts = {}
  const port = subject.ports[name] ?? 0
  let left = count
  const one = async () => {
    while (left-- > 0) {
      const text = seeds[name]?.[Math.floor(random() * (seeds[name]?.length ?? 0))] ?? ''
      const bytes = mutate(text, 'x'.repeat(43), random)
      const answer = await exchange(port, bytes)
      const told = () => `seed ${seed}, ${name}: ${JSON.stringify(bytes.toString('latin1'))}`
      assert.notEqual(answer, 'hang', told())
      const whole = answer.toString('latin1')
      assert.doesNotMatch(whole, /AccessKeyId|SecretAccessKey/, told())
      const statuses = [...whole.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => status)
      if (name === 'container') assert.ok(!statuses.includes('200'), told())
      assert.ok(!statuses.includes('500'), told())
      const outcome = statuses[0] ?? 'closed'
      counts[outcome] = (counts[outcome] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return counts
}

test(`twice ${inputs} requests with mistakes end, give nothing away, and leave no trace in memory`, { timeout: 300_000 }, (t) =>
  withDaemon(false, async (subject) => {
    const random = seeded(seed)
    const names = Object.keys(seeds)
    // What the first round takes the collector only gives back when it must; a second one takes no more.
    for (const name of names) await fuzz(subject, name, Math.ceil(inputs / names.length), random)
    const before = subject.memory()
    for (const name of names) {
      const counts = await fuzz(subject, name, Math.ceil(inputs / names.length), random)
      t.diagnostic(
        `${name}: ${Object.entries(counts)
          .toSorted(([a], [b]) => Number(a) - Number(b))
          .map(([status, n]) => `${status} × ${n}`)
          .join(', ')}`,
      )
    }
    const growth = subject.memory() - before
    t.diagnostic(`memory: ${Math.round(before / (1 << 20))} MB, then ${Math.round(growth / (1 << 20))} MB more`)
    assert.ok(subject.alive())
    assert.ok(growth < mostGrowth, `${growth} bytes more`)
    const good = await exchange(subject.ports['container'] ?? 0, Buffer.from((seeds['container']?.[0] ?? '').replace('TOKEN', subject.token)))
    assert.match(String(good), /^HTTP\/1\.1 200 [^]*"AccessKeyId":"ASIA/)
  }),
)

test('with the right token a request that a guard must refuse gets nothing, whatever else is wrong with it', { timeout: 120_000 }, (t) =>
  withDaemon(false, async (subject) => {
    const random = seeded(seed + 1)
    const bad = [
      'Origin: http://a',
      'X-Forwarded-For: 1',
      'Via: 1.1 a',
      'Forwarded:',
      'X-Real-IP: 1',
      'Sec-Fetch-Site: same-site',
      'Host: evil.example',
      'Transfer-Encoding: chunked',
      'Content-Length: 3',
    ]
    const spaced = ['', ' ', '\t']
    let played = 0
    for (let n = 0; n < 2_000; n++) {
      const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
      const line = pick(bad).replace(/: ?/, () => `:${pick(spaced)}`)
      const spelled = random() < 0.5 ? line : line.replace(/^[\w-]+/, (word) => (random() < 0.5 ? word.toUpperCase() : word.toLowerCase()))
      const lines = [...(spelled.toLowerCase().startsWith('host') ? [] : ['Host: 127.0.0.1']), `Authorization: ${subject.token}`]
      lines.splice(Math.floor(random() * (lines.length + 1)), 0, spelled)
      const answer = await exchange(subject.ports['container'] ?? 0, Buffer.from(`GET /v1/credentials HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`))
      assert.doesNotMatch(String(answer), /^HTTP\/1\.1 200|AccessKeyId/m, `seed ${seed + 1}: ${JSON.stringify(lines)}`)
      played++
    }
    t.diagnostic(`${played} refused`)
  }),
)
