// svidecar env: the environment that points SDKs at the running daemon.
import { dirname } from 'node:path'
import { failure } from '../core/errors.ts'
import { ask, consumerSocket, refused } from './client.ts'
import { type Command, configOption, consumerOption, profileOption, runtimeDirOption, textOf } from './command.ts'
import { runtimeDir } from './configuration.ts'

type Environment = Readonly<Record<string, string>>

const quote = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
const lines = (environment: Environment, line: (name: string, value: string) => string): string =>
  Object.entries(environment)
    .map(([name, value]) => `${line(name, value)}\n`)
    .join('')

const formats: Readonly<Record<string, (environment: Environment, socket: string, profile: string | undefined) => string>> = {
  sh: (environment) => lines(environment, (name, value) => `export ${name}=${quote(value)}`),
  dotenv: (environment) => lines(environment, (name, value) => `${name}=${value}`),
  github: (environment) => lines(environment, (name, value) => `${name}=${value}`),
  systemd: (environment) => lines(environment, (name, value) => `Environment="${name}=${value}"`),
  json: (environment) => `${JSON.stringify(environment, undefined, 2)}\n`,
  'aws-config': (environment, socket, profile) => {
    // curl starts in a few milliseconds, and a space in a path would be read differently by different SDKs.
    const path = `/v1/credential-process${profile === undefined ? '' : `/${profile}`}`
    return `[profile ${profile ?? 'svidecar'}]\ncredential_process = curl --silent --show-error --fail --max-time 5 --unix-socket ${socket} http://localhost${path}\n${environment['AWS_REGION'] === undefined ? '' : `region = ${environment['AWS_REGION']}\n`}`
  },
}

export const env: Command = {
  summary: 'print the environment that points SDKs at the daemon',
  usage: '[options]',
  options: {
    config: configOption,
    'runtime-dir': runtimeDirOption,
    consumer: consumerOption,
    profile: profileOption,
    format: { type: 'string', value: 'FORMAT', help: `One of ${Object.keys(formats).join(', ')}. Default sh.` },
  },
  positionals: { names: [] },
  details: 'No secret is printed: the SDK reads the token file itself.',
  example: 'eval "$(svidecar env)"',
  async run(values, _positionals, io) {
    const name = textOf(values, 'format') ?? 'sh'
    const format = Object.hasOwn(formats, name) ? formats[name] : undefined
    if (format === undefined)
      throw failure('usage', `there is no format ${JSON.stringify(name)}`, { remedy: `There are ${Object.keys(formats).join(', ')}.` })
    const profile = textOf(values, 'profile')
    const directory = await runtimeDir(values, io)
    const socket = consumerSocket(directory, textOf(values, 'consumer'))
    const reply = await ask(socket, 'GET', `/v1/environment${profile === undefined ? '' : `/${profile}`}`)
    if (reply.status !== 200) throw refused(reply)
    const environment = JSON.parse(reply.body) as Environment
    if (name !== 'aws-config' && Object.keys(environment).every((key) => key === 'AWS_REGION'))
      throw failure('usage', `the daemon at ${dirname(socket)} has no endpoint for this profile`, {
        remedy: 'Configure container_endpoint, or use --format aws-config.',
      })
    io.out(format(environment, socket, profile))
    return 0
  },
}
