// SPIRE's configuration as deploy/spire ships it, with the lines replaced that a test on one machine has to replace.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const home = join(import.meta.dirname, '../../deploy/spire')

export interface Changes {
  /** By block and key, `KeyManager "disk".keys_path`: the value that stands there instead. Each must be in the file, once. */
  readonly set: Readonly<Record<string, string>>
  /** By block, with all blocks around it: a line that comes first in it. */
  readonly add?: Readonly<Record<string, string>>
}

/** The text of deploy/spire/<name>. Before a key, `plugins` and `plugin_data` are left out. */
export function shipped(name: string, { set, add = {} }: Changes): string {
  const blocks: string[] = []
  const left = new Set([...Object.keys(set), ...Object.keys(add)])
  const take = (what: string): void => assert.ok(left.delete(what), `${what} is not, or not only once, in ${name}`)
  const lines = readFileSync(join(home, name), 'utf8')
    .split('\n')
    .flatMap((line) => {
      const text = line.trim()
      if (text.startsWith('#')) return [line]
      const block = /^(\S.*?) \{$/.exec(text)?.[1]
      if (block !== undefined) {
        blocks.push(block)
        const place = blocks.join('.')
        const more = add[place]
        if (more === undefined) return [line]
        take(place)
        return [line, more]
      }
      if (text === '}') blocks.pop()
      const [, indent = '', key = ''] = /^(\s*)(\w+) = /.exec(line) ?? []
      const path = [...blocks.filter((one) => one !== 'plugins' && one !== 'plugin_data'), key].join('.')
      const value = set[path]
      if (value === undefined) return [line]
      take(path)
      return [`${indent}${key} = ${value}`]
    })
  assert.deepEqual([...left], [], `is missing in ${name}`)
  return lines.join('\n')
}

/** A text of HCL. */
export const quoted = (text: string | number): string => JSON.stringify(String(text))
