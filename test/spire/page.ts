// What docs/spire.md shows as code.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkout } from '../platform/machine.ts'

export interface Block {
  /** Of the section, without its hashes. */
  readonly heading: string
  readonly language: string
  /** The file that it is for, where the page says so. */
  readonly file: string | undefined
  readonly text: string
}

export function blocks(page = 'docs/spire.md'): readonly Block[] {
  const text = readFileSync(join(checkout, page), 'utf8')
  let heading = ''
  return [...text.matchAll(/^#+ (.*)$|^(?:<!-- in (\S+) -->\n)?```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, title, file, language = '', body]) => {
    if (title !== undefined) heading = title
    return body === undefined ? [] : [{ heading, language, file, text: body }]
  })
}

/** The commands of the section's one block of shell, a line each; a line that ends with a backslash goes on. */
export function commands(heading: string): readonly string[] {
  const [only, ...more] = blocks().filter((block) => block.heading === heading && block.language === 'sh')
  if (only === undefined || more.length > 0) throw new Error(`not one block of shell below ${heading}`)
  return only.text.trim().split(/(?<!\\)\n/)
}
