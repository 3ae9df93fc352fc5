// HCL1, the language of helper.conf: text to a tree with places. The messages are those of hashicorp/hcl v1, which people know.
import { type Place, scan, type Token } from './hcl1-scan.ts'

export type Node =
  | ({ readonly kind: 'literal' } & Token)
  | { readonly kind: 'object'; readonly at: Place; readonly items: readonly Item[] }
  | { readonly kind: 'list'; readonly at: Place; readonly elements: readonly Node[] }

export interface Key {
  readonly name: string
  /** A key in quotes is never called unknown; extensions live there. */
  readonly quoted: boolean
  readonly at: Place
}

export interface Item {
  /** The key, and the labels of a block. */
  readonly keys: readonly Key[]
  readonly value: Node
}

export class Hcl1Error extends Error {}

/** Where a value of JSON is, of which no place is kept. */
export const nowhere: Place = { line: 0, column: 0 }

export const at = ({ line, column }: Place, message: string): Hcl1Error => new Hcl1Error(`At ${line === 0 ? '-' : `${line}:${column}`}: ${message}`)

/** Parses HCL1; a text whose first character is a brace is JSON to HCL1. Throws Hcl1Error. */
export const parseHcl1 = (text: string): readonly Item[] => (/^\s*\{/.test(text) ? parseJson(text) : parse(text.replaceAll('\r\n', '\n')))

const literalTypes: readonly string[] = ['NUMBER', 'FLOAT', 'BOOL', 'STRING', 'HEREDOC']

function parse(source: string): readonly Item[] {
  const scanner = scan(source)
  let token = scanner.next()
  const advance = (): Token => {
    const taken = token
    token = scanner.next()
    return taken
  }

  const nul = source.indexOf('\0')
  if (nul >= 0) throw at(scanner.placeOf(nul), 'unexpected null character (0x00)')

  function items(inObject: boolean): Item[] {
    const found: Item[] = []
    while (!(inObject && token.type === 'RBRACE')) {
      const keys = keysOfItem()
      if (keys === undefined) break
      found.push({ keys, value: itemValue(keys) })
      if (token.type === 'COMMA') advance()
    }
    return found
  }

  /** The keys up to the equals sign or the brace; undefined at the end of the text. */
  function keysOfItem(): Key[] | undefined {
    const keys: Key[] = []
    for (;;) {
      const { type, at: place, value: name } = token
      if (type === 'IDENT' || type === 'STRING') {
        keys.push({ name, quoted: type === 'STRING', at: place })
        advance()
      } else if (type === 'ASSIGN' || type === 'LBRACE') {
        if (type === 'ASSIGN' && keys.length > 1) throw at(place, `nested object expected: LBRACE got: ${type}`)
        if (keys.length === 0) throw at(place, type === 'ASSIGN' ? 'no object keys found!' : `expected: IDENT | STRING got: ${type}`)
        return keys
      } else if (type === 'EOF' && keys.length === 0) return undefined
      else if (keys.length > 0 && (type === 'EOF' || type === 'RBRACE')) return keys
      else throw at(place, type === 'ILLEGAL' ? 'illegal character' : `expected: IDENT | STRING | ASSIGN | LBRACE got: ${type}`)
    }
  }

  function itemValue(keys: readonly Key[]): Node {
    const { type, at: place } = advance()
    if (type === 'LBRACE') return object(place)
    if (type !== 'ASSIGN') {
      const spelled = keys.map(({ name, quoted }) => (quoted ? JSON.stringify(name) : name)).join(' ')
      throw at(place, `key '${spelled}' expected start of object ('{') or assignment ('=')`)
    }
    const next = advance()
    if (literalTypes.includes(next.type)) return { kind: 'literal', ...next }
    if (next.type === 'LBRACE') return object(next.at)
    if (next.type === 'LBRACK') return list(next.at)
    if (next.type === 'EOF') throw new Hcl1Error('EOF token found')
    throw at(next.at, `Unknown token: ${next.at.line}:${next.at.column} ${next.type} ${next.text}`)
  }

  function object(place: Place): Node {
    const found = items(true)
    const { type, at: end } = advance()
    if (type !== 'RBRACE') throw at(end, `object expected closing RBRACE got: ${type}`)
    return { kind: 'object', at: place, items: found }
  }

  function list(place: Place): Node {
    const elements: Node[] = []
    const inside = (what: string, { at: start }: Token, element: (start: Place) => Node): Node => {
      try {
        return element(start)
      } catch (error) {
        throw at(start, `error while trying to parse ${what} within list: ${(error as Error).message}`)
      }
    }
    for (let needsComma = false; ; ) {
      const next = advance()
      const { type } = next
      if (type === 'RBRACK') return { kind: 'list', at: place, elements }
      if (needsComma && type !== 'COMMA') throw at(next.at, `error parsing list, expected comma or list end, got: ${type}`)
      if (literalTypes.includes(type)) elements.push({ kind: 'literal', ...next })
      else if (type === 'LBRACE') elements.push(inside('object', next, object))
      else if (type === 'LBRACK') elements.push(inside('list', next, list))
      else if (type !== 'COMMA') throw at(next.at, `unexpected token while parsing list: ${type}`)
      // As in hashicorp/hcl: after a list in a list the comma may be left out.
      needsComma = type !== 'COMMA' && type !== 'LBRACK'
    }
  }

  try {
    const found = items(false)
    if (scanner.problem === undefined) return found
    throw new Hcl1Error('not all of it could be read')
  } catch (error) {
    // What the scanner could not read comes before what the parser made of it.
    throw scanner.problem === undefined ? error : at(scanner.problem.at, scanner.problem.message)
  }
}

/**
 * JSON as hashicorp/hcl reads it: an object, or a list, that holds nothing but objects is flattened into its parent. That
 * makes any `jwt_svids` in JSON unusable there, and so here.
 */
function parseJson(text: string): readonly Item[] {
  const toNode = (value: unknown): Node => {
    if (Array.isArray(value)) return { kind: 'list', at: nowhere, elements: value.map(toNode) }
    if (typeof value === 'object' && value !== null) return { kind: 'object', at: nowhere, items: toItems(value) }
    const type = typeof value === 'boolean' ? 'BOOL' : typeof value === 'string' || value === null ? 'STRING' : Number.isInteger(value) ? 'NUMBER' : 'FLOAT'
    return {
      kind: 'literal',
      at: nowhere,
      type,
      text: JSON.stringify(value),
      value: typeof value === 'string' ? value : value === null ? '' : JSON.stringify(value),
    }
  }
  const flatten = ({ keys, value }: Item): Item[] => {
    const inner = value.kind === 'object' ? value.items : value.kind === 'list' ? value.elements.map((element) => ({ keys: [], value: element })) : []
    const objects = inner.length > 0 && inner.every((item) => item.value.kind === 'object')
    return objects ? inner.flatMap((item) => flatten({ keys: [...keys, ...item.keys], value: item.value })) : [{ keys, value }]
  }
  const toItems = (object: object): Item[] =>
    Object.entries(object).flatMap(([name, value]) => flatten({ keys: [{ name, quoted: false, at: nowhere }], value: toNode(value) }))
  try {
    return toItems(JSON.parse(text) as object)
  } catch (error) {
    throw new Hcl1Error(`error parsing JSON: ${(error as Error).message}`)
  }
}
