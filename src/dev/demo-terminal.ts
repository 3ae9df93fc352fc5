// The demo's terminal: a screen of its own that is drawn over, keys one by one, and everything as before at the end,
// whatever the end is.
import { writeSync } from 'node:fs'
import { type Line, paint } from './demo-text.ts'

export interface Terminal {
  readonly columns: number
  readonly rows: number
  draw(lines: readonly Line[]): void
  /** Gives the terminal back; a second time does nothing. */
  close(): void
}

const enter = '\x1b[?1049h\x1b[?25l\x1b[2J'
const leave = '\x1b[?25h\x1b[?1049l'

/** Whether the output can be drawn over. */
export const isScreen = (): boolean => process.stdout.isTTY && process.env['TERM'] !== 'dumb'

/** Takes the terminal. `resized` is called when it changes its size. */
export function openTerminal(resized: () => void): Terminal {
  const { stdout } = process
  const colour = !process.env['NO_COLOR']
  let open = true
  stdout.write(enter)
  stdout.on('resize', resized)
  const close = () => {
    if (!open) return
    open = false
    stdout.off('resize', resized)
    process.off('exit', close)
    // At once, since this may be the last thing that the process does.
    if (process.stdin.isTTY) process.stdin.setRawMode(false)
    try {
      writeSync(1, leave)
    } catch {} // the terminal has gone
  }
  process.once('exit', close)
  return {
    get columns() {
      return stdout.columns || 80
    },
    get rows() {
      return stdout.rows || 24
    },
    draw(lines) {
      if (!open) return
      // Cleared before it is written: after a line of full width some terminals would clear its last character.
      const text = lines.map((line) => `\x1b[2K${paint(line, stdout.columns || 80, colour)}`).join('\r\n')
      stdout.write(`\x1b[H${text}\x1b[J`)
    },
    close,
  }
}

/**
 * Calls back with each key. From a terminal they come without Enter and without being shown; from a pipe as they are
 * written, so that a script can press them. A terminal whose output goes elsewhere is left alone: reading it would
 * stop a demo that runs in the background.
 */
export function readKeys(pressed: (key: string) => void): boolean {
  const { stdin } = process
  if (stdin.isTTY && !isScreen()) return false
  if (stdin.isTTY) stdin.setRawMode(true)
  stdin.setEncoding('utf8')
  stdin.on('data', (keys: string) => {
    for (const key of keys) pressed(key)
  })
  stdin.on('error', () => {}) // no keys then
  return stdin.isTTY
}
