// What the tests of the command line share: the executable as a process, its commands in this one, and a world to point at.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { cli } from '../../src/cli/cli.ts'
import type { Io } from '../../src/cli/command.ts'
import { systemClock } from '../../src/core/clock.ts'
import { type Failure, isFailure, sentence } from '../../src/core/errors.ts'
import { startWorld, type World } from '../support/dev/world.ts'
import { eventually } from '../support/eventually.ts'

// The bundle, which npm test builds: it is what ships, and it starts four times as fast as the sources.
const executable = join(import.meta.dirname, '../../dist/svidecar.cjs')
// Where Node.js itself puts it by default: a third of a start is saved.
const compileCache = join(tmpdir(), 'node-compile-cache')

/** A folder with a short name, since sockets go there. */
export async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'cli-'))
  t.after(() => rm(made, { recursive: true, force: true }))
  return made
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

export interface Program {
  readonly child: ChildProcess
  readonly pid: number
  readonly out: string
  readonly err: string
  readonly ended: Promise<Ended>
}

/** Starts the executable with nothing in its environment but PATH and `env`; it does not outlive the test. */
export function start(t: TestContext, args: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
  const child = spawn(process.execPath, [executable, ...args], {
    env: { PATH: process.env['PATH'] ?? '', NODE_COMPILE_CACHE: compileCache, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, out, err }))
  })
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended
  })
  assert.ok(child.pid !== undefined)
  return {
    child,
    pid: child.pid,
    get out() {
      return out
    },
    get err() {
      return err
    },
    ended,
  }
}

/** Runs the executable to its end. */
export const run = (t: TestContext, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended> => start(t, args, env).ended

export interface Called {
  readonly status: number | undefined
  readonly out: string
  readonly err: string
  readonly failure: Failure | undefined
}

/** Calls a command in this process; what it throws and is no Failure is thrown on. */
export async function call(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  nextSignal: Io['nextSignal'] = () => new Promise(() => {}),
): Promise<Called> {
  let out = ''
  let err = ''
  const io: Io = {
    env,
    clock: systemClock,
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
    version: '1.2.3',
    commit: 'abc',
    nextSignal,
  }
  try {
    return { status: await cli(args, io), out, err, failure: undefined }
  } catch (error) {
    if (!isFailure(error)) throw error
    return { status: undefined, out, err: err + sentence(error), failure: error }
  }
}

export interface DaemonProcess extends Program {
  /** Parsed lines of the log. */
  readonly log: readonly Readonly<Record<string, unknown>>[]
  /** Address of a listener, as the log told it last: "127.0.0.1:41234". */
  addressOf(listener: string): string
  /** Waits for a line with these fields. */
  logged(what: Readonly<Record<string, unknown>>, limitMs?: number): Promise<void>
}

/** Starts `svidecar run` and waits until all listeners are open. */
export async function startDaemon(t: TestContext, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<DaemonProcess> {
  const program = start(t, ['run', ...args], env)
  const lines = () =>
    program.err
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
  const logged: DaemonProcess['logged'] = async (what, limitMs) => {
    await eventually(
      `a log line with ${JSON.stringify(what)} in\n${program.err}`,
      () => lines().some((line) => Object.entries(what).every(([name, value]) => line[name] === value)),
      limitMs,
    )
  }
  await Promise.race([logged({ event: 'daemon.listening' }), program.ended.then(({ code, err }) => assert.fail(`the daemon ended with ${code}: ${err}`))])
  return Object.defineProperties(program, {
    log: { get: lines },
    logged: { value: logged },
    addressOf: {
      value: (listener: string) => {
        const line = lines().findLast((one) => one['event'] === 'listener.opened' && one['listener'] === listener)
        assert.ok(typeof line?.['address'] === 'string', `${listener} has not been opened`)
        return line['address']
      },
    },
  }) as DaemonProcess
}

/** A configuration file in the folder; port 0 is any free one. */
export async function writeConfig(directory: string, text: string): Promise<string> {
  const path = join(directory, 'config.yaml')
  await writeFile(path, text)
  return path
}

/** An agent and an AWS in this process, for `lifetime` seconds each. */
export async function worldIn(t: TestContext, directory: string): Promise<World> {
  const world = await startWorld({ directory, clock: systemClock, x509TtlSeconds: 600, jwtTtlSeconds: 600, sessionSeconds: 3_600 })
  t.after(() => world.stop())
  return world
}

/** A profile named `name` of the world, by Roles Anywhere. */
export const profileIn = ({ arns, aws }: World, name: string): string =>
  `  ${name}: { roles_anywhere: { trust_anchor_arn: "${arns.trustAnchor}", profile_arn: "${arns.profile}", role_arn: "${arns.role}" }, endpoint: "${aws.issuingUrl}" }\n`

/** A profile by web identity, which goes to whatever answers at `endpoint`. */
export const webProfile = (name: string, endpoint = 'http://127.0.0.1:9'): string =>
  `  ${name}: { web_identity: { role_arn: "arn:aws:iam::123456789012:role/${name}", audience: sts.amazonaws.com }, region: us-east-1, endpoint: "${endpoint}" }\n`

export const identityAt = (socket: string): string => `identities: { default: { workload_api: "${socket}" } }\n`
