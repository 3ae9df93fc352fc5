// What the tests of SDKs share: a house (dev world and daemon), clients that know only environment variables, and a
// reader that sees what the endpoints really answer.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { loadConfig } from '../../src/config/load.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { Event } from '../../src/core/events.ts'
import { type Daemon, startDaemon } from '../../src/daemon/daemon.ts'
import type { DevAws } from '../support/dev/aws.ts'
import { startWorld, type World } from '../support/dev/world.ts'

export type Environment = Readonly<Record<string, string>>

/** The profiles of every house, each by its own way to credentials, each with a consumer of the same name. */
export const profiles = { app: 'Roles Anywhere', web: 'a web identity' } as const
export const profileNames = ['app', 'web'] as const
export type Profile = keyof typeof profiles

export const endpoints = ['container', 'IMDS'] as const
export type Endpoint = (typeof endpoints)[number]

/** What of a world the daemon and its clients meet. */
export type Surroundings = Pick<World, 'aws' | 'arns' | 'audience' | 'socket' | 'stop'>

/** The configuration of a daemon in this world, as the text that SVIDECAR_CONFIG_YAML carries: JSON is YAML. */
export function configuration({ aws, arns, audience }: Surroundings, directory: string): string {
  const free = '127.0.0.1:0'
  return JSON.stringify({
    profiles: {
      app: { endpoint: aws.issuingUrl, roles_anywhere: { trust_anchor_arn: arns.trustAnchor, profile_arn: arns.profile, role_arn: arns.role } },
      web: { endpoint: aws.issuingUrl, region: 'us-east-1', web_identity: { role_arn: arns.webIdentityRole, audience } },
    },
    consumers: Object.fromEntries(profileNames.map((name) => [name, { profiles: [name] }])),
    container_endpoint: { listen: free },
    imds_endpoints: profileNames.map((profile) => ({ listen: free, profile })),
    metrics_endpoint: { listen: free },
    runtime_dir: directory,
  })
}

/** An event, and when by the boot clock. */
export type Told<E extends Event = Event> = E & { readonly at: number }

export interface House {
  readonly world: Surroundings
  readonly daemon: Daemon
  readonly runtimeDirectory: string
  /** What the daemon has told so far. */
  readonly events: readonly Told[]
  /** What its log says. */
  readonly log: readonly string[]
  /** What points an SDK at a profile, and a HOME without any file of AWS's; nothing of this machine's environment. */
  environment(endpoint: Endpoint, profile: Profile): Environment
  /** What an endpoint answers to whoever does as an SDK does. */
  read(endpoint: Endpoint, profile: Profile): Promise<Answer>
  readonly stop: () => Promise<void>
}

/** Makes a world whose sessions live so long. */
export const worldOf =
  (sessionSeconds: number, clock: Clock = systemClock) =>
  (directory: string): Promise<World> =>
    startWorld({ directory, clock, x509TtlSeconds: 86_400, jwtTtlSeconds: 86_400, sessionSeconds })

/** Starts the world in a folder of its own, and then the daemon in this process. */
export async function openHouse(startIn: (directory: string) => Promise<Surroundings>, clock: Clock = systemClock): Promise<House> {
  const folder = await mkdtemp(join(tmpdir(), 'sdk-'))
  const home = join(folder, 'home')
  const runtimeDirectory = join(folder, 'run')
  await mkdir(home)
  const world = await startIn(folder)
  const close = async () => {
    await world.stop()
    await rm(folder, { recursive: true, force: true })
  }
  const events: Told[] = []
  const log: string[] = []
  const env = { SVIDECAR_CONFIG_YAML: configuration(world, runtimeDirectory), SPIFFE_ENDPOINT_SOCKET: world.socket }
  const load = () => loadConfig(undefined, { env, uid: process.getuid?.(), terminal: false })
  const start = async () =>
    startDaemon({
      config: await load(),
      load,
      clock,
      random: () => 0.5,
      env,
      version: 'test',
      commit: 'test',
      listener: (event) => events.push({ ...event, at: clock.boot() }),
      writeLog: (line) => log.push(line),
    })
  const daemon = await start().catch(async (error: unknown) => {
    await close()
    throw error
  })
  const address = (listener: string) => `http://${daemon.listeners.get(listener)?.address}`
  const pointing = {
    container: (profile: Profile): Environment => ({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${address('container')}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(runtimeDirectory, `${profile}.token`),
    }),
    IMDS: (profile: Profile): Environment => ({ AWS_EC2_METADATA_SERVICE_ENDPOINT: address(`imds ${profile}`) }),
  }
  return {
    world,
    daemon,
    runtimeDirectory,
    events,
    log,
    environment: (endpoint, profile) => ({
      HOME: home,
      AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL_STS: world.aws.checkingUrl,
      // An SDK that tries again would hide a refusal of AWS.
      AWS_MAX_ATTEMPTS: '1',
      AWS_SDK_UA_APP_ID: application(endpoint, profile),
      ...pointing[endpoint](profile),
    }),
    read: (endpoint, profile) => (endpoint === 'container' ? readContainer(pointing.container(profile)) : readImds(pointing.IMDS(profile))),
    stop: async () => {
      await daemon.stop('the test is over')
      await close()
    },
  }
}

export interface Answer {
  readonly status: number
  readonly body: string
}

async function ask(url: string, headers: Record<string, string>, method = 'GET'): Promise<Answer> {
  // The connection is not kept: a listener that stops has nobody to wait for.
  const reply = await fetch(url, { method, headers: { ...headers, connection: 'close' } })
  return { status: reply.status, body: await reply.text() }
}

async function readContainer(environment: Environment): Promise<Answer> {
  const token = await readFile(environment['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'] ?? '', 'utf8')
  return ask(environment['AWS_CONTAINER_CREDENTIALS_FULL_URI'] ?? '', { authorization: token })
}

async function readImds(environment: Environment): Promise<Answer> {
  const latest = `${environment['AWS_EC2_METADATA_SERVICE_ENDPOINT']}/latest`
  const token = await ask(`${latest}/api/token`, { 'x-aws-ec2-metadata-token-ttl-seconds': '60' }, 'PUT')
  const headers = { 'x-aws-ec2-metadata-token': token.body }
  const role = await ask(`${latest}/meta-data/iam/security-credentials/`, headers)
  return ask(`${latest}/meta-data/iam/security-credentials/${role.body}`, headers)
}

/** By this name an SDK introduces itself to AWS, so that its requests can be told from those of others. */
const application = (endpoint: Endpoint, profile: Profile): string => `${endpoint}-${profile}`

/** What one client has asked AWS, oldest first: by which access key, and whether AWS took its signature. */
export const asked = ({ requests }: DevAws, endpoint: Endpoint, profile: Profile) =>
  requests
    .filter(({ listener }) => listener === 'checking')
    .filter(({ headers }) => headers['user-agent']?.split(' ').includes(`app/${application(endpoint, profile)}`))
    .map(({ status, headers }) => ({ verified: status === 200, accessKeyId: /Credential=([^/]+)\//.exec(headers['authorization'] ?? '')?.[1] }))

/** The command of the client that is written in JavaScript. */
export const javaScript = [process.execPath, fileURLToPath(new URL('client.ts', import.meta.url))]

export interface Outcome {
  /** Who AWS says the caller is. */
  readonly arn?: string
  /** Name and message of what the SDK threw. */
  readonly error?: string
  readonly message?: string
}

export interface Client {
  readonly process: ChildProcess
  /** Has the client make one call. */
  call<T = Outcome>(name: string): Promise<T>
  /** Ends its input and resolves with its exit status. */
  readonly end: () => Promise<number>
}

/** Starts a program that makes a call for each line of its input and prints what came of it as a line of JSON. */
export function startClient(command: readonly string[], environment: Environment, options: { detached?: boolean } = {}): Client {
  const [program = '', ...words] = command
  const child = spawn(program, words, { env: environment as NodeJS.ProcessEnv, stdio: 'pipe', ...options })
  let complaints = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString()
  })
  child.stdin.on('error', () => {}) // told by its exit
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? (signal === null ? 0 : 128)))
  })
  ended.catch(() => {})
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  let turn: Promise<unknown> = Promise.resolve()
  return {
    process: child,
    call<T>(name: string) {
      const answer = turn.then(async () => {
        child.stdin.write(`${name}\n`)
        const { done, value } = await lines.next()
        if (done) throw new Error(`the client has ended with ${await ended}: ${complaints}`)
        return JSON.parse(value) as T
      })
      turn = answer.catch(() => {})
      return answer
    },
    end: () => {
      child.stdin.end()
      return ended
    },
  }
}

const main = fileURLToPath(new URL('../../dist/svidecar.cjs', import.meta.url))

/** Runs a command of svidecar: its exit status, and all that it said. */
export async function runCommand(words: readonly string[]): Promise<{ status: number; output: string }> {
  const child = spawn(process.execPath, [main, ...words], { env: {}, stdio: ['ignore', 'pipe', 'pipe'] })
  const texts: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => texts.push(chunk))
  const [status] = (await once(child, 'close')) as [number]
  return { status, output: Buffer.concat(texts).toString() }
}
