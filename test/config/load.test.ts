// Where the configuration comes from, and what a right one means.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { defaultRuntimeDir } from '../../src/config/resolve.ts'
import { anchorArn, load, loadText, mistakes, profileArn, roleArn, small, whole } from './support.ts'

async function fileOf(t: TestContext, text: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'config-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'config.yaml')
  await writeFile(path, text)
  return path
}

const marked = (zone: string) => small.replace('eu-west-1', zone)

test('a file with every key is accepted, and means what it says', async () => {
  const { identities, profiles, ...rest } = await loadText(whole)
  assert.deepEqual(identities, [
    {
      name: 'default',
      workloadApi: { kind: 'unix', path: '/run/spire/sockets/agent.sock', text: 'unix:///run/spire/sockets/agent.sock' },
      spiffeId: identities[0]?.spiffeId,
      hint: 'internal',
    },
    {
      name: 'other',
      workloadApi: { kind: 'tcp', host: '127.0.0.1', port: 8081, text: 'tcp://127.0.0.1:8081' },
      spiffeId: undefined,
      hint: undefined,
      followFirst: true,
    },
  ])
  const [app, reports] = profiles
  assert.ok(app?.method.kind === 'roles_anywhere' && reports?.method.kind === 'web_identity')
  assert.deepEqual(
    [app.method.trustAnchor.text, app.method.profile.text, app.method.role.text, app.method.durationSeconds],
    [anchorArn, profileArn, roleArn, 3_600],
  )
  assert.deepEqual([app.required, app.region, app.endpoint], [true, 'eu-central-1', 'https://rolesanywhere.eu-central-1.amazonaws.com/'])
  assert.deepEqual(
    [reports.required, reports.region, reports.endpoint, reports.sessionName, reports.method.durationSeconds],
    [false, 'eu-west-1', 'https://sts.internal/base', 'reports@web', 5_400],
  )
  assert.deepEqual(rest, {
    origin: 'SVIDECAR_CONFIG_YAML',
    consumers: [{ name: 'app', profiles: ['app', 'reports'], audiences: ['sts.amazonaws.com'], owner: 'root', group: '0', mode: 0o440, uids: [0, 1000] }],
    containerEndpoint: { listen: { host: '127.0.0.1', port: 9912 }, hostNames: ['Pod.internal'] },
    imdsEndpoints: [{ listen: { host: '::1', port: 9911 }, hostNames: [], profile: 'app', availabilityZone: 'eu-central-1a', uids: [1000] }],
    metricsEndpoint: { listen: { host: '0.0.0.0', port: 9913 }, hostNames: ['metrics.internal'] },
    statusEndpoint: { listen: { host: '127.0.0.1', port: 9914 } },
    runtimeDir: '/run/svidecar',
    onIdentityWithdrawn: 'keep',
    reload: 'watch',
    stopTimeoutMs: 7_000,
    shutdownGraceMs: 5_000,
    files: [
      {
        kind: 'x509',
        name: 'x509 /run/svid',
        identity: 'other',
        directory: '/run/svid',
        names: { certificate: 'tls.crt', key: 'tls.key', bundle: 'ca.crt', combined: 'all.pem' },
        mode: 0o640,
        keyMode: 0o400,
        intermediates: 'bundle',
        federated: 'merged',
        omitExpired: true,
        owner: 'root',
        group: '0',
        removeAtStop: true,
      },
      {
        kind: 'jwt',
        name: 'jwt /run/token',
        identity: 'default',
        audience: ['a', 'b'],
        path: '/run/token',
        mode: 0o400,
        owner: 'root',
        group: '0',
        removeAtStop: false,
        removeExpired: true,
      },
      {
        kind: 'jwt_bundle',
        name: 'jwt_bundle /run/jwks',
        identity: 'other',
        path: '/run/jwks',
        format: 'spiffe-helper',
        trustDomain: 'example.org',
        mode: 0o600,
        owner: 'root',
        group: '0',
        removeAtStop: false,
      },
    ],
    hooks: [
      { name: '/bin/reload', on: ['x509', 'credentials'], action: { kind: 'run', command: ['/bin/reload', 'now'], timeoutMs: 5_000 } },
      { name: '/run/app.pid', on: ['jwt'], action: { kind: 'signal', pidFile: '/run/app.pid', signal: 'SIGHUP' } },
      { name: '/bin/app', on: ['jwt_bundle'], action: { kind: 'child', command: ['/bin/app'], restart: true, signal: 'SIGUSR1' } },
    ],
    log: { level: 'info', format: 'json' },
  })
})

test('what is left out has its documented default', async () => {
  const text = small.replace('  listen: 127.0.0.1:9912\n', '  host_names: []\n')
  const config = await loadText(`${text}metrics_endpoint: {}\nstatus_endpoint: {}\nimds_endpoints: [{ profile: app }]\n`)
  assert.deepEqual(config.containerEndpoint?.listen, { host: '127.0.0.1', port: 9912 })
  assert.deepEqual(config.imdsEndpoints[0]?.listen, { host: '127.0.0.1', port: 9911 })
  assert.deepEqual(config.metricsEndpoint?.listen, { host: '127.0.0.1', port: 9913 })
  assert.deepEqual(config.statusEndpoint?.listen, { host: '127.0.0.1', port: 9914 })
  assert.deepEqual([config.onIdentityWithdrawn, config.shutdownGraceMs], ['keep', 0])
  assert.deepEqual(config.log, { level: 'info', format: 'json' })
  assert.deepEqual([config.consumers[0]?.mode, config.consumers[0]?.audiences, config.profiles[0]?.required], [0o440, [], true])
})

test('an endpoint that is not written is not there', async () => {
  const config = await loadText(small)
  assert.deepEqual([config.imdsEndpoints, config.metricsEndpoint, config.statusEndpoint], [[], undefined, undefined])
})

test('--config goes before the inline text, that before the file of SVIDECAR_CONFIG, and that before the environment', async (t) => {
  const first = await fileOf(t, marked('eu-one-1'))
  const env = {
    SVIDECAR_CONFIG_YAML: marked('eu-two-1'),
    SVIDECAR_CONFIG: await fileOf(t, marked('eu-three-1')),
    SVIDECAR_ROLE_ARN: roleArn,
    SVIDECAR_AUDIENCE: 'sts.amazonaws.com',
    SPIFFE_ENDPOINT_SOCKET: 'unix:///agent.sock',
    AWS_REGION: 'eu-four-1',
  }
  const zoneOf = async (around: NodeJS.ProcessEnv, file?: string) => (await load(around, file)).profiles[0]?.region
  assert.equal(await zoneOf(env, first), 'eu-one-1')
  assert.equal(await zoneOf(env), 'eu-two-1')
  assert.equal(await zoneOf({ ...env, SVIDECAR_CONFIG_YAML: '' }), 'eu-three-1')
  assert.equal(await zoneOf({ ...env, SVIDECAR_CONFIG_YAML: undefined, SVIDECAR_CONFIG: '' }), 'eu-four-1')
})

test('a file that cannot be read is named, with the reason', async (t) => {
  const path = await fileOf(t, '')
  for (const [file, why] of [
    [`${path}.not`, 'no such file'],
    [join(path, '..'), 'directory'],
    [`${path}/x`, 'not a directory'],
  ] as const)
    for (const loading of [load({}, file), load({ SVIDECAR_CONFIG: file })]) {
      const [line = '', ...more] = await mistakes(loading)
      assert.deepEqual(more, [])
      assert.ok(line.includes(file), `${line} names ${file}`)
      assert.match(line, new RegExp(why))
    }
})

test('without any configuration the sentence says where it was looked for and what to set', async () => {
  const [line = ''] = await mistakes(load({}))
  for (const word of ['/etc/svidecar/config.yaml', 'SVIDECAR_CONFIG_YAML', 'SVIDECAR_ROLE_ARN']) assert.ok(line.includes(word), word)
})

test('a mistake in a file begins with the file as it was named', async (t) => {
  const path = await fileOf(t, 'profiles: {}\n')
  const [line = ''] = await mistakes(load({ SPIFFE_ENDPOINT_SOCKET: 'unix:///a' }, path))
  assert.ok(line.startsWith(`${path}:1:`), line)
})

test('the runtime directory is found by $SVIDECAR_RUNTIME_DIR, systemd, XDG for others than root, or /run', () => {
  const of = (env: NodeJS.ProcessEnv, uid = 1000) => defaultRuntimeDir({ env, uid, terminal: false })
  const all = { SVIDECAR_RUNTIME_DIR: '/a', RUNTIME_DIRECTORY: '/b:/c', XDG_RUNTIME_DIR: '/run/user/1000' }
  assert.equal(of(all), '/a')
  assert.equal(of({ ...all, SVIDECAR_RUNTIME_DIR: '' }), '/b')
  assert.equal(of({ XDG_RUNTIME_DIR: '/run/user/1000' }), '/run/user/1000/svidecar')
  assert.equal(of({ XDG_RUNTIME_DIR: '/run/user/0' }, 0), '/run/svidecar')
  assert.equal(of({}), '/run/svidecar')
})

test('a relative runtime directory is refused or made absolute: applications are told the token file’s path', async () => {
  const config = await loadText(`${small}runtime_dir: run\n`).catch(() => undefined)
  assert.ok(config === undefined || isAbsolute(config.runtimeDir), config?.runtimeDir)
})
