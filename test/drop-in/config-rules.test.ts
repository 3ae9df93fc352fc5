// Which mistake is reported when a configuration has several, and what is only a warning.
import { type Case, compareAll } from './case.ts'
import { address, jwtBundleConfig, jwtConfig, jwtEntry, names, x509Config } from './configs.ts'

interface Rule {
  readonly name: string
  readonly text: string
}

/** In the order in which the original looks for them. */
const mistakes: readonly Rule[] = [
  { name: 'no such syntax', text: 'cert_file_mode = = 1\n' },
  { name: 'a list for a text', text: 'cmd_args = ["a"]\n' },
  { name: 'an unknown key', text: 'foo = 1\n' },
  { name: 'an unknown key of a token', text: `jwt_svids = [${jwtEntry('a', 'b', ', bar = 1')}]\n` },
  { name: 'a token without file', text: 'jwt_svids = [{ jwt_audience = "a" }]\n' },
  { name: 'a token without audience', text: 'jwt_svids = [{ jwt_svid_file_name = "a" }]\n' },
  { name: 'a pid file', text: 'pid_file_name = "pid"\n' },
  { name: 'names in part', text: 'svid_key_file_name = ""\n' },
  { name: 'a certificate mode below zero', text: 'cert_file_mode = -1\n' },
  { name: 'a key mode below zero', text: 'key_file_mode = -1\n' },
  { name: 'a bundle mode below zero', text: 'jwt_bundle_file_mode = -1\n' },
  { name: 'a token mode below zero', text: 'jwt_svid_file_mode = -1\n' },
  { name: 'a port below zero', text: 'health_checks { listener_enabled = true\n bind_port = -1 }\n' },
]

const pairs: Case[] = mistakes.flatMap((one, n) =>
  mistakes.slice(n + 1).map((other): Case => ({ name: `${one.name}, and ${other.name}`, config: `${x509Config}${other.text}${one.text}`, oneShot: true })),
)

const parts = (some: readonly (keyof typeof names)[]): string => address + some.map((part) => names[part]).join('')

const sets: Record<string, string> = {
  'no output': address,
  'a certificate alone': parts(['svid']),
  'a key alone': parts(['key']),
  'a bundle alone': parts(['bundle']),
  'a certificate and a key': parts(['svid', 'key']),
  'a certificate and a bundle': parts(['svid', 'bundle']),
  'a key and a bundle': parts(['key', 'bundle']),
  'all three': x509Config,
  'a certificate and a JWT bundle': `${parts(['svid'])}jwt_bundle_file_name = "b"\n`,
  'a JWT bundle': jwtBundleConfig,
  'a JWT bundle and empty names': `${jwtBundleConfig}svid_file_name = ""\nsvid_key_file_name = ""\nsvid_bundle_file_name = ""\n`,
  tokens: jwtConfig(jwtEntry('a', 'token')),
  'an empty list of tokens': jwtConfig(),
  'everything unset': `${address}cert_file_mode = 0\nkey_file_mode = 0\njwt_bundle_file_mode = 0\njwt_svid_file_mode = 0\npid_file_name = ""\nhint = ""\ncmd = ""\ncmd_args = ""\ncert_dir = ""\nrenew_signal = ""\njwt_bundle_file_name = ""\n${names.svid}${names.key}${names.bundle}health_checks {\n  listener_enabled = false\n  bind_port = 0\n  liveness_path = ""\n  readiness_path = ""\n}\n`,
}

const oneShotWarnings: Record<string, string> = {
  cmd: 'cmd = "/bin/false"\n',
  'cmd and arguments': 'cmd = "/bin/false"\ncmd_args = "\\"a"\n',
  'a signal': 'renew_signal = "SIGHUP"\n',
  'a wrong signal': 'renew_signal = "HUP"\n',
  'cmd and a signal': 'cmd = "/bin/false"\nrenew_signal = "SIGHUP"\n',
  'cmd, a signal and a pid file': 'cmd = "/bin/false"\nrenew_signal = "SIGHUP"\npid_file_name = "pid"\n',
  'arguments without cmd': 'cmd_args = "a"\n',
  health: 'health_checks { listener_enabled = true\n bind_port = {port} }\n',
  'a port of 99999': 'health_checks { listener_enabled = true\n bind_port = 99999 }\n',
  'daemon_mode true, which the flag overrules': 'daemon_mode = true\ncmd = "/bin/false"\n',
}

const asDaemon: Record<string, string> = {
  'a pid file without signal': 'pid_file_name = "pid"\n',
  'a pid file with an empty signal': 'pid_file_name = "pid"\nrenew_signal = ""\n',
  'an unknown key': 'foo = 1\n',
  'a port below zero': 'health_checks { listener_enabled = true\n bind_port = -1 }\n',
  'a port below zero that is not used': 'health_checks { listener_enabled = false\n bind_port = -1 }\n',
  'a signal without receiver': 'renew_signal = "SIGHUP"\n',
}

const cases: Case[] = [
  ...pairs,
  ...Object.entries(sets).map(([name, config]): Case => ({ name: `outputs: ${name}`, config, oneShot: true })),
  ...Object.entries(oneShotWarnings).map(([name, more]): Case => ({ name: `one-shot with ${name}`, config: x509Config + more, oneShot: true })),
  ...Object.entries(asDaemon).map(([name, more]): Case => ({ name: `daemon with ${name}`, config: x509Config + more })),
]

compareAll('config-rules', cases, 4)
