// The entry of dist/demo.cjs: the whole world on one machine. With the word `client` it is the program in that world.
import { errorText } from '../core/errors.ts'
import { parseArguments, usage } from './demo-arguments.ts'
import { runClient } from './demo-client.ts'
import { runDemo } from './demo-run.ts'

async function main(words: readonly string[]): Promise<number> {
  if (words[0] === 'client') {
    await runClient()
    return 0
  }
  if (words[0] === '--help') {
    console.log(usage)
    return 0
  }
  const options = parseArguments(words, process.env)
  if (typeof options === 'string') {
    console.error(`svidecar: ${options}`)
    return 2
  }
  return runDemo(options)
}

main(process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error: unknown) => {
    console.error(`svidecar demo: ${errorText(error)}`)
    process.exit(1)
  },
)
