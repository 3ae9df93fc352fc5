// What helper.conf becomes for the daemon: paths as Go joins them, modes under umasks, the agent's address, and hooks.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ofIdentities } from '../../src/config/config.ts'
import { isFailure } from '../../src/core/errors.ts'
import { assembleHelperConfig, joined } from '../../src/spiffe-helper/configuration.ts'
import { loadText, small } from '../config/support.ts'
import { enough, read, type Surroundings, table } from './support.ts'

const x509 = 'svid_file_name = "s" svid_key_file_name = "k" svid_bundle_file_name = "r"\n'
const tokens = 'jwt_svids = [{ jwt_audience = "a", jwt_extra_audiences = ["x", "y"], jwt_svid_file_name = "t" }]\n'

const assemble = (text: string, mask = 0, around?: Surroundings) => assembleHelperConfig(read(text, around).helper, undefined, mask)
const filesOf = (text: string, mask?: number) => ofIdentities(assemble(text, mask).config.files)
const spelled = (mode: number) => mode.toString(8).padStart(4, '0')

table<readonly [string, string]>(
  'names are joined with the directory as path.Join of Go does it',
  [
    [['', 'a'], 'a'],
    [['a', 'b'], 'a/b'],
    [['a/', '/b'], 'a/b'],
    [['/a', '/b'], '/a/b'],
    [['', '/opt/x'], '/opt/x'],
    [['certs', '/abs/x'], 'certs/abs/x'],
    [['a', '../b'], 'b'],
    [['a', '../../b'], '../b'],
    [['', '../b'], '../b'],
    [['', './b'], 'b'],
    [['.', 'b'], 'b'],
    [['./a', 'b'], 'a/b'],
    [['/', 'b'], '/b'],
    [['/', '/'], '/'],
    [['a//b', 'c//d'], 'a/b/c/d'],
    [['/..', 'x'], '/x'],
    [['..', '..'], '../..'],
    [['', '//x'], '/x'],
    [['//a', 'x'], '/a/x'],
    [[' ', 'é x'], ' /é x'],
    [['a', '.'], 'a'],
    [['a', 'b/'], 'a/b'],
    [['', 'b/'], 'b'],
    [['', 'a/b/../c/'], 'a/c'],
  ],
  ([directory, name]) => joined(directory, name),
)

test('all files lie below cert_dir, and the pid file does not', () => {
  const { config, outputs } = assemble(`cert_dir = "certs" ${x509}${tokens}${enough}pid_file_name = "p" renew_signal = "SIGHUP"`)
  assert.deepEqual(
    config.files.map((file) => (file.kind === 'x509' ? file.names : file.path)),
    [{ certificate: 'certs/s', key: 'certs/k', bundle: 'certs/r' }, 'certs/b', 'certs/t'],
  )
  assert.deepEqual([...outputs.values()], [undefined, 'certs/b', 'certs/t'])
  assert.deepEqual(config.hooks[0]?.action, { kind: 'signal', pidFile: 'p', signal: 'SIGHUP' })
})

const masks: readonly (readonly [umask: number, given: string, modes: readonly string[]])[] = [
  [0o022, '', ['0644', '0600', '0600', '0600']],
  [0o027, '', ['0640', '0600', '0600', '0600']],
  [0o077, '', ['0600', '0600', '0600', '0600']],
  [0o000, '', ['0644', '0600', '0600', '0600']],
  [0o022, '0666', ['0644', '0644', '0644', '0644']],
  [0o000, '0777', ['0777', '0777', '0777', '0777']],
  [0o077, '0444', ['0400', '0400', '0400', '0400']],
  [0o777, '0644', ['0000', '0000', '0000', '0000']],
  [0o022, '01644', ['0644', '0644', '0644', '0644']],
]
test('modes are what the umask leaves of them', () => {
  const modesOf = (mask: number, given: string): readonly string[] => {
    const set = given === '' ? '' : ['cert', 'key', 'jwt_bundle', 'jwt_svid'].map((what) => `${what}_file_mode = ${given}\n`).join('')
    const files = filesOf(`${x509}${tokens}${enough}${set}`, mask)
    return files.flatMap((file) => (file.kind === 'x509' ? [spelled(file.mode), spelled(file.keyMode)] : [spelled(file.mode)]))
  }
  assert.deepEqual(
    masks.map(([mask, given]) => [mask, given, modesOf(mask, given)]),
    masks,
  )
})

test('a mode that is not said, or zero, does not change a file that was there', () => {
  const kept = (text: string) =>
    filesOf(`${x509}${tokens}${enough}${text}`).map((file) => (file.kind === 'x509' ? [file.keepMode, file.keepKeyMode] : file.keepMode))
  assert.deepEqual(kept(''), [[true, true], true, true])
  assert.deepEqual(kept('cert_file_mode = 0 key_file_mode = 0 jwt_bundle_file_mode = 0 jwt_svid_file_mode = 0'), [[true, true], true, true])
  assert.deepEqual(kept('cert_file_mode = 0644'), [[false, true], true, true])
  assert.deepEqual(kept('key_file_mode = 0600'), [[true, false], true, true])
  assert.deepEqual(kept('jwt_bundle_file_mode = 0600'), [[true, true], false, true])
  assert.deepEqual(kept('jwt_svid_file_mode = 0600'), [[true, true], true, false])
})

table(
  'the agent is at a bare path, or at a URI of the Workload API standard',
  [
    ['/a.sock', 'unix:///a.sock'],
    ['unix:///a.sock', 'unix:///a.sock'],
    ['unix:/a.sock', 'unix:///a.sock'],
    ['tcp://127.0.0.1:80', 'tcp://127.0.0.1:80'],
    ['/tcp:/x', 'unix:///tcp:/x'],
    ['a.sock', 'socket_address_invalid'],
    ['spire-agent\\\\public', 'socket_address_invalid'],
    ['/tmp/a b/x.sock', 'unix:///tmp/a b/x.sock'],
    ['unix:///tmp/a b/x.sock', 'unix:///tmp/a b/x.sock'],
    ['tcp://127.0.0.1:80 ', 'socket_address_invalid'],
    ['http://x', 'socket_address_invalid'],
    ['/a?b', 'socket_address_invalid'],
    ['/a#b', 'socket_address_invalid'],
  ],
  (address) => {
    try {
      return assemble(`${enough}agent_address = "${address}"`).config.identities[0]?.workloadApi.text
    } catch (error) {
      return isFailure(error) ? error.code : error
    }
  },
)

test('the identity is the hinted one, else whichever comes first', () => {
  const of = (text: string) => assemble(enough + text).config.identities.map(({ hint, followFirst }) => [hint, followFirst])
  assert.deepEqual(of(''), [[undefined, true]])
  assert.deepEqual(of('hint = ""'), [[undefined, true]])
  assert.deepEqual(of('hint = "h"'), [['h', false]])
})

test('the X.509 files have intermediates and federated bundles where they are asked for', () => {
  const of = (text: string) => filesOf(x509 + text).map((file) => file.kind === 'x509' && [file.intermediates, file.federated, file.omitExpired])
  assert.deepEqual(of(''), [['certificate', 'none', false]])
  assert.deepEqual(of('add_intermediates_to_bundle = true include_federated_domains = true omit_expired = true'), [['bundle', 'merged', true]])
})

test('a token has all of its audiences, and stays when it expires', () => {
  assert.deepEqual(
    filesOf(tokens).map((file) => file.kind === 'jwt' && [file.audience, file.removeExpired]),
    [[['a', 'x', 'y'], false]],
  )
})

test('nothing is removed at the end', () => {
  assert.deepEqual(
    filesOf(`${x509}${tokens}${enough}`).map(({ removeAtStop }) => removeAtStop),
    [false, false, false],
  )
})

test('of two outputs in one file only the last write would be left, so both are named; an entry that is there twice counts once', () => {
  const entry = (audience: string, name: string) => `{ jwt_audience = "${audience}", jwt_svid_file_name = "${name}" }`
  assert.equal(filesOf(`jwt_svids = [${entry('a', 't')}, ${entry('a', 't')}]`).length, 1)
  const refused = (text: string, keys: string) =>
    assert.throws(() => filesOf(text), { code: 'config_invalid', message: new RegExp(`^${keys} are one file, `) }, text)
  refused(`jwt_svids = [${entry('a', 't')}, ${entry('b', './t')}]`, 'jwt_svids\\[0\\] and jwt_svids\\[1\\]')
  refused(`${x509}jwt_bundle_file_name = "x/../r"`, 'svid_bundle_file_name and jwt_bundle_file_name')
  refused(`${x509.replace('"k"', '"s"')}`, 'svid_file_name and svid_key_file_name')
})

test('a file that svidecar_config writes, too, is refused, under whatever name', async () => {
  const identity = 'identities: { default: { workload_api: "unix:///a.sock" } }\n'
  const bases = {
    set: 'x509: { directory: /d/set, certificate: c.pem, key: k.pem, bundle: b.pem, combined: all.pem }',
    token: 'jwt: { audience: [a], path: /d/token }',
    bundle: 'jwt_bundle: { path: /d/bundle }',
  }
  const base = await loadText(
    `${identity}files: [ ${Object.values(bases)
      .map((one) => `{ ${one} }`)
      .join(', ')} ]\n`,
  )
  const on = (text: string) => assembleHelperConfig(read(text).helper, base, 0).config
  const set = (certificate: string, key: string, bundle: string) =>
    `svid_file_name = "${certificate}" svid_key_file_name = "${key}" svid_bundle_file_name = "${bundle}"\n`
  const token = (name: string) => `jwt_svids = [{ jwt_audience = "a", jwt_svid_file_name = "${name}" }]\n`
  const rows: readonly (readonly [text: string, key: string, path: string])[] = [
    [set('/d/token', 'k', 'r'), 'svid_file_name', '/d/token'],
    [`cert_dir = "/d//set/" ${set('s', './k.pem', 'r')}`, 'svid_key_file_name', '/d/set/k.pem'],
    [`cert_dir = "/d" ${set('s', 'k', 'x/../bundle')}`, 'svid_bundle_file_name', '/d/bundle'],
    [token('/d/set/c.pem'), 'jwt_svids\\[0\\]', '/d/set/c.pem'],
    [token('/d/set/all.pem'), 'jwt_svids\\[0\\]', '/d/set/all.pem'],
    ['jwt_bundle_file_name = "/d/set/b.pem"', 'jwt_bundle_file_name', '/d/set/b.pem'],
    ['jwt_bundle_file_name = "/d/token"', 'jwt_bundle_file_name', '/d/token'],
  ]
  for (const [text, key, path] of rows)
    assert.throws(() => on(text), { code: 'config_invalid', message: new RegExp(`^a file of svidecar_config and ${key} are one file, ${path},`) }, text)
  assert.equal(on(`cert_dir = "/d" ${set('c.pem', 'k.pem', 'b.pem')}${token('tokens')}`).files.length, 5, 'others are not')
})

const cmd = `${x509}cmd = "c" `
test('cmd is started, and told of an update if there is a signal', () => {
  const of = (text: string) => assemble(cmd + text).config.hooks.map(({ on, action }) => [on, action])
  assert.deepEqual(of(''), [[['x509'], { kind: 'child', command: ['c'], restart: false }]])
  assert.deepEqual(of('cmd_args = "-a \\"b c\\"" renew_signal = "SIGHUP"'), [
    [['x509'], { kind: 'child', command: ['c', '-a', 'b c'], restart: false, signal: 'SIGHUP' }],
  ])
})

test('cmd comes before the pid file', () => {
  const { config } = assemble(`${cmd}pid_file_name = "p" renew_signal = "SIGHUP"`)
  assert.deepEqual(
    config.hooks.map(({ action }) => action.kind),
    ['child', 'signal'],
  )
})

test('run once, nothing is started and nobody is told', () => {
  const { config, warnings, badArguments } = assemble(`${cmd}cmd_args = "\\"" renew_signal = "nonsense"`, 0, { daemonMode: false })
  assert.deepEqual([config.hooks, warnings, badArguments], [[], [], undefined])
})

test('cmd_args that cannot be read are a warning at the start, and the complaint of the original at each update', () => {
  const { config, warnings, badArguments } = assemble(`${cmd}cmd_args = "\\"a"`)
  assert.deepEqual(config.hooks, [])
  assert.equal(badArguments, 'error parsing cmd arguments: parse error on line 1, column 3: extraneous or missing " in quoted-field')
  assert.deepEqual(warnings, ['cmd_args cannot be read, and cmd will not be started: parse error on line 1, column 3: extraneous or missing " in quoted-field'])
})

test('cmd_args without cmd are not looked at', () => {
  const { warnings, badArguments } = assemble(`${x509}cmd_args = "\\"a"`)
  assert.deepEqual([warnings, badArguments], [[], undefined])
})

test('a signal is one of the names that the original knows, and any other is a warning', () => {
  const known =
    'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'
  const unknown = ['HUP', 'sighup', '1', 'SIGIOT', 'SIGPOLL', 'SIGCLD', 'SIGRTMIN', 'SIGUNUSED', 'SIGINFO', 'SIG', 'toString', ' SIGHUP', 'SIGHUP ']
  const warned = (name: string): boolean => assemble(`${cmd}renew_signal = "${name}"`).warnings.length > 0
  assert.deepEqual(
    known
      .split(' ')
      .map((name) => `SIG${name}`)
      .filter(warned),
    [],
  )
  assert.deepEqual(unknown.filter(warned), unknown)
})

test('what helper.conf asks for comes on top of a configuration of svidecar', async () => {
  const base = await loadText(small)
  const { config } = assembleHelperConfig(read(`${x509}cmd = "c"`).helper, base, 0)
  assert.deepEqual(
    config.identities.map(({ name }) => name),
    ['default', 'helper.conf'],
  )
  assert.deepEqual(
    [config.profiles, config.consumers, config.containerEndpoint, config.runtimeDir],
    [base.profiles, base.consumers, base.containerEndpoint, base.runtimeDir],
  )
  assert.deepEqual([config.files.length, config.hooks.length], [base.files.length + 1, base.hooks.length + 1])
})
