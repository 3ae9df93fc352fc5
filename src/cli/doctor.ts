// svidecar doctor: what is wrong on the way from the agent to an SDK, tried by the daemon and by who asks, and which provider an SDK will use.
import { accessSync, closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { type Verdict, verdicts } from '../aws/provider-chain.ts'
import { errorText, failure, isFailure, sentence, systemReason, toFailure } from '../core/errors.ts'
import type { Check, StatusReport } from '../core/health.ts'
import { ask, controlSocket, daemonOptions } from './client.ts'
import type { Command, Io, Values } from './command.ts'
import { configuration, runtimeDir } from './configuration.ts'
import { pretty, table } from './render.ts'

const patienceMs = 60_000
const mostBytes = 1 << 20
// Nothing else of a process is anybody's business here.
const shown = /^(AWS_|HOME$)/

interface Environment {
  readonly name: string
  readonly env: NodeJS.ProcessEnv
  readonly read: (path: string) => string | undefined
}

/** Reads plain files of some length alone: what another process names may be a pipe, a device, or a log of the kernel, which has no length. */
const reader =
  (root: string) =>
  (path: string): string | undefined => {
    if (!path.startsWith('/')) return undefined
    try {
      const file = openSync(root + path, constants.O_RDONLY | constants.O_NONBLOCK)
      try {
        const facts = fstatSync(file)
        if (!facts.isFile() || facts.size > mostBytes) return undefined
        const bytes = Buffer.alloc(facts.size)
        return bytes.toString('utf8', 0, readSync(file, bytes, 0, facts.size, 0))
      } finally {
        closeSync(file)
      }
    } catch {
      return undefined
    }
  }

/** The environment that the options name. Throws usage. Values are only looked at, nothing is run. */
function environmentOf({ environment: file, pid }: Values, io: Io): Environment {
  try {
    if (file !== undefined) return { name: file, env: parseEnv(readFileSync(file, 'utf8')), read: reader('') }
    if (pid === undefined) return { name: 'this shell', env: io.env, read: reader('') }
    if (!/^\d+$/.test(pid)) throw new Error('it is not a number')
    const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
    const env = Object.fromEntries(entries.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]))
    // Its own view of the files, also from within a container.
    return { name: `process ${pid}`, env, read: reader(`/proc/${pid}/root`) }
  } catch (error) {
    throw failure('usage', `cannot read the environment of ${file ?? `process ${pid}`}: ${systemReason(error)}`, {
      remedy: pid === undefined ? '' : 'It must be a process of this user; root may look at any.',
    })
  }
}

/** What this user can do with what the daemon has laid out. */
function asYou(directory: string): Check[] {
  try {
    const mine = readdirSync(directory).filter((name) => /\.(sock|token)$/.test(name) && name !== 'control.sock')
    return mine.map((name): Check => {
      const path = join(directory, name)
      try {
        accessSync(path, name.endsWith('.sock') ? constants.R_OK | constants.W_OK : constants.R_OK)
        return { what: name, result: 'ok', message: `you may ${name.endsWith('.sock') ? 'ask at' : 'read'} ${path}`, remedy: '' }
      } catch (error) {
        return { what: name, result: 'warning', message: `${path}: ${systemReason(error)}`, remedy: "Join the consumer's group, if it is meant for you." }
      }
    })
  } catch (error) {
    return [{ what: 'runtime directory', result: 'failed', message: `${directory}: ${errorText(error)}`, remedy: 'Name it with --runtime-dir.' }]
  }
}

/** The daemon's own checks, or those that can be made without one. */
async function examine(values: Values, io: Io, directory: string): Promise<{ daemon: Check[]; you: Check[]; ours: string[] }> {
  try {
    const socket = controlSocket(directory)
    const daemon = JSON.parse(await ask(socket, 'POST', '/doctor', patienceMs)) as Check[]
    const { listeners } = JSON.parse(await ask(socket, 'GET', '/status')) as StatusReport
    const ours = Object.entries(listeners).flatMap(([name, address]) => (/^(container$|imds )/.test(name) ? [address] : []))
    return { daemon, you: asYou(directory), ours }
  } catch (error) {
    if (!isFailure(error) || error.code !== 'daemon_unreachable') throw error
    const away: Check = { what: 'daemon', result: 'failed', message: error.message, remedy: error.remedy }
    const { examineAll } = await import('../daemon/doctor.ts')
    const tried = await configuration(values, io).then(
      (config) => examineAll({ config, clock: io.clock }),
      (problem): readonly Check[] => [{ what: 'configuration', result: 'failed', message: sentence(toFailure(problem)), remedy: '' }],
    )
    return { daemon: [], you: [away, ...tried], ours: [] }
  }
}

const words = { ok: 'ok', warning: 'WARNING', failed: 'FAILED' } as const

const renderChecks = (title: string, checks: readonly Check[]): string =>
  checks.length === 0
    ? ''
    : `${title}\n${table(checks.flatMap(({ what, result, message, remedy }) => [[`  ${words[result]}`, what, message], ...(remedy === '' ? [] : [['', '', `→ ${remedy}`]])]))}\n`

const renderVerdicts = (name: string, all: readonly Verdict[]): string =>
  `which provider wins in ${name}\n${table(
    all.flatMap(({ sdk, provider, isOurs, why, change }) => [
      [`  ${sdk}`, `${provider}${isOurs ? ', svidecar' : ''}`, why],
      ...(change === '' ? [] : [['', '', `→ ${change}`]]),
    ]),
  )}`

export const doctor: Command = {
  options: {
    ...daemonOptions,
    environment: { type: 'string', value: 'FILE', help: 'Explain this environment: lines of NAME=VALUE.' },
    pid: { type: 'string', value: 'PID', help: 'Explain the environment of this process, which must be yours unless you are root.' },
    json: { type: 'boolean', help: 'Print JSON.' },
  },
  details:
    'Has the daemon try each step for real, AWS included: the agent attests the process that asks, so "as the daemon" and "as you" may differ. Exit status 1 if a step failed.',
  example: 'svidecar doctor --pid $(pgrep -n java)',
  async run(values, io) {
    const { name, env, read } = environmentOf(values, io)
    const { daemon, you, ours } = await examine(values, io, await runtimeDir(values, io))
    const environment = verdicts({ env: Object.fromEntries(Object.entries(env).filter(([key]) => shown.test(key))), read, ours })
    if (values['json'] !== undefined) io.out(pretty({ daemon, you, environment }))
    else io.out(renderChecks('as the daemon', daemon) + renderChecks('as you', you) + renderVerdicts(name, environment))
    return [...daemon, ...you].some(({ result }) => result === 'failed') ? 1 : 0
  },
}
