// The keys of helper.conf: defaults, modes, the order and the words of every complaint, the environment, and keys of ours.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseHelperConf, validateHelperConf } from '../../src/spiffe-helper/keys.ts'
import { enough, read, type Surroundings, table, verdict } from './support.ts'

const own = (text: string, around?: Surroundings) => read(enough + text, around).helper
const said =
  (around?: Surroundings) =>
  (text: string): string =>
    verdict(enough + text, around)

const negative = ['cert', 'key', 'jwt_bundle', 'jwt_svid'].map((what) => `${what}_file_mode = -1`)
const incomplete = "all or none of 'svid_file_name', 'svid_key_file_name', 'svid_bundle_file_name' must be specified"
const nothing =
  "at least one of the sets ('svid_file_name', 'svid_key_file_name', 'svid_bundle_file_name'), 'jwt_svids', or 'jwt_bundle_file_name' must be fully specified"
const oneShotPid = 'pid_file_name is set but daemon_mode is false. pid_file_name is only supported in daemon_mode'
const bothAddresses =
  'both SPIRE_AGENT_ADDRESS and SPIFFE_ENDPOINT_SOCKET set. Use SPIFFE_ENDPOINT_SOCKET only. Support for SPIRE_AGENT_ADDRESS is deprecated and will be removed in 0.10.0'
const oldAddress = 'SPIRE_AGENT_ADDRESS is deprecated and will be removed in 0.10.0. Use SPIFFE_ENDPOINT_SOCKET instead.'
const ignored = (key: string) => `${key} is set but daemon_mode is false. ${key} will be ignored. This may become an error in a future release.`

test('what is not said has the value that it has in the original', () => {
  assert.deepEqual(read(enough).helper, {
    agentAddress: '/tmp/spire-agent/public/api.sock',
    cmd: '',
    cmdArgs: '',
    pidFileName: '',
    certDir: '',
    modes: { cert: undefined, key: undefined, jwtBundle: undefined, jwtSvid: undefined },
    addIntermediatesToBundle: false,
    includeFederatedDomains: false,
    omitExpired: false,
    renewSignal: '',
    daemonMode: true,
    health: undefined,
    hint: '',
    x509: undefined,
    jwtSvids: [],
    jwtBundleFileName: 'b',
    svidecarConfig: '',
    svidecarTimeout: '',
  })
})

test('every key arrives where it belongs', () => {
  const text = `agent_address = "/a" cmd = "c" cmd_args = "d" pid_file_name = "e" cert_dir = "f"
    cert_file_mode = 0400 key_file_mode = 0401 jwt_bundle_file_mode = 0402 jwt_svid_file_mode = 0403
    add_intermediates_to_bundle = true include_federated_domains = true omit_expired = true renew_signal = "g" hint = "h"
    svid_file_name = "i" svid_key_file_name = "j" svid_bundle_file_name = "k" jwt_bundle_file_name = "l"
    jwt_svids = [{ jwt_audience = "m", jwt_extra_audiences = ["n", "o"], jwt_svid_file_name = "p" }]
    health_checks { listener_enabled = true bind_port = 1 liveness_path = "/q" readiness_path = "/r" }
    "svidecar_config" = "s" "svidecar_timeout" = "t"`
  assert.deepEqual(read(text).helper, {
    agentAddress: '/a',
    cmd: 'c',
    cmdArgs: 'd',
    pidFileName: 'e',
    certDir: 'f',
    modes: { cert: 0o400, key: 0o401, jwtBundle: 0o402, jwtSvid: 0o403 },
    addIntermediatesToBundle: true,
    includeFederatedDomains: true,
    omitExpired: true,
    renewSignal: 'g',
    daemonMode: true,
    health: { port: 1, livenessPath: '/q', readinessPath: '/r' },
    hint: 'h',
    x509: { certificate: 'i', key: 'j', bundle: 'k' },
    jwtSvids: [{ audience: 'm', extraAudiences: ['n', 'o'], fileName: 'p' }],
    jwtBundleFileName: 'l',
    svidecarConfig: 's',
    svidecarTimeout: 't',
  })
})

test('zero and the empty text mean the same as nothing', () => {
  const empty = ['agent_address', 'cmd', 'cmd_args', 'pid_file_name', 'cert_dir', 'renew_signal', 'hint', 'svid_file_name', 'svid_key_file_name']
    .map((key) => `${key} = ""\n`)
    .join('')
  const modes = ['cert', 'key', 'jwt_bundle', 'jwt_svid'].map((what) => `${what}_file_mode = 0\n`).join('')
  assert.deepEqual(own(`${empty}${modes}jwt_svids = []\nhealth_checks {\n}\n`), read(enough).helper)
})

// First come the mistakes of reading, then these, from top to bottom: each text has its own mistake and all that are told later.
const order: readonly (readonly [mistake: string, says: string])[] = [
  ['b = 1 a = 1', 'unknown top level key(s): a,b'],
  ['jwt_svids = [{ jwt_audience = "a", jwt_svid_file_name = "f" }, { d = 1, c = 1 }]', 'unknown key(s) in jwt_svids[1]: c,d'],
  ['jwt_svids = [{}]', "'jwt_file_name' is required in 'jwt_svids'"],
  ['jwt_svids = [{ jwt_svid_file_name = "f" }]', "'jwt_audience' is required in 'jwt_svids'"],
  ['daemon_mode = false pid_file_name = "p"', oneShotPid],
  ['pid_file_name = "p"', 'must specify renew_signal when using pid_file_name'],
  ['svid_file_name = "x"', incomplete],
  [negative[0] ?? '', 'cert file mode must be positive'],
  [negative[1] ?? '', 'key file mode must be positive'],
  [negative[2] ?? '', 'jwt bundle file mode must be positive'],
  [negative[3] ?? '', 'jwt svid file mode must be positive'],
  ['health_checks { listener_enabled = true bind_port = -1 }', 'bind port must be positive'],
]
table(
  'of several mistakes the first in the order of the original is told',
  order.map(([, says], index) => {
    const rest = order.slice(index).map(([mistake]) => mistake)
    const entries = rest.filter((mistake) => mistake.startsWith('jwt_svids'))
    return [[...rest.filter((mistake) => !entries.includes(mistake)).toReversed(), ...entries].join('\n'), says] as const
  }),
  said(),
)
table(
  'each mistake alone is told in the words of the original',
  order.map(([mistake, says]) => [mistake, says] as const),
  said(),
)

table(
  'something has to be written',
  [
    ['', nothing],
    ['# nothing', nothing],
    ['jwt_bundle_file_name = ""', nothing],
    ['jwt_svids = []', nothing],
    ['svid_file_name = "" svid_key_file_name = "" svid_bundle_file_name = ""', nothing],
    ['cert_file_mode = -1', nothing],
    ['svid_file_name = "a"', incomplete],
    ['svid_key_file_name = "a" svid_bundle_file_name = "b"', incomplete],
    ['svid_file_name = "a" svid_key_file_name = "b" svid_bundle_file_name = "c"', 'ok'],
    ['jwt_svids = [{ jwt_audience = "a", jwt_svid_file_name = "f" }]', 'ok'],
    [enough, 'ok'],
  ],
  (text) => verdict(text),
)

table(
  'of two wrong entries of jwt_svids the first is told, and unknown keys of any before it',
  [
    ['jwt_svids = [{ jwt_audience = "a" }, { jwt_svid_file_name = "f" }]', "'jwt_file_name' is required in 'jwt_svids'"],
    ['jwt_svids = [{ jwt_svid_file_name = "f" }, { jwt_audience = "a" }]', "'jwt_audience' is required in 'jwt_svids'"],
    ['jwt_svids = [{}, { x = 1 }]', 'unknown key(s) in jwt_svids[1]: x'],
    ['jwt_svids = [{ jwt_audience = "", jwt_svid_file_name = "" }]', "'jwt_file_name' is required in 'jwt_svids'"],
  ],
  said(),
)

const unset = 'unset'
table<string>(
  'a mode is read in every notation, and a mode of zero is none',
  [
    ['0644', 0o644],
    ['444', 0o674],
    ['0x1ff', 0o777],
    ['"0644"', 0o644],
    ['"0o644"', 0o644],
    ['"644"', 0o204],
    ['"0b110100100"', 0o644],
    ['0', unset],
    ['"0"', unset],
    ['00', unset],
    ['-1', 'cert file mode must be positive'],
    ['-0644', 'cert file mode must be positive'],
    ['"-1"', 'cert file mode must be positive'],
    ['""', 'strconv.ParseInt: parsing "": invalid syntax'],
    ['9223372036854775808', 'strconv.ParseInt: parsing "9223372036854775808": value out of range'],
    ['"rw-r--r--"', 'strconv.ParseInt: parsing "rw-r--r--": invalid syntax'],
  ],
  (value) => {
    const text = `${enough}cert_file_mode = ${value}`
    const got = verdict(text)
    return got === 'ok' ? (read(text).helper.modes.cert ?? unset) : got
  },
)

table(
  'only the permissions of a huge mode count, as in the original',
  [
    ['01644', 0o644],
    ['0100644', 0o644],
    ['4294967296', 0],
    ['01000', 0],
  ],
  (value) => own(`cert_file_mode = ${value}`).modes.cert,
)

test('of a mode above 2^53 the last bits are lost, which differs from the original', () => {
  assert.equal(own('cert_file_mode = 9223372036854775295').modes.cert, 0)
})

table<string>(
  'health checks have defaults, but only when they are on',
  [
    ['listener_enabled = true', [8081, '/live', '/ready']],
    ['listener_enabled = true bind_port = 0 liveness_path = "" readiness_path = ""', [8081, '/live', '/ready']],
    ['listener_enabled = true bind_port = 99999 liveness_path = "x" readiness_path = "x"', [99999, 'x', 'x']],
    ['listener_enabled = true bind_port = -1', 'bind port must be positive'],
    ['listener_enabled = false bind_port = -1', undefined],
    ['bind_port = -1', undefined],
    ['', undefined],
  ],
  (inside) => {
    const text = `health_checks { ${inside} }`
    if (said()(text) !== 'ok') return said()(text)
    const { health } = own(text)
    return health === undefined ? undefined : [health.port, health.livenessPath, health.readinessPath]
  },
)

const modeRows: readonly (readonly [file: string, flag: boolean | undefined, mode: boolean])[] = [
  ['', undefined, true],
  ['', true, true],
  ['', false, false],
  ['daemon_mode = true', undefined, true],
  ['daemon_mode = true', false, false],
  ['daemon_mode = false', undefined, false],
  ['daemon_mode = false', true, true],
]
test('the flag goes before the file, and without both it is a daemon', () => {
  const around = (flag: boolean | undefined) => (flag === undefined ? {} : { daemonMode: flag })
  assert.deepEqual(
    modeRows.map(([file, flag]) => [file, flag, own(file, around(flag)).daemonMode]),
    modeRows,
  )
})

test('run once, cmd and renew_signal are warned of, in this order, and pid_file_name is refused', () => {
  const once = { daemonMode: false }
  assert.deepEqual(read(`${enough}renew_signal = "x" cmd = "y"`, once).warnings, [ignored('cmd'), ignored('renew_signal')])
  assert.deepEqual(read(`${enough}cmd_args = "y" cmd = ""`, once).warnings, [])
  assert.deepEqual(read(`${enough}renew_signal = "x" cmd = "y"`).warnings, [])
  assert.equal(said(once)('pid_file_name = "p" renew_signal = "x"'), oneShotPid)
  assert.equal(said({ daemonMode: true })('daemon_mode = false pid_file_name = "p" renew_signal = "x"'), 'ok')
})

test('the warnings of the run once are told also where a mistake follows', () => {
  const warnings: string[] = []
  assert.throws(() => validateHelperConf(parseHelperConf('cmd = "x" daemon_mode = false'), undefined, {}, (text) => warnings.push(text)), { message: nothing })
  assert.deepEqual(warnings, [ignored('cmd')])
})

const sockets = { SPIFFE_ENDPOINT_SOCKET: '/new', SPIRE_AGENT_ADDRESS: '/old' }
table<readonly [text: string, env: NodeJS.ProcessEnv]>(
  'the agent is where the file says, else the environment, else where SPIRE puts it',
  [
    [['agent_address = "/file"', sockets], ['/file']],
    [['', { SPIFFE_ENDPOINT_SOCKET: '/new' }], ['/new']],
    [
      ['', { SPIRE_AGENT_ADDRESS: '/old' }],
      ['/old', oldAddress],
    ],
    [
      ['', { SPIRE_AGENT_ADDRESS: '/old', SPIFFE_ENDPOINT_SOCKET: '' }],
      ['/old', oldAddress],
    ],
    [['', { SPIRE_AGENT_ADDRESS: '', SPIFFE_ENDPOINT_SOCKET: '/new' }], ['/new']],
    [['', { SPIRE_AGENT_ADDRESS: '', SPIFFE_ENDPOINT_SOCKET: '' }], ['/tmp/spire-agent/public/api.sock']],
    [['agent_address = ""', { SPIFFE_ENDPOINT_SOCKET: '/new' }], ['/new']],
    [['', sockets], bothAddresses],
    [['jwt_svids = [{}]', sockets], "'jwt_file_name' is required in 'jwt_svids'"],
    [['cert_file_mode = -1', sockets], bothAddresses],
    [['daemon_mode = false pid_file_name = "p"', sockets], bothAddresses],
  ],
  ([text, env]) => {
    if (said({ env })(text) !== 'ok') return said({ env })(text)
    const { helper, warnings } = read(enough + text, { env })
    return [helper.agentAddress, ...warnings]
  },
)

table(
  'the keys of ours are keys in quotes, and without quotes they are unknown, as to the original',
  [
    ['"svidecar_config" = "c"', ['c', '']],
    ['"SVIDECAR_CONFIG" = "c"', ['c', '']],
    ['"svidecar_config" = "c" "svidecar_config" = "d"', ['d', '']],
    ['"svidecar_timeout" = "1s"', ['', '1s']],
    ['"svidecar_timeout" = 5', ['', '5']],
    ['svidecar_config = "c"', 'unknown top level key(s): svidecar_config'],
    ['svidecar_timeout = "1s"', 'unknown top level key(s): svidecar_timeout'],
    ['"svidecar_config" = true', 'At 2:21: root.svidecar_config: unknown type for string *ast.LiteralType'],
    ['"svidecar_other" = "c"', ['', '']],
    ['svidecar "config" { a = "b" }', ['', '']],
  ],
  (text) => {
    if (said()(text) !== 'ok') return said()(text)
    const { svidecarConfig, svidecarTimeout } = own(text)
    return [svidecarConfig, svidecarTimeout]
  },
)

table(
  'names that JavaScript gives to every object are unknown keys like any other',
  ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'].map((key) => [`${key} = 1`, `unknown top level key(s): ${key}`] as const),
  said(),
)
