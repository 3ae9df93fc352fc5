// YAML with places: the only file that knows the yaml package, imported only when there is YAML to read.
import { isNode, isPair, isScalar, LineCounter, parseDocument, visit } from 'yaml'
import { errorText } from '../core/errors.ts'
import { type Locate, type Mistake, mistakesFailure, type Path, type Place } from './mistakes.ts'

export interface ReadYaml {
  readonly value: unknown
  readonly locate: Locate
  readonly mistakes: readonly Mistake[]
}

const mostErrors = 10

// $${ stands for a literal ${.
const reference = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g

/**
 * Reads one YAML document and expands ${NAME} and ${NAME:-default} inside its strings, never in keys. Throws config_invalid when the text
 * is no YAML; a variable without value and default is one of the mistakes, at its line.
 */
export function readYaml(text: string, origin: string, env: NodeJS.ProcessEnv): ReadYaml {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, logLevel: 'error' })
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const refuse = (found: readonly { message: string; offset: number }[]) => {
    const shown = found.slice(0, mostErrors).map(({ message, offset }) => ({ mistake: { path: [], message: message.slice(0, 300) }, place: place(offset) }))
    return mistakesFailure(
      origin,
      shown.map(({ mistake }) => mistake),
      (_path, _key, mistake) => shown.find((one) => one.mistake === mistake)?.place,
    )
  }
  if (document.errors.length > 0) throw refuse(document.errors.map(({ message, pos }) => ({ message, offset: pos[0] })))
  const mistakes: Mistake[] = []
  visit(document, {
    Alias(_key, node) {
      if (node.resolve(document) === undefined) throw refuse([{ message: `there is no anchor &${node.source}`, offset: node.range?.[0] ?? 0 }])
    },
    Scalar(key, node, path) {
      // An object of JavaScript takes this key for something else.
      if (key === 'key' && node.value === '__proto__') throw refuse([{ message: '__proto__ is no name', offset: node.range?.[0] ?? 0 }])
      if (key === 'key' || typeof node.value !== 'string') return
      node.value = node.value.replaceAll(reference, (whole, name: string | undefined, fallback: string | undefined) => {
        if (name === undefined) return '${'
        const value = env[name] || fallback
        if (value === undefined) mistakes.push({ path: pathOf(path, node), message: `the environment variable ${name} is not set and ${whole} has no default` })
        return value ?? whole
      })
    },
  })
  const locate: Locate = (path, key) => {
    for (let depth = path.length; depth >= 0; depth--) {
      const range =
        key && depth === path.length
          ? keyRange(document.getIn(path.slice(0, -1), true), path.at(-1))
          : rangeOf(depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true))
      if (range !== undefined) return place(range)
    }
    return undefined
  }
  try {
    return { value: document.toJS({ maxAliasCount: 20 }) ?? {}, locate, mistakes }
  } catch (error) {
    throw refuse([{ message: errorText(error), offset: 0 }])
  }
}

const rangeOf = (node: unknown): number | undefined => (isNode(node) && node.range ? node.range[0] : undefined)

function keyRange(map: unknown, key: string | number | undefined): number | undefined {
  if (typeof map !== 'object' || map === null || !('items' in map) || !Array.isArray(map.items)) return undefined
  const pair: unknown = map.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === key)
  return isPair(pair) ? rangeOf(pair.key) : undefined
}

function pathOf(ancestors: readonly unknown[], node: unknown): Path {
  const path: (string | number)[] = []
  const chain = [...ancestors, node]
  for (const [index, one] of chain.entries()) {
    if (isPair(one) && isScalar(one.key)) path.push(String(one.key.value))
    else if (typeof one === 'object' && one !== null && 'items' in one && Array.isArray(one.items)) {
      const at = one.items.indexOf(chain[index + 1])
      if (!isPair(chain[index + 1]) && at >= 0) path.push(at)
    }
  }
  return path
}
