// The house rules: who may import whom, where each package is at home, how long a file may be. Fails with the reason.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { missingEntries, readLock } from '../tools/complete-lock.ts'

const files = globSync('src/**/*.ts').sort()
const dev = globSync('test/support/world/*.ts')
const demo = globSync('demo/*.ts')
const room = (file: string): string => (file.startsWith('test/support/world/') ? 'dev' : (file.split('/')[1]?.replace(/\.ts$/, '') ?? ''))

interface Import {
  readonly file: string
  readonly target: string
  readonly dynamic: boolean
}

const imports: Import[] = [...files, ...dev].flatMap((file) => {
  const text = readFileSync(file, 'utf8')
  const found = (pattern: RegExp, dynamic: boolean) => [...text.matchAll(pattern)].map((match) => ({ file, target: match[1] ?? '', dynamic }))
  return [...found(/^(?:import|export)\s[^'"]*?from\s+'([^']+)'/gms, false), ...found(/^import\s+'([^']+)'/gm, false), ...found(/\bimport\('([^']+)'\)/g, true)]
})

/** The room or the file of a relative import: "core", "identity/sources.ts". */
const placeOf = ({ file, target }: Import): string => relative('src', join(dirname(file), target))

// docs/architecture.md shows the same table. Rooms, or single files of a room.
const mayImport: Readonly<Record<string, { readonly rooms: readonly string[]; readonly why: string; readonly dynamic?: readonly string[] }>> = {
  core: { rooms: ['core'], why: 'it is the floor: node: modules only' },
  spiffe: { rooms: ['core', 'spiffe'], why: 'the two vocabularies meet only in exchange' },
  aws: { rooms: ['core', 'aws'], why: 'the two vocabularies meet only in exchange' },
  identity: { rooms: ['core', 'spiffe', 'identity', '../proto/workload.ts'], why: 'an identity must not know what it buys' },
  exchange: { rooms: ['core', 'spiffe', 'aws', 'identity/sources.ts', 'exchange'], why: 'an exchange asks an interface, so any identity will do' },
  credentials: { rooms: ['core', 'aws', 'exchange/exchange.ts', 'credentials'], why: 'a store refreshes a function, not an identity' },
  endpoints: { rooms: ['core', 'spiffe', 'aws', 'credentials', 'identity/sources.ts', 'endpoints'], why: 'an outlet shows state, it cannot cause an exchange' },
  files: { rooms: ['core', 'spiffe', 'aws', 'identity/sources.ts', 'files'], why: 'an outlet shows state, it cannot cause an exchange' },
  hooks: { rooms: ['core', 'hooks'], why: 'whoever is told of news does not ask where they come from' },
  telemetry: { rooms: ['core', 'telemetry'], why: 'if it needs more than an event carries, the event is wrong' },
  config: { rooms: ['core', 'spiffe', 'aws', 'config'], why: 'stages have their own options; it checks with the nouns' },
  daemon: {
    rooms: ['core', 'spiffe', 'aws', 'identity', 'exchange', 'credentials', 'endpoints', 'files', 'hooks', 'telemetry', 'config', 'daemon'],
    why: 'it assembles everything but the front doors',
  },
  cli: {
    rooms: ['core', 'config', 'cli', 'spiffe/socket-address.ts', 'aws/provider-chain.ts'],
    dynamic: ['daemon', 'spiffe-helper'],
    why: 'a command that needs parts asks daemon/ for them, when it is called',
  },
  'spiffe-helper': {
    rooms: ['core', 'config', 'spiffe/socket-address.ts', 'cli/command.ts', 'cli/duration.ts', 'spiffe-helper'],
    dynamic: ['daemon'],
    why: 'a front door asks daemon/ for parts, when it is called',
  },
  main: { rooms: ['core', 'cli'], dynamic: ['spiffe-helper'], why: 'it is the door' },
  dev: { rooms: ['core', '../test/support/world', '../proto/workload.ts'], why: 'a fake that shares the code under test proves nothing' },
}

const inside = (place: string, rooms: readonly string[]): boolean => rooms.some((allowed) => place === allowed || place.startsWith(`${allowed}/`))

test('the demo is made of the development world and of core, and of nothing else of the product', () => {
  const foreign = demo.flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/from '(\.[^']+)'/g)].map(([, target = '']) => `${file} imports ${target}`))
  assert.deepEqual(
    foreign.filter((one) => !/ (\.\/|\.\.\/(src\/core|test\/support\/world)\/)/.test(one)),
    [],
  )
})

test('imports point where the table says', () => {
  const wrong = imports
    .filter(({ target }) => target.startsWith('.'))
    .filter((one) => {
      const rule = mayImport[room(one.file)]
      return rule === undefined || !inside(placeOf(one), [...rule.rooms, ...(one.dynamic ? (rule.dynamic ?? []) : [])])
    })
    .map((one) => `${one.file} imports ${placeOf(one)}: ${mayImport[room(one.file)]?.why ?? 'this room is not in the table'}`)
  assert.deepEqual(wrong, [])
})

const homes: Readonly<Record<string, readonly string[]>> = {
  '@grpc/grpc-js': ['src/identity/workload-api/client.ts', 'test/support/world/'],
  '@grpc/proto-loader': ['src/identity/workload-api/client.ts', 'test/support/world/'],
  protobufjs: ['src/identity/workload-api/client.ts', 'test/support/world/'],
  '@aws-sdk/credential-providers': ['src/exchange/sdk.ts'],
  '@aws-sdk/client-sts': ['test/support/world/'],
  fastify: ['src/endpoints/server.ts'],
  pino: ['src/telemetry/log.ts'],
  'prom-client': ['src/telemetry/metrics.ts'],
  'zod/mini': ['src/config/schema.ts', 'src/config/shape.ts'],
  'zod/v4/locales/en.js': ['src/config/shape.ts'],
  yaml: ['src/config/yaml.ts'],
  'fastest-levenshtein': ['src/config/mistakes.ts'],
  jose: ['test/support/world/'],
  '@peculiar/asn1-schema': ['test/support/world/certificate.ts'],
  '@peculiar/asn1-x509': ['test/support/world/certificate.ts'],
}

test('every package is used in its home and nowhere else', () => {
  const wrong = imports
    .filter(({ target }) => !target.startsWith('.') && !target.startsWith('node:'))
    .filter(({ file, target }) => !(homes[target] ?? []).some((home) => file === home || (home.endsWith('/') && file.startsWith(home))))
    .map(({ file, target }) => `${file} imports ${target}, which is at home in ${homes[target]?.join(', ') ?? 'no place of the table'}`)
  assert.deepEqual(wrong, [])
  const bare = imports
    .filter(({ target }) => !target.startsWith('node:') && builtinModules.includes(target))
    .map(({ file, target }) => `${file} imports ${target} without node:`)
  assert.deepEqual(bare, [])
})

test('heavy packages are imported on first use only', () => {
  const behind = { './yaml.ts': 'src/config/load.ts', './sdk.ts': 'src/exchange/web-identity.ts' }
  for (const [module, user] of Object.entries(behind)) {
    const uses = imports.filter(({ target }) => target === module)
    assert.ok(uses.length > 0 && uses.every(({ file, dynamic }) => file === user && dynamic), `${module} is imported by ${user}, when it is needed`)
  }
})

test('no file of the product or of the tests is too long to be read in one sitting', () => {
  const lines = (file: string): number => readFileSync(file, 'utf8').split('\n').length - 1
  const long = [...[...files, ...dev, ...demo].map((file) => [file, 240] as const), ...globSync('test/**/*.ts').map((file) => [file, 400] as const)]
    .filter(([file, most]) => lines(file) > most)
    .map(([file]) => `${file}: ${lines(file)} lines`)
  assert.deepEqual(long, [])
  const total = files.reduce((sum, file) => sum + lines(file), 0)
  assert.ok(total < 10_000, `src has ${total} lines; 10,000 are its limit`)
  const median = files.map(lines).toSorted((a, b) => a - b)[Math.floor(files.length / 2)] ?? 0
  assert.ok(median <= 110, `the median file has ${median} lines`)
})

test('every file opens with a sentence that says what it is', () => {
  const silent = [...files, ...dev, ...demo, ...globSync('test/**/*.ts')].filter((file) => !/^\/\/ \S.{15,}/.test(readFileSync(file, 'utf8')))
  assert.deepEqual(silent, [])
})

test('only the executable ends the process, and time comes from the clock', () => {
  const uses = (pattern: RegExp, except: readonly string[]) =>
    files.filter((file) => !except.some((prefix) => file.startsWith(prefix)) && pattern.test(readFileSync(file, 'utf8')))
  assert.deepEqual(uses(/process\.exit\(/, ['src/main.ts']), [])
  assert.deepEqual(uses(/Date\.now|performance\.now|process\.hrtime|setTimeout\(|setInterval\(/, ['src/core/clock.ts']), [])
  assert.deepEqual(uses(/Math\.random\(\)/, []), [], 'randomness is handed in')
})

test('the lock file has every optional package, so that `npm ci` takes it anywhere: run `node tools/complete-lock.ts`', () => {
  assert.deepEqual(missingEntries(readLock()), {})
})
