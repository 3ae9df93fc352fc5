// The commands for consumers: the environment that points SDKs at the running daemon, and credentials from its memory.
import { failure } from '../core/errors.ts'
import { ask, askConsumer, consumerOptions, consumerSocket, fetchEnvironment, profilePath } from './client.ts'
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

/** What tools that read only keys need; `secrets` are those of its values that a log must not show. */
async function fetchKeys(socket: string, profile: string | undefined): Promise<{ keys: Environment; secrets: readonly string[] }> {
  const document = await ask(socket, 'GET', profilePath('/v1/credential-process', profile))
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = JSON.parse(document) as Readonly<Record<string, string>>
  const keys = {
    AWS_ACCESS_KEY_ID: AccessKeyId,
    AWS_SECRET_ACCESS_KEY: SecretAccessKey,
    AWS_SESSION_TOKEN: SessionToken,
    AWS_CREDENTIAL_EXPIRATION: Expiration,
  }
  return { keys: keys as Environment, secrets: [SecretAccessKey ?? '', SessionToken ?? ''] }
}

const commented = new Set(['sh', 'dotenv', 'systemd'])

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
  options: {
    ...consumerOptions,
    format: { type: 'string', value: 'FORMAT', help: `One of ${Object.keys(formats).join(', ')}. Default sh.` },
    'with-credentials': { type: 'boolean', help: 'The keys themselves, for tools that read nothing else. Nobody renews them.' },
  },
  details: 'No secret is printed unless --with-credentials asks for it: the SDK reads the token file itself.',
  example: 'eval "$(svidecar env)"',
  async run(values, io) {
    const { format: name = 'sh', consumer, profile } = values
    const format = Object.hasOwn(formats, name) ? formats[name] : undefined
    if (format === undefined) throw failure('usage', `there is no format ${JSON.stringify(name)}`, { remedy: `There are ${Object.keys(formats).join(', ')}.` })
    const socket = consumerSocket(await runtimeDir(values, io), consumer)
    // An AWS config file asks the socket itself and needs no endpoint.
    if (values['with-credentials'] === undefined) {
      const environment = await fetchEnvironment(socket, profile, name === 'aws-config' ? 'region' : 'endpoint')
      return io.out(format(environment, socket, profile))
    }
    if (name === 'aws-config')
      throw failure('usage', 'an AWS config file with keys would be a credentials file', {
        remedy: 'Configure files: - credentials, or leave --with-credentials out.',
      })
    const region = Object.entries(await fetchEnvironment(socket, profile, 'region')).filter(([key]) => key.endsWith('_REGION'))
    const { keys, secrets } = await fetchKeys(socket, profile)
    // The runner takes these lines out of the step's output, and the values out of everything after them.
    if (name === 'github' && io.env['GITHUB_ACTIONS'] === 'true') for (const secret of secrets) io.err(`::add-mask::${secret}\n`)
    if (commented.has(name)) io.out(`# These end at ${keys['AWS_CREDENTIAL_EXPIRATION']}.\n`)
    io.out(format({ ...keys, ...Object.fromEntries(region) }, socket, profile))
  },
}

/** What an AWS SDK runs by credential_process. Silent on stderr when it succeeds. */
export const credentialProcess: Command = {
  options: consumerOptions,
  details: "From the running daemon's memory: no call to AWS. In an AWS config file: credential_process = svidecar credential-process --profile app",
  example: 'svidecar credential-process --consumer app',
  run: async (values, io) => io.out(`${await askConsumer(values, io, profilePath('/v1/credential-process', values['profile']))}\n`),
}
