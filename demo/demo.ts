// The entry of dist/demo.cjs: the whole world on one machine. With the word `client` it is the program in that world.
import { parseArgs } from 'node:util'
import { errorText } from '../src/core/errors.ts'
import { runClient } from './client.ts'
import { runDemo } from './run.ts'
import type { DemoOptions } from './story.ts'

const usage = 'Usage: svidecar demo [--for DURATION], with a duration such as 30s or 1m.'

function end(status: number, text: string): never {
  console.error(`svidecar demo: ${text}`)
  process.exit(status)
}

/** Returns what is asked for; ends with a sentence that says what is wrong. */
function readOptions(): DemoOptions {
  // For tests, which cannot watch for half a minute: the seconds of an SVID and of a session.
  const [svidSeconds = 20, sessionSeconds = 30] = (process.env['SVIDECAR_DEMO_SECONDS'] ?? '20,30').split(',').map(Number)
  try {
    const { values } = parseArgs({ options: { for: { type: 'string' } } })
    if (values.for === undefined) return { svidSeconds, sessionSeconds }
    const [, digits, unit] = /^([1-9]\d{0,5})(s|m)$/.exec(values.for) ?? []
    if (digits === undefined) throw new Error(`--for ${JSON.stringify(values.for)} is not a duration.`)
    return { svidSeconds, sessionSeconds, forMs: Number(digits) * (unit === 'm' ? 60_000 : 1_000) }
  } catch (error) {
    return end(2, `${errorText(error)} ${usage}`)
  }
}

if (process.argv[2] === '--help') console.log(usage)
else
  (process.argv[2] === 'client' ? runClient() : runDemo(readOptions())).then(
    (status) => process.exit(status),
    (error: unknown) => end(1, errorText(error)),
  )
