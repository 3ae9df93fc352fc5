// The original's own configurations, and what it says when one key or value of them is changed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outdated, samples } from './samples.ts'
import { read, verdict } from './support.ts'

const integers = ['cert_file_mode', 'key_file_mode', 'jwt_bundle_file_mode', 'jwt_svid_file_mode']
const booleans = ['add_intermediates_to_bundle', 'daemon_mode']
const x509 = ['svid_file_name', 'svid_key_file_name', 'svid_bundle_file_name']
const allOrNone = "all or none of 'svid_file_name', 'svid_key_file_name', 'svid_bundle_file_name' must be specified"

interface Pair {
  readonly sample: string
  readonly lines: readonly string[]
  readonly index: number
  readonly key: string
  /** Where the value begins: "3:7". */
  readonly at: string
}

/** Every line of the form key = value at the top of a sample. */
const pairs: readonly Pair[] = Object.entries(samples).flatMap(([sample, text]) => {
  const lines = text.split('\n')
  return lines.flatMap((line, index) => {
    const [before, key = ''] = /^([a-z0-9_]+) = /.exec(line) ?? []
    const whole = !/[[{]$/.test(line)
    return before === undefined || !whole ? [] : [{ sample, lines, index, key, at: `${index + 1}:${before.length + 1}` }]
  })
})

const changed = ({ lines, index }: Pair, change: (line: string) => string): string => lines.with(index, change(lines[index] ?? '')).join('\n')
const withValue = (pair: Pair, value: string): string => changed(pair, () => `${pair.key} = ${value}`)

/** Every change of every sample, with the file and the line in the report. */
function everywhere(promise: string, some: (pair: Pair) => boolean, change: (pair: Pair) => string, says: (pair: Pair) => string): void {
  test(promise, () => {
    const chosen = pairs.filter(some)
    assert.ok(chosen.length >= 4, `${chosen.length} lines`)
    const told = (what: (pair: Pair) => string) => chosen.map((pair) => `${pair.sample}:${pair.index + 1}: ${what(pair)}`)
    assert.deepEqual(
      told((pair) => verdict(change(pair))),
      told(says),
    )
  })
}

const kindOf = ({ key }: Pair): 'int' | 'bool' | 'list' | 'string' =>
  integers.includes(key) ? 'int' : booleans.includes(key) ? 'bool' : key === 'jwt_svids' ? 'list' : 'string'

for (const [name, text] of Object.entries(samples))
  test(`${name} of spiffe-helper is read`, () => {
    const { helper, warnings } = read(text)
    assert.deepEqual(warnings, [])
    assert.equal(helper.x509?.certificate.endsWith('.pem') || helper.x509?.certificate.endsWith('.crt'), true)
    assert.equal(helper.daemonMode, !name.includes('no-daemon'))
  })

test('the sample of the README means what it says', () => {
  const { helper } = read(samples['README.md'] ?? '')
  assert.deepEqual(helper.modes, { cert: 0o444, key: 0o444, jwtBundle: 0o444, jwtSvid: 0o444 })
  assert.deepEqual(helper.jwtSvids, [
    { audience: 'your-audience', extraAudiences: ['your-extra-audience-1', 'your-extra-audience-2'], fileName: 'jwt_svid.token' },
  ])
  assert.deepEqual([helper.certDir, helper.renewSignal, helper.cmd, helper.jwtBundleFileName], ['certs', 'SIGUSR1', 'ghostunnel', 'bundle.json'])
})

test('444 of the test data is decimal, as the original reads it', () => {
  const { helper } = read(samples['cmd/spiffe-helper/config/testdata/helper.conf'] ?? '')
  assert.deepEqual(Object.values(helper.modes), [0o674, 0o674, 0o674, 0o674])
})

test('quotes inside the arguments of MySQL stay', () => {
  assert.equal(read(samples['examples/mysql/helper.conf'] ?? '').helper.cmdArgs, '-e "ALTER INSTANCE RELOAD TLS;"')
})

test('a configuration of an older release is refused for its key that is gone', () => {
  assert.equal(verdict(outdated), 'unknown top level key(s): timeout')
})

everywhere(
  'a mistyped key of a sample is unknown',
  () => true,
  (pair) => changed(pair, (line) => `x_${line}`),
  ({ key }) => `unknown top level key(s): x_${key}`,
)

everywhere(
  'the old name of a key of a sample is unknown',
  ({ key }) => key.includes('_'),
  (pair) => changed(pair, (line) => line.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())),
  (pair) => `unknown top level key(s): ${pair.key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
)

everywhere(
  'a key of a sample in capitals is the same key',
  () => true,
  (pair) => changed(pair, (line) => line.replace(pair.key, pair.key.toUpperCase())),
  () => 'ok',
)

everywhere(
  'a boolean instead of a text or an integer is refused at its place',
  (pair) => ['string', 'int'].includes(kindOf(pair)),
  (pair) => withValue(pair, 'true'),
  (pair) => `At ${pair.at}: root.${pair.key}: unknown type ${kindOf(pair) === 'string' ? 'for string ' : ''}*ast.LiteralType`,
)

everywhere(
  'a list instead of a text, an integer or a boolean is refused at its place',
  (pair) => kindOf(pair) !== 'list',
  (pair) => withValue(pair, '["x"]'),
  (pair) => `At ${pair.at}: root.${pair.key}: unknown type ${kindOf(pair) === 'string' ? 'for string ' : ''}*ast.ListType`,
)

everywhere(
  'an empty object instead of a text, an integer or a boolean is refused without a place',
  (pair) => kindOf(pair) !== 'list',
  (pair) => withValue(pair, '{}'),
  (pair) => `At -: root.${pair.key}: unknown type ${kindOf(pair) === 'string' ? 'for string ' : ''}*ast.ObjectList`,
)

everywhere(
  'a text instead of a boolean is refused',
  (pair) => kindOf(pair) === 'bool',
  (pair) => withValue(pair, '"true"'),
  (pair) => `At ${pair.at}: root.${pair.key}: unknown type *ast.LiteralType`,
)

everywhere(
  'a text that is no integer is refused without a place',
  (pair) => kindOf(pair) === 'int',
  (pair) => withValue(pair, '"rw-r--r--"'),
  () => 'strconv.ParseInt: parsing "rw-r--r--": invalid syntax',
)

everywhere(
  'a fraction is neither text nor integer',
  (pair) => ['string', 'int'].includes(kindOf(pair)),
  (pair) => withValue(pair, '1.5'),
  (pair) => `At ${pair.at}: root.${pair.key}: unknown type ${kindOf(pair) === 'string' ? 'for string ' : ''}*ast.LiteralType`,
)

everywhere(
  'a value without quotes is refused with its word',
  () => true,
  (pair) => withValue(pair, 'word'),
  ({ at }) => `At ${at}: Unknown token: ${at} IDENT word`,
)

everywhere(
  'a lost quote at the end is refused where the line ends',
  (pair) => kindOf(pair) === 'string' && pair.index < pair.lines.length - 1,
  (pair) => changed(pair, () => `${pair.key} = "lost`),
  ({ index, key }) => `At ${index + 1}:${`${key} = "lost`.length + 1}: literal not terminated`,
)

everywhere(
  'a lost equals sign makes two keys of a pair, and the next pair is in the way',
  (pair) => kindOf(pair) === 'string' && /^\w+ = /.test(pair.lines[pair.index + 1] ?? ''),
  (pair) => changed(pair, () => `${pair.key} "x"`),
  ({ lines, index }) => `At ${index + 2}:${(lines[index + 1] ?? '').indexOf('=') + 1}: nested object expected: LBRACE got: ASSIGN`,
)

everywhere(
  'one of the three names alone may not be empty',
  ({ key }) => x509.includes(key),
  (pair) => withValue(pair, '""'),
  () => allOrNone,
)

everywhere(
  'one of the three names alone may not be missing',
  ({ key }) => x509.includes(key),
  (pair) => changed(pair, () => ''),
  () => allOrNone,
)

everywhere(
  'every other key may be missing, or be empty',
  (pair) => !x509.includes(pair.key),
  (pair) => (kindOf(pair) === 'string' ? withValue(pair, '""') : changed(pair, () => '')),
  () => 'ok',
)

everywhere(
  'a negative mode is refused by its name',
  (pair) => kindOf(pair) === 'int',
  (pair) => withValue(pair, '-1'),
  ({ key }) => `${key.replace('_file_mode', '').replaceAll('_', ' ')} file mode must be positive`,
)

everywhere(
  'a pid file needs a signal',
  ({ key }) => key === 'renew_signal',
  (pair) => changed(pair, () => 'pid_file_name = "pid"'),
  ({ sample }) =>
    sample.includes('no-daemon')
      ? 'pid_file_name is set but daemon_mode is false. pid_file_name is only supported in daemon_mode'
      : 'must specify renew_signal when using pid_file_name',
)
