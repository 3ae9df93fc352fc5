// svidecar demo: starts the demo that lies beside this bundle.
import { spawn } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isSea } from 'node:sea'
import { failure } from '../core/errors.ts'
import type { Command } from './command.ts'

export const demo: Command = {
  options: {
    for: { type: 'string', value: 'DURATION', help: 'End after this time: exit 0 only if every call succeeded and both kinds of rotation were seen.' },
  },
  details: 'A development SPIFFE agent, a development AWS that verifies every signature, the daemon, and a real AWS SDK that calls through it.',
  example: 'svidecar demo --for 30s',
  async run({ for: limit }, io) {
    const file = isSea() ? '' : join(dirname(realpathSync(process.argv[1] ?? '')), 'demo.cjs')
    if (!existsSync(file)) throw failure('usage', 'this build has no demo', { remedy: 'The npm package has one: npx svidecar demo.' })
    const child = spawn(process.execPath, [file, ...(limit === undefined ? [] : ['--for', limit])], { stdio: 'inherit', env: io.env })
    // Ctrl-C reaches the child from the terminal; what comes to this process alone is passed on.
    void io.nextSignal(['SIGTERM']).then((name) => child.kill(name))
    void io.nextSignal(['SIGINT'])
    return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)))
  },
}
