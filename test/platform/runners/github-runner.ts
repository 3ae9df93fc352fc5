// What GitHub's runner does with a job, as far as hooks and composite actions need it: environment files, inputs, conditions and shells.
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Outcome } from '../machine.ts'
import { type Host, runnerUser } from './host.ts'

interface ActionStep {
  readonly name: string
  readonly if: string
  readonly shell: string
  readonly env: Readonly<Record<string, string>>
  readonly run: string
}

export interface Action {
  readonly inputs: Readonly<Record<string, { readonly default: string; readonly description: string }>>
  readonly runs: { readonly using: string; readonly steps: readonly ActionStep[] }
}

type Environment = Readonly<Record<string, string>>

/** The runner's .env: lines with a = that is not the first character; no comments, no quotes, and no value takes the variable away. */
export const readDotEnv = (text: string): Environment =>
  Object.fromEntries(
    text
      .split('\n')
      .map((line) => [line.slice(0, Math.max(0, line.indexOf('='))), line.slice(line.indexOf('=') + 1)] as const)
      .filter(([name, value]) => name !== '' && value !== ''),
  )

/** A file that GITHUB_ENV names: NAME=VALUE, or NAME<<END and lines until END. Throws for anything else, as the runner does. */
export function readEnvironmentFile(text: string): Environment {
  const lines = text.split('\n')
  const variables: Record<string, string> = {}
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    if (line === '') continue
    const [, name = '', operator, rest = ''] = /^([^=<]+)(=|<<)(.*)$/.exec(line) ?? []
    if (operator === undefined) throw new Error(`Invalid format '${line}'`)
    if (operator === '=') variables[name] = rest
    else {
      const end = lines.indexOf(rest, at + 1)
      if (end === -1) throw new Error(`Matching delimiter not found '${rest}'`)
      variables[name] = lines.slice(at + 1, end).join('\n')
      at = end
    }
  }
  return variables
}

/** One job on a host: what its steps add to the environment is there for those after them. */
export class Job {
  readonly #host: Host
  readonly #folder: string
  #environment: Environment
  #steps = 0

  private constructor(host: Host, folder: string, environment: Environment) {
    this.#host = host
    this.#folder = folder
    this.#environment = environment
  }

  /** `runnerEnv`: the text of the runner's .env; `env`: what the workflow sets for the job. */
  static async start(host: Host, folder: string, runnerEnv: string, env: Environment = {}): Promise<Job> {
    await mkdir(folder)
    await chown(folder, runnerUser, runnerUser)
    return new Job(host, folder, { HOME: folder, GITHUB_ACTIONS: 'true', CI: 'true', ...readDotEnv(runnerEnv), ...env })
  }

  get environment(): Environment {
    return this.#environment
  }

  /** Runs a script as a step does. The groups are those of the runner's user. */
  async script(path: string, shell: 'bash' | 'sh', env: Environment = {}): Promise<Outcome> {
    const files = { GITHUB_ENV: join(this.#folder, `env-${this.#steps}`), GITHUB_OUTPUT: join(this.#folder, `output-${this.#steps++}`) }
    for (const file of Object.values(files)) {
      await writeFile(file, '')
      await chown(file, runnerUser, runnerUser)
    }
    const how = shell === 'bash' ? ['bash', '--noprofile', '--norc', '-e', '-o', 'pipefail'] : ['sh', '-e']
    const outcome = await this.#host.as(runnerUser, [6601], [...how, path], { ...this.#environment, ...env, ...files }, this.#folder)
    this.#environment = { ...this.#environment, ...readEnvironmentFile(await readFile(files.GITHUB_ENV, 'utf8')) }
    return outcome
  }

  /** A step with `run:` of the workflow's. */
  async run(script: string, env: Environment = {}): Promise<Outcome> {
    const path = join(this.#folder, `step-${this.#steps}.sh`)
    await writeFile(path, script)
    return this.script(path, 'bash', env)
  }

  /** A step with `uses:`; the steps of the action that its conditions choose, until one fails. */
  async uses(action: Action, inputs: Environment = {}): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    const value = (name: string) => inputs[name] ?? action.inputs[name]?.default ?? ''
    const expression = (text: string) => text.replaceAll(/\$\{\{ inputs\.([\w-]+) \}\}/g, (_, name: string) => value(name))
    for (const step of action.runs.steps) {
      const [, name = '', operator, literal] = /^inputs\.([\w-]+) (==|!=) '(.*)'$/.exec(step.if) ?? []
      if (operator === undefined) throw new Error(`this runner does not know the condition ${step.if}`)
      if ((value(name) === literal) !== (operator === '==')) continue
      if (step.shell !== 'bash') throw new Error(`this runner does not know the shell ${step.shell}`)
      const env = Object.fromEntries(Object.entries(step.env).map(([name, text]) => [name, expression(text)]))
      const outcome = await this.run(expression(step.run), env)
      outcomes.push(outcome)
      if (outcome.status !== 0) break
    }
    return outcomes
  }
}

export const readAction = (text: string): Action => parse(text) as Action
