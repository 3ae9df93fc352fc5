// svidecar exec: a daemon for the life of one command, or a running one's environment for it.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../config/config.ts'
import { errorText, failure, systemCode } from '../core/errors.ts'
import type { Event } from '../core/events.ts'
import { createCell, nextWithin } from '../core/source.ts'
import { consumerSocket, daemonOptions, fetchEnvironment } from './client.ts'
import { type Command, type Io, type Values } from './command.ts'
import { configuration, runtimeDir } from './configuration.ts'
import { parseDuration } from './duration.ts'
import { waitUntilReady } from './operator.ts'

type Environment = Readonly<Record<string, string | undefined>>

// What an SDK would follow instead of the endpoint, found in the environment or in files.
const hidden = Object.values({
  keys: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_SECURITY_TOKEN', 'AWS_CREDENTIAL_EXPIRATION'],
  profiles: ['AWS_PROFILE', 'AWS_DEFAULT_PROFILE'],
  webIdentity: ['AWS_ROLE_ARN', 'AWS_ROLE_SESSION_NAME', 'AWS_WEB_IDENTITY_TOKEN_FILE'],
  endpoints: ['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'AWS_CONTAINER_CREDENTIALS_FULL_URI'],
  tokens: ['AWS_CONTAINER_AUTHORIZATION_TOKEN', 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'],
  metadata: ['AWS_EC2_METADATA_DISABLED', 'AWS_EC2_METADATA_SERVICE_ENDPOINT', 'AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE'],
}).flat()

/** The child's environment: the endpoint for every SDK, nothing that would win over it, and no proxy in between. */
export function childEnvironment(own: Environment, pointing: Environment): NodeJS.ProcessEnv {
  const kept = Object.fromEntries(Object.entries(own).filter(([name]) => !hidden.includes(name)))
  const direct = ['127.0.0.1', own['NO_PROXY'] ?? own['no_proxy']].filter(Boolean).join(',')
  const proxied = ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'].some((name) => own[name])
  return {
    ...kept,
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    ...pointing,
    ...(own['AWS_REGION'] ? { AWS_REGION: own['AWS_REGION'], AWS_DEFAULT_REGION: own['AWS_DEFAULT_REGION'] || own['AWS_REGION'] } : {}),
    ...(proxied ? { NO_PROXY: direct, no_proxy: direct } : {}),
  }
}

const passedOn = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const

/** Runs the command with what points at the endpoint; signals, the one of `first` included, go to it, its status comes back (128 and the signal's number if one killed it). */
async function supervise(words: readonly string[], pointing: Environment, io: Io, first: Promise<NodeJS.Signals>): Promise<number> {
  const [command = '', ...args] = words
  const child = spawn(command, args, { stdio: 'inherit', env: childEnvironment(io.env, pointing) })
  const pass = async () => {
    for (let next = first; ; next = io.nextSignal(passedOn)) {
      const signal = await next
      // A terminal's Ctrl-C went to the whole group, the child included.
      if (!((signal === 'SIGINT' || signal === 'SIGQUIT') && process.stdin.isTTY)) child.kill(signal)
    }
  }
  void pass()
  return new Promise((resolve, reject) => {
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
    child.once('error', (error) =>
      reject(failure('usage', `cannot run ${command}: ${systemCode(error) === 'ENOENT' ? 'no such command' : errorText(error)}`, { remedy: '' })),
    )
  })
}

function chooseProfile(config: Config, wanted: string | undefined): string {
  const names = config.profiles.map(({ name }) => name)
  const chosen = wanted ?? (names.length === 1 ? names[0] : names.find((name) => name === 'default'))
  if (chosen === undefined || !names.includes(chosen))
    throw failure('usage', wanted === undefined ? `there are several profiles: ${names.join(', ')}` : `there is no profile ${JSON.stringify(wanted)}`, {
      remedy: `Say which with --profile: ${names.join(', ')}.`,
    })
  return chosen
}

async function withOwnDaemon(words: readonly string[], values: Values, timeoutMs: number, io: Io): Promise<number> {
  // Heard from the first moment on: whatever comes, the folder goes.
  const stopped = io.nextSignal(passedOn)
  const configured = await configuration(values, io)
  const profile = chooseProfile(configured, values['profile'])
  const directory = await mkdtemp(join(tmpdir(), 'svidecar-exec-'))
  try {
    const config: Config = {
      ...configured,
      profiles: configured.profiles.filter(({ name }) => name === profile).map((one) => ({ ...one, required: true })),
      consumers: [{ name: 'exec', profiles: [profile], audiences: [], mode: 0o400 }],
      containerEndpoint: { listen: { host: '127.0.0.1', port: 0 }, hostNames: [] },
      files: [],
      hooks: [],
      imdsEndpoints: [],
      metricsEndpoint: undefined,
      statusEndpoint: undefined,
      runtimeDir: directory,
      shutdownGraceMs: 0,
      // The command's own output matters here: only what is wrong is said, unless more was asked for.
      log: { ...configured.log, level: configured.log.level === 'info' ? 'warn' : configured.log.level },
    }
    const { startDaemon } = await import('../daemon/daemon.ts')
    const ready = createCell(false)
    const listener = (event: Event) => event.type === 'credentials.fresh' && ready.set(true)
    const daemon = await startDaemon({ ...io, env: {}, config, load: async () => config, random: Math.random, listener })
    try {
      const over = new AbortController()
      const outcome = await Promise.race([nextWithin(ready, false, timeoutMs, io.clock, over.signal), stopped])
      over.abort()
      if (typeof outcome === 'string') return 128 + constants.signals[outcome]
      if (!outcome) {
        const [problem] = daemon.status().problems
        throw failure(problem?.code ?? 'not_ready', `no credentials within ${timeoutMs / 1000} s${problem === undefined ? '' : `: ${problem.message}`}`, {
          remedy: problem?.remedy,
        })
      }
      return await supervise(words, await fetchEnvironment(consumerSocket(directory, 'exec'), undefined), io, stopped)
    } finally {
      await daemon.stop('the command has ended')
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

export const exec: Command = {
  usage: '[options] -- COMMAND [ARGUMENT …]',
  options: {
    ...daemonOptions,
    profile: { type: 'string', value: 'NAME', help: 'The profile. Default: the only one, or default.' },
    consumer: { type: 'string', value: 'NAME', help: 'Start no daemon: use the running one as this consumer.' },
    timeout: { type: 'string', value: 'DURATION', help: 'How long to wait for the first credentials. Default 60s.' },
  },
  words: Number.POSITIVE_INFINITY,
  details: 'The environment of the command points every SDK at an endpoint and carries no key; credentials are renewed as long as it runs.',
  example: 'svidecar exec -- aws sts get-caller-identity',
  async run(values, io, words) {
    if (words.length === 0)
      throw failure('usage', 'svidecar exec needs a command after --', { remedy: 'Such as: svidecar exec -- aws sts get-caller-identity.' })
    const { consumer, profile, timeout = '60s' } = values
    const timeoutMs = parseDuration(timeout, '--timeout')
    if (consumer === undefined) return withOwnDaemon(words, values, timeoutMs, io)
    await waitUntilReady(values, timeoutMs, io)
    return supervise(words, await fetchEnvironment(consumerSocket(await runtimeDir(values, io), consumer), profile), io, io.nextSignal(passedOn))
  },
}
