// The commands for consumers: the environment that points SDKs at the running daemon, and credentials from its memory.
import { failure } from '../core/errors.ts'
import { askConsumer, consumerOptions, consumerSocket, fetchEnvironment, profilePath } from './client.ts'
import type { Command } from './command.ts'
import { runtimeDir } from './configuration.ts'
import { pretty } from './render.ts'

type Environment = Readonly<Record<string, string>>

const plain = (text: string): boolean => /^[\w@%+=:,./-]+$/.test(text)
const shell = (text: string): string => (plain(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
/** No escapes in this format: a quote that the value does not have. */
const dotenv = (text: string): string => {
  const quote = plain(text) ? '' : (["'", '"', '`'].find((one) => !text.includes(one)) ?? '')
  return `${quote}${text}${quote}`
}
const systemd = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%')
const lines = (environment: Environment, line: (name: string, value: string) => string): string =>
  Object.entries(environment)
    .map(([name, value]) => `${line(name, value)}\n`)
    .join('')

const formats: Readonly<Record<string, (environment: Environment, socket: string, profile: string | undefined) => string>> = {
  sh: (environment) => lines(environment, (name, value) => `export ${name}=${shell(value)}`),
  dotenv: (environment) => lines(environment, (name, value) => `${name}=${dotenv(value)}`),
  github: (environment) => lines(environment, (name, value) => `${name}=${value}`),
  systemd: (environment) => lines(environment, (name, value) => `Environment="${name}=${systemd(value)}"`),
  json: (environment) => pretty(environment),
  'aws-config': (environment, socket, profile) => {
    // curl starts in a few milliseconds, and a space in a path would be read differently by different SDKs.
    const path = profilePath('/v1/credential-process', profile)
    return `[profile ${profile ?? 'svidecar'}]\ncredential_process = curl --silent --show-error --fail --max-time 5 --unix-socket ${shell(socket)} http://localhost${path}\n${environment['AWS_REGION'] === undefined ? '' : `region = ${environment['AWS_REGION']}\n`}`
  },
}

export const env: Command = {
  options: { ...consumerOptions, format: { type: 'string', value: 'FORMAT', help: `One of ${Object.keys(formats).join(', ')}. Default sh.` } },
  details: 'No secret is printed: the SDK reads the token file itself.',
  example: 'eval "$(svidecar env)"',
  async run(values, io) {
    const { format: name = 'sh', consumer, profile } = values
    const format = Object.hasOwn(formats, name) ? formats[name] : undefined
    if (format === undefined) throw failure('usage', `there is no format ${JSON.stringify(name)}`, { remedy: `There are ${Object.keys(formats).join(', ')}.` })
    const socket = consumerSocket(await runtimeDir(values, io), consumer)
    // An AWS config file asks the socket itself and needs no endpoint.
    const environment = await fetchEnvironment(socket, profile, name === 'aws-config' ? 'region' : 'endpoint')
    io.out(format(environment, socket, profile))
  },
}

/** What an AWS SDK runs by credential_process. Silent on stderr when it succeeds. */
export const credentialProcess: Command = {
  options: consumerOptions,
  details: "From the running daemon's memory: no call to AWS. In an AWS config file: credential_process = svidecar credential-process --profile app",
  example: 'svidecar credential-process --consumer app',
  run: async (values, io) => io.out(`${await askConsumer(values, io, profilePath('/v1/credential-process', values['profile']))}\n`),
}
