// Lines for a terminal, made of pieces, so that they can be cut to its width, coloured or not.
import type { Tone } from './demo-story.ts'

export type Style = Tone | 'title' | 'dim' | 'key'
export type Piece = readonly [text: string, style?: Style | undefined]
export type Line = readonly Piece[]

/** Breaks at spaces, but not between a number and its seconds; a word that is too long is cut with its line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/ (?!s\b)/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

const codes: Readonly<Record<Style, string>> = { plain: '', quiet: '2', good: '32', warn: '33', bad: '31', title: '1', dim: '2', key: '7' }

/** A line as the terminal takes it, no wider than `columns`. */
export function paint(line: Line, columns: number, colour: boolean): string {
  let left = columns
  return line
    .map(([text, style = 'plain']) => {
      const cut = text.length > left ? `${text.slice(0, Math.max(0, left - 1))}${left > 0 ? '…' : ''}` : text
      left -= cut.length
      return colour && codes[style] !== '' && cut !== '' ? `\x1b[${codes[style]}m${cut}\x1b[0m` : cut
    })
    .join('')
}
