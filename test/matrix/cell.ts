// One cell of the matrix: a program with an SDK that goes on calling AWS, and what came of each call.
import { setTimeout } from 'node:timers/promises'
import { run } from '../platform/machine.ts'
import { type Client, type Environment, type Outcome, startClient } from '../sdk/support.ts'
import type { Sdk, Tools } from './clients.ts'

export interface Call extends Outcome {
  /** When it began and ended, by performance.now(). */
  readonly from: number
  readonly to: number
}

export type Program = Pick<Client, 'call'> & { readonly end: () => Promise<unknown> }

/** A program that answers a call; for a command that is run for each call, and where each call has a process, the same. */
export function startProgram(sdk: Sdk, tools: Tools, environment: Environment, eachProcess = false): Program {
  const command = sdk.command(tools)
  if (!sdk.eachCall && eachProcess)
    return {
      call: async <T>(what: string) => {
        const { call, process } = startClient(command, environment)
        return call<T>(what).finally(() => process.kill('SIGKILL'))
      },
      end: async () => {},
    }
  if (!sdk.eachCall) {
    const { call, process } = startClient(command, environment)
    // Not by the end of its input: what an SDK still waits for may keep it.
    return { call, end: async () => process.kill('SIGKILL') }
  }
  return {
    call: async <T>() => {
      const { status, stdout, stderr } = await run(command, { env: environment })
      const code = /\((\w+)\)/.exec(stderr)?.[1] ?? 'Error'
      return (status === 0 ? { arn: (JSON.parse(stdout) as { Arn: string }).Arn } : { error: code, message: stderr.trim() }) as T
    },
    end: async () => {},
  }
}

/** Has a program make calls, with a pause between two, until it is told to stop. */
export function keepCalling(program: Program, pauseMs: number) {
  const calls: Call[] = []
  let going = true
  const done = (async () => {
    while (going) {
      const from = performance.now()
      const outcome = await program.call<Outcome>('identity')
      calls.push({ ...outcome, from, to: performance.now() })
      await setTimeout(pauseMs)
    }
  })()
  done.catch(() => {})
  return {
    calls: calls as readonly Call[],
    /** Without an error for a program that has ended: its calls say that. */
    stop: async () => {
      going = false
      await done.catch((error: Error) => calls.push({ error: error.name, message: error.message, from: 0, to: 0 }))
      await program.end().catch(() => {})
    },
  }
}
