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

/** The text of a file, whose bytes have to be UTF-8. Throws Hcl1Error. */
export function textOf(bytes: Buffer): string {
  const text = bytes.toString()
  const again = Buffer.from(text)
  const wrong = bytes.findIndex((byte, index) => byte !== again[index])
  if (wrong < 0) return text
  throw at(scan(text).placeOf(bytes.toString('utf8', 0, wrong).length), 'illegal UTF-8 encoding')
}

// The original goes on until its stack is full.
const deepest = 1_024
const tooDeep = new Hcl1Error(`nested more than ${deepest} deep`)

const literalTypes: readonly string[] = ['NUMBER', 'FLOAT', 'BOOL', 'STRING', 'HEREDOC']

function parse(source: string): readonly Item[] {
  const scanner = scan(source)
  let ahead: Token | undefined
  // No token is looked for before it is needed: what cannot be read behind a mistake is not told.
  const peek = (): Token => (ahead ??= scanner.next())
  let depth = 0
  const advance = (): Token => {
    const taken = peek()
    ahead = undefined
    depth += taken.type.startsWith('LBR') ? 1 : taken.type.startsWith('RBR') ? -1 : 0
    if (depth > deepest) throw tooDeep
    return taken
  }

  const forbidden = source.search(/[\0\uE123]/)
  const why = source[forbidden] === '\0' ? 'unexpected null character (0x00)' : 'unicode code point U+E123 reserved for internal use'
  if (forbidden >= 0) throw at(scanner.placeOf(forbidden), why)

  function items(inObject: boolean): Item[] {
    const found: Item[] = []
    while (!(inObject && peek().type === 'RBRACE')) {
      const keys = keysOfItem()
      const value = keys && itemValue(keys)
      if (keys === undefined || value === undefined) break
      found.push({ keys, value })
      if (peek().type === 'COMMA') advance()
    }
    return found
  }

  /** The keys up to the equals sign or the brace; undefined at the end of the text. */
  function keysOfItem(): Key[] | undefined {
    const keys: Key[] = []
    for (;;) {
      const { type, at: place, value: name } = peek()
      if (type === 'IDENT' || type === 'STRING') {
        keys.push({ name, quoted: type === 'STRING', at: place })
        advance()
      } else if (type === 'ASSIGN' || type === 'LBRACE') {
        if (type === 'ASSIGN' && keys.length > 1) throw at(place, `nested object expected: LBRACE got: ${type}`)
        if (keys.length === 0) throw at(place, type === 'ASSIGN' ? 'no object keys found!' : `expected: IDENT | STRING got: ${type}`)
        return keys
      } else if (type === 'EOF' && keys.length === 0) return void advance()
      else if (keys.length > 0 && (type === 'EOF' || type === 'RBRACE')) return keys
      else throw at(place, type === 'ILLEGAL' ? 'illegal character' : `expected: IDENT | STRING | ASSIGN | LBRACE got: ${type}`)
    }
  }

  /** Undefined where the text ends behind the equals sign, which hashicorp/hcl passes over. */
  function itemValue(keys: readonly Key[]): Node | undefined {
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
    if (next.type === 'EOF') return undefined
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
        if (error === tooDeep) throw error
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
  const toNode = (value: unknown, depth: number): Node => {
    if (depth > deepest) throw tooDeep
    if (Array.isArray(value)) return { kind: 'list', at: nowhere, elements: value.map((element) => toNode(element, depth + 1)) }
    if (typeof value === 'object' && value !== null) return { kind: 'object', at: nowhere, items: toItems(value, depth + 1) }
    const type = typeof value === 'boolean' ? 'BOOL' : typeof value === 'string' || value === null ? 'STRING' : Number.isInteger(value) ? 'NUMBER' : 'FLOAT'
    const plain = typeof value === 'string' ? value : value === null ? '' : JSON.stringify(value)
    return { kind: 'literal', at: nowhere, type, text: JSON.stringify(value), value: plain }
  }
  const flatten = ({ keys, value }: Item): Item[] => {
    const inner = value.kind === 'object' ? value.items : value.kind === 'list' ? value.elements.map((element) => ({ keys: [], value: element })) : []
    const objects = inner.length > 0 && inner.every((item) => item.value.kind === 'object')
    return objects ? inner.flatMap((item) => flatten({ keys: [...keys, ...item.keys], value: item.value })) : [{ keys, value }]
  }
  const toItems = (object: object, depth = 0): Item[] =>
    Object.entries(object).flatMap(([name, value]) => flatten({ keys: [{ name, quoted: false, at: nowhere }], value: toNode(value, depth) }))
  try {
    return toItems(JSON.parse(text) as object)
  } catch (error) {
    if (error === tooDeep) throw error
    throw new Hcl1Error(`error parsing JSON: ${(error as Error).message}`)
  }
}
