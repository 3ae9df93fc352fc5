// What the programs in JavaScript share: a line of stdin is one call, a line of stdout its outcome.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

/** Loads a package from the folder that the command names: SDKs are installed outside the checkout. */
export const load = <Package>(name: string): Package => createRequire(`${process.argv[2]}/`)(name) as Package

export async function answerLines(call: () => Promise<{ arn: string | undefined }>): Promise<void> {
  for await (const _line of createInterface({ input: process.stdin })) {
    const outcome = await call().catch((error: Error) => ({ error: error.name, message: error.message }))
    console.log(JSON.stringify(outcome))
  }
}
