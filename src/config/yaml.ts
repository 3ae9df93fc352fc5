// YAML with places: the only file that knows the yaml package, imported only when there is YAML to read.
import { isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml'
import { errorText } from '../core/errors.ts'
import { type Mistake, mistakesFailure, type Path } from './mistakes.ts'

const mostErrors = 10

// $${ stands for a literal ${.
const reference = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g

/**
 * Reads one YAML document and expands ${NAME} and ${NAME:-default} inside its strings, never in keys. Throws config_invalid when the text
 * is no YAML; a variable without value and default is one of the mistakes, at its line.
 */
export function readYaml(text: string, origin: string, env: NodeJS.ProcessEnv) {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, logLevel: 'error' })
  const fault = (message: string, offset = 0): Mistake => ({ path: [], message: message.slice(0, 300), place: lines.linePos(offset) })
  const refuse = (...faults: readonly Mistake[]) => mistakesFailure(origin, faults)
  if (document.errors.length > 0) throw refuse(...document.errors.slice(0, mostErrors).map(({ message, pos }) => fault(message, pos[0])))
  const mistakes: Mistake[] = []
  visit(document, {
    Alias(_key, node) {
      if (node.resolve(document) === undefined) throw refuse(fault(`there is no anchor &${node.source}`, node.range?.[0]))
    },
    Scalar(key, node, path) {
      // An object of JavaScript takes this key for something else.
      if (key === 'key' && node.value === '__proto__') throw refuse(fault('__proto__ is no name', node.range?.[0]))
      if (key === 'key' || typeof node.value !== 'string') return
      node.value = node.value.replaceAll(reference, (whole, name: string | undefined, fallback: string | undefined) => {
        if (name === undefined) return '${'
        const value = env[name] || fallback
        if (value === undefined)
          mistakes.push({ path: pathOf([...path, node]), message: `the environment variable ${name} is not set and ${whole} has no default` })
        return value ?? whole
      })
    },
  })
  const locate = (mistake: Mistake): Mistake => {
    const { path, key } = mistake
    for (let depth = path.length; depth >= 0; depth--) {
      const node = key && depth === path.length ? keyNode(document.getIn(path.slice(0, -1)), path.at(-1)) : document.getIn(path.slice(0, depth), true)
      if (isNode(node) && node.range) return { ...mistake, place: lines.linePos(node.range[0]) }
    }
    return mistake
  }
  try {
    return { value: document.toJS({ maxAliasCount: 20 }) ?? {}, locate, mistakes }
  } catch (error) {
    throw refuse(fault(errorText(error)))
  }
}

const keyNode = (map: unknown, name: string | number | undefined): unknown =>
  isMap(map) ? map.items.find(({ key }) => isScalar(key) && key.value === name)?.key : undefined

/** The path of a chain of nodes, each in the one before it. */
const pathOf = (chain: readonly unknown[]): Path =>
  chain.flatMap((node, index): Path => {
    if (isPair(node)) return isScalar(node.key) ? [String(node.key.value)] : []
    return isSeq(node) ? [node.items.indexOf(chain[index + 1])] : []
  })
