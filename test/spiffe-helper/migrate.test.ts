// helper.conf as svidecar's own YAML: it loads, it means the same, and each thing that differs has its comment.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Config } from '../../src/config/config.ts'
import { migrate } from '../../src/spiffe-helper/migrate.ts'
import { call, folder, writeConfig } from '../cli/support.ts'
import { loadText } from '../config/support.ts'
import { samples } from './samples.ts'
import { enough, verdict } from './support.ts'

const x509 = 'svid_file_name = "/s/a" svid_key_file_name = "/s/k" svid_bundle_file_name = "/s/b"\n'
const load = (text: string): Promise<Config> => loadText(migrate(text, {}))
/** The three names of the X.509 files. */
const namesOf = (file: Config['files'][number] | undefined) => (file?.kind === 'x509' ? [file.names.certificate, file.names.key, file.names.bundle] : undefined)
const token = (audience: string, more = '') => `jwt_svids = [{ jwt_audience = "${audience}", jwt_svid_file_name = "/t"${more} }]\n`

for (const [name, text] of Object.entries(samples).filter(([sample]) => !/windows/i.test(sample)))
  test(`${name} of spiffe-helper becomes YAML that loads and writes the same files`, async () => {
    const { files, hooks, identities } = await load(text)
    const said = (key: string) => new RegExp(`^${key} = "(.*)"$`, 'm').exec(text)?.[1]
    const [first] = files
    assert.ok(first?.kind === 'x509')
    assert.deepEqual(namesOf(first), [said('svid_file_name'), said('svid_key_file_name'), said('svid_bundle_file_name')])
    assert.ok(first.directory?.endsWith((said('cert_dir') ?? '').replace(/\/$/, '')), first.directory)
    assert.equal(first.intermediates, /^add_intermediates_to_bundle = true/m.test(text) ? 'bundle' : 'certificate')
    assert.equal(hooks.length, said('cmd') && !name.includes('no-daemon') ? 1 : 0)
    assert.equal(identities[0]?.workloadApi.text, `unix://${said('agent_address') ?? '/tmp/spire-agent/public/api.sock'}`)
    assert.equal(files.filter(({ kind }) => kind === 'jwt').length, text.includes('jwt_svids') ? 1 : 0)
    assert.equal(files.filter(({ kind }) => kind === 'jwt_bundle').length, text.includes('jwt_bundle_file_name') ? 1 : 0)
  })

test('arguments are split as spiffe-helper splits them', async () => {
  const { hooks } = await load(samples['examples/postgresql/helper.conf'] ?? '')
  const action = hooks[0]?.action
  assert.deepEqual(action?.kind === 'child' && action.command, ['/usr/bin/psql', '-p', '5432', '-c', 'SELECT pg_reload_conf();'])
})

const modeRows: readonly (readonly [given: string, mode: string])[] = [
  ['', '0644 0600'],
  ['cert_file_mode = 0444', '0444 0600'],
  ['key_file_mode = 0444', '0644 0444'],
  ['cert_file_mode = 0600', '0600 0600'],
  ['cert_file_mode = 0', '0644 0600'],
  ['cert_file_mode = 0640 key_file_mode = 0640', '0640 0640'],
]
test('modes that svidecar has are taken over', async () => {
  const got = await Promise.all(
    modeRows.map(async ([given]) => {
      const [file] = (await load(x509 + given)).files
      return [given, file?.kind === 'x509' ? [file.mode, file.keyMode].map((mode) => `0${mode.toString(8)}`).join(' ') : '']
    }),
  )
  assert.deepEqual(got, modeRows)
})

test('modes that svidecar does not have lose what is too much, and a comment says so', async () => {
  const yaml = migrate(`${x509}cert_file_mode = 0777 key_file_mode = 0666`, {})
  assert.match(yaml, /# cert_file_mode was 0777; nobody but the owner may write here, and nobody execute\./)
  assert.match(yaml, /# key_file_mode was 0666;/)
  const [file] = (await loadText(yaml)).files
  assert.deepEqual(file?.kind === 'x509' && [file.mode, file.keyMode], [0o644, 0o644])
})

const comments: readonly (readonly [text: string, comment: RegExp])[] = [
  [x509, /# choose: first follows whichever identity the agent puts first/],
  [x509, /# The three names become links into the newest generation/],
  [x509, /# A container that mounts single files of the directory must mount the directory\./],
  [`${x509}cert_file_mode = 0400`, /# Modes are set on every write, whatever the umask\./],
  [`${x509}include_federated_domains = true`, /# merged: any federated trust domain can then name anybody/],
  [`${x509}cmd = "c"`, /# The process is started again when it ends, and ended with svidecar/],
  [`${x509}daemon_mode = false`, /# daemon_mode = false: run this with `svidecar once`\./],
  [`${x509}daemon_mode = false cmd = "c"`, /# cmd is set but daemon_mode is false\. cmd will be ignored\./],
  [`${x509}"svidecar_config" = "/c"`, /# "svidecar_config" = "\/c": merge that file with this one\./],
  [enough, /# format: jwks is what JWT libraries read\./],
  [token('a'), /# A token is removed when it expires; spiffe-helper leaves it\./],
  [`${x509}health_checks { listener_enabled = true }`, /# Probes: \/live is \/livez, \/ready is \/readyz/],
  ['svid_file_name = "/a/x" svid_key_file_name = "/b/y" svid_bundle_file_name = "/c/z"', /# The files lay in different directories; a set lies in one\./],
]
for (const [text, comment] of comments) test(`what differs has a comment: ${comment.source.slice(2, 60)}`, () => assert.match(migrate(text, {}), comment))

const dots = 'svid_file_name = "/s/.a" svid_key_file_name = "/s/..b.key" svid_bundle_file_name = "/s/c.pem"\n'
const dotted: readonly (readonly [text: string, names: readonly string[]])[] = [
  [dots, ['a', 'b.key', 'c.pem']],
  [dots.replace('c.pem', '.a'), ['a', 'b.key', 'a.bundle']],
  [dots.replace('.a', '...').replace('c.pem', '....'), ['svid', 'b.key', 'svid.bundle']],
]
test('names with dots in front, which are generations of svidecar, become others that its check accepts, and a comment says so', async (t) => {
  const directory = await folder(t)
  for (const [text, names] of dotted) {
    const yaml = migrate(text, {})
    assert.match(yaml, /# Names with a dot in front are generations here, so the dot is gone\./)
    const { status, err } = await call(['check', '--config', await writeConfig(directory, yaml)])
    assert.deepEqual([status, err], [0, ''], yaml)
    assert.deepEqual(namesOf((await loadText(yaml)).files[0]), names)
  }
  assert.doesNotMatch(migrate(dots.replace('.a', 'a').replace('..b', 'b.'), {}), /dot in front/)
})

test('where there is a hint it chooses the identity, and there is no comment about it', async () => {
  const yaml = migrate(`${x509}hint = "h"`, {})
  assert.doesNotMatch(yaml, /choose/)
  assert.deepEqual(
    (await loadText(yaml)).identities.map(({ hint, followFirst }) => [hint, followFirst]),
    [['h', undefined]],
  )
})

test('the health port becomes the metrics endpoint', async () => {
  assert.deepEqual((await load(`${x509}health_checks { listener_enabled = true bind_port = 9 }`)).metricsEndpoint?.listen, { host: '0.0.0.0', port: 9 })
})

test('what spiffe-helper refuses is refused in its words', () => {
  for (const text of ['', 'foo = 1', x509.replace('/s/b', ''), `${x509}cert_file_mode = -1`, `${x509}pid_file_name = "p"`, 'cmd = true', '@'])
    assert.throws(() => migrate(text, {}), { message: verdict(text) })
})

test('the agent of the environment is taken over', async () => {
  const { identities } = await loadText(migrate(x509, { SPIFFE_ENDPOINT_SOCKET: 'unix:///e.sock' }))
  assert.equal(identities[0]?.workloadApi.text, 'unix:///e.sock')
})

// Everything below starts in spiffe-helper, so its YAML has to load, and to mean the same.
const audiences: readonly (readonly [audience: string])[] = [
  ['sts.amazonaws.com'],
  ['5'],
  ['1.5'],
  ['true'],
  ['null'],
  ['~'],
  ['a b'],
  ['a: b'],
  ['#a'],
  ['a #b'],
  ['-'],
  ['*a'],
  ['&a'],
  ['!a'],
  ['{a}'],
  ['é'],
  ["'a'"],
  ['https://a/b?c'],
  ['a,b'],
  ['1e3'],
  ['0x1f'],
  ['0o17'],
  ['.inf'],
  ['.nan'],
  ['a:'],
  ['${HOME}'],
]
for (const [audience] of audiences)
  test(`a text arrives as it was: ${audience}`, async () => {
    const [file] = (await load(token(audience))).files
    assert.deepEqual(file?.kind === 'jwt' && file.audience, [audience])
  })

const starts: readonly (readonly [name: string, text: string])[] = [
  ['several lines in cmd', `${x509}cmd = "a\\nb"`],
  ['further audiences', token('a', ', jwt_extra_audiences = ["b", "c"]')],
  ['a path of the agent with blanks', `${x509}agent_address = "/a b/c"`],
  ['equal paths', `${x509}${token('a')}jwt_bundle_file_name = "/t"`],
  ['a token over a certificate', `${x509}jwt_bundle_file_name = "/s/a"`],
  ['equal audiences', token('a', ', jwt_extra_audiences = ["a"]')],
  ['empty arguments', `${x509}cmd = "c" cmd_args = "a  b"`],
  ['a pid file', `${x509}pid_file_name = "p" renew_signal = "SIGHUP"`],
  ['a signal', `${x509}cmd = "c" renew_signal = "SIGKILL"`],
  ['relative files', 'svid_file_name = "a" svid_key_file_name = "b" svid_bundle_file_name = "c"'],
  ['files above', 'svid_file_name = "../a" svid_key_file_name = "../b" svid_bundle_file_name = "../c"'],
  ['a signal that is none', `${x509}cmd = "c" renew_signal = "hup"`],
  ['a signal that is YAML', `${x509}cmd = "c" renew_signal = "SIGHUP, restart: x"`],
  ['a pid file and a signal that is none', `${x509}pid_file_name = "p" renew_signal = "hup"`],
  ['arguments that cannot be read', `${x509}cmd = "c" cmd_args = "\\"a"`],
  ['a path of probes with a line end', `${x509}health_checks { listener_enabled = true liveness_path = "/l\\nx: 1" }`],
  ['a port that is none', `${x509}health_checks { listener_enabled = true bind_port = 99999 }`],
  ['one name for all files', 'svid_file_name = "/a" svid_key_file_name = "/a" svid_bundle_file_name = "/a"'],
  ['equal names in different directories', 'svid_file_name = "/a/x" svid_key_file_name = "/b/x" svid_bundle_file_name = "/c/x"'],
  ['an empty further audience', token('a', ', jwt_extra_audiences = [""]')],
]
for (const [name, text] of starts)
  test(`what spiffe-helper starts with becomes YAML that loads: ${name}`, async () => {
    assert.equal(verdict(text), 'ok')
    await load(text)
  })

const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,8}\.(pem|key|crt|jwt)$/)
const word = fc.stringMatching(/^[ -~]{1,12}$/).filter((one) => !/\$\{|:$|^[\d.]|^0/.test(one))
const quoted = (one: string) => JSON.stringify(one)
test('generated configurations become YAML that loads and means the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(name, { minLength: 5, maxLength: 5 }),
      fc.constantFrom('', '/certs', 'certs', '/a b/c', '/é'),
      fc.array(word, { maxLength: 4 }),
      word,
      fc.constantFrom('', 'SIGHUP', 'SIGUSR1'),
      fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      fc.constantFrom(0, 0o400, 0o444, 0o600, 0o640, 0o644),
      async ([certificate = '', key = '', bundle = '', jwt = '', jwks = ''], directory, words, audience, signal, [first, second, third, probes], mode) => {
        const args = words.map((one) => `"${one.replaceAll('"', '""')}"`).join(' ')
        const text = [
          `svid_file_name = ${quoted(certificate)} svid_key_file_name = ${quoted(key)} svid_bundle_file_name = ${quoted(bundle)}`,
          `cert_dir = ${quoted(directory)} cmd = "c" cmd_args = ${quoted(args)} renew_signal = ${quoted(signal)} cert_file_mode = ${mode}`,
          `jwt_svids = [{ jwt_audience = ${quoted(audience)}, jwt_svid_file_name = ${quoted(jwt)} }] jwt_bundle_file_name = ${quoted(jwks)}`,
          `add_intermediates_to_bundle = ${first} include_federated_domains = ${second} omit_expired = ${third}`,
          `health_checks { listener_enabled = ${probes} }`,
        ].join('\n')
        const { files, hooks, metricsEndpoint } = await load(text)
        const [set, trust, file] = files
        assert.ok(set?.kind === 'x509' && trust?.kind === 'jwt_bundle' && file?.kind === 'jwt')
        assert.deepEqual(namesOf(set), [certificate, key, bundle])
        assert.deepEqual(
          [set.intermediates, set.federated, set.omitExpired, set.mode],
          [first ? 'bundle' : 'certificate', second ? 'merged' : 'none', third, mode || 0o644],
        )
        assert.deepEqual([file.audience, file.mode, trust.mode, trust.format], [[audience], 0o600, 0o600, 'spiffe-helper'])
        const action = hooks[0]?.action
        assert.deepEqual(action?.kind === 'child' && [action.command, action.signal ?? ''], [['c', ...words], signal])
        assert.equal(metricsEndpoint !== undefined, probes)
      },
    ),
    { numRuns: 100 },
  )
})
