// YAML with places: the only file that knows the yaml package, imported only when there is YAML to read.
import { isNode, isPair, isScalar, LineCounter, parseDocument, visit } from 'yaml'
import { type Locate, type Mistake, mistakesFailure, type Path } from './mistakes.ts'

export interface ReadYaml {
  readonly value: unknown
  readonly locate: Locate
  readonly mistakes: readonly Mistake[]
}

// $${ stands for a literal ${.
const reference = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g

/**
 * Reads one YAML document and expands ${NAME} and ${NAME:-default} inside its strings, never in keys. Throws config_invalid when the text
 * is no YAML; a variable without value and default is one of the mistakes, at its line.
 */
export function readYaml(text: string, origin: string, env: NodeJS.ProcessEnv): ReadYaml {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true })
  if (document.errors.length > 0) {
    const places = document.errors.map((error) => lines.linePos(error.pos[0]))
    const mistakes = document.errors.map((error, index): Mistake => ({ path: [index], message: error.message }))
    throw mistakesFailure(
      origin,
      mistakes.map(({ message }) => ({ path: [], message })),
      takeInTurn(places),
    )
  }
  const mistakes: Mistake[] = []
  visit(document, {
    Scalar(key, node, path) {
      if (key === 'key' || typeof node.value !== 'string') return
      node.value = node.value.replaceAll(reference, (whole, name: string | undefined, fallback: string | undefined) => {
        if (name === undefined) return '${'
        const value = env[name] || fallback
        if (value === undefined)
          mistakes.push({ path: pathOf(path, node), message: `the environment variable ${name} is not set and ${whole} has no default` })
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
      if (range !== undefined) {
        const { line, col } = lines.linePos(range)
        return { line, column: col }
      }
    }
    return undefined
  }
  return { value: document.toJS({ maxAliasCount: 20 }) ?? {}, locate, mistakes }
}

const takeInTurn = (places: readonly { line: number; col: number }[]): Locate => {
  let index = 0
  return () => {
    const place = places[index++]
    return place === undefined ? undefined : { line: place.line, column: place.col }
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
