// The entry of dist/demo.cjs: the whole world on one machine. With the word `client` it is the program in that world.
import { parseArgs } from 'node:util'
import { errorText } from '../core/errors.ts'
import { runClient } from './demo-client.ts'
import { type DemoOptions, runDemo } from './demo-run.ts'

const usage = 'Usage: svidecar demo [--for DURATION], with a duration such as 30s or 1m.'

/** Returns what is asked for; throws a sentence that says what is wrong. */
function readOptions(): DemoOptions {
  // For tests, which cannot watch for half a minute: the seconds of an SVID and of a session.
  const [svidSeconds = 20, sessionSeconds = 30] = (process.env['SVIDECAR_DEMO_SECONDS'] ?? '20,30').split(',').map(Number)
  const { values } = parseArgs({ options: { for: { type: 'string' } } })
  if (values.for === undefined) return { svidSeconds, sessionSeconds }
  const [, digits, unit] = /^([1-9]\d{0,5})(s|m)$/.exec(values.for) ?? []
  if (digits === undefined) throw new Error(`--for ${JSON.stringify(values.for)} is not a duration.`)
  return { svidSeconds, sessionSeconds, forMs: Number(digits) * (unit === 'm' ? 60_000 : 1_000) }
}

/** Whatever fails meanwhile is wrong usage. */
let reading = false

async function main(): Promise<number> {
  if (process.argv[2] === 'client') return runClient()
  if (process.argv[2] === '--help') {
    console.log(usage)
    return 0
  }
  reading = true
  const options = readOptions()
  reading = false
  return runDemo(options)
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    console.error(`svidecar demo: ${errorText(error)}${reading ? ` ${usage}` : ''}`)
    process.exit(reading ? 2 : 1)
  },
)
