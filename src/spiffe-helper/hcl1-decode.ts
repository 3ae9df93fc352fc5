// HCL1's tree into values of known types, by the rules and with the messages of hashicorp/hcl v1.
import { goQuote } from './go-quote.ts'
import { at, Hcl1Error, type Item, type Node, nowhere } from './hcl1.ts'
import type { Place } from './hcl1-scan.ts'

export type Kind = 'string' | 'int' | 'bool' | 'strings' | { readonly list: Shape } | { readonly struct: Shape }
export type Shape = Readonly<Record<string, Kind>>

export interface Decoded {
  readonly values: Readonly<Record<string, unknown>>
  /** Keys that the shape does not have. Those in quotes, and those of labelled blocks behind the first item, are not looked at. */
  readonly unknown: readonly string[]
}

const typeOf = ({ kind }: Node): string => ({ literal: '*ast.LiteralType', object: '*ast.ObjectList', list: '*ast.ListType' })[kind]

const objectOf = (items: readonly Item[]): Node => ({ kind: 'object', at: nowhere, items })

/** Where hashicorp/hcl says that a value is: an object is where its first key is. */
const placeOf = (node: Node): Place => (node.kind === 'object' ? (node.items[0]?.keys[0]?.at ?? nowhere) : node.at)

const wrong = (node: Node, message: string): Hcl1Error => at(placeOf(node), message)

const syntax = (text: string, why: string): Hcl1Error => new Hcl1Error(`strconv.ParseInt: parsing ${goQuote(text)}: ${why}`)

/** As Go's strconv.ParseInt with base 0: 0x, 0o, 0b and a plain leading zero name the base. */
export function parseInteger(text: string): number {
  if (!/^[+-]?(0[xX](_?[0-9a-fA-F])+|0[bB](_?[01])+|0[oO]?(_?[0-7])*|[1-9](_?[0-9])*)$/.test(text) || /^[+-]?0[oO]$/.test(text))
    throw syntax(text, 'invalid syntax')
  const digits = text.replaceAll('_', '').replace(/^[+-]/, '')
  const value = BigInt(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits.toLowerCase()) * (text.startsWith('-') ? -1n : 1n)
  if (value !== BigInt.asIntN(64, value)) throw syntax(text, 'value out of range')
  return Number(value)
}

function decodeValue(name: string, kind: Kind, node: Node, before: unknown): unknown {
  const literal = node.kind === 'literal' ? node : undefined
  const quoted = literal?.type === 'STRING' || literal?.type === 'HEREDOC'
  switch (kind) {
    case 'string':
      if (literal !== undefined && (quoted || literal.type === 'NUMBER')) return literal.value
      throw wrong(node, `${name}: unknown type for string ${typeOf(node)}`)
    case 'int':
      if (literal?.type === 'NUMBER' || literal?.type === 'STRING') return parseInteger(literal.value)
      throw wrong(node, `${name}: unknown type ${typeOf(node)}`)
    case 'bool':
      if (literal?.type === 'BOOL') return literal.value === 'true'
      throw wrong(node, `${name}: unknown type ${typeOf(node)}`)
    default:
  }
  if (typeof kind === 'object' && 'struct' in kind) {
    if (node.kind !== 'object') throw wrong(node, `${name}: not an object type for struct (${typeOf(node)})`)
    // A second block adds to the first.
    return decodeStruct(name, kind.struct, node.items, before as Decoded | undefined)
  }
  if (node.kind === 'literal') throw wrong(node, `unknown slice type: ${typeOf(node)}`)
  const elements = Array.isArray(before) ? [...(before as unknown[])] : []
  const entries: readonly (Node | Item)[] = node.kind === 'list' ? node.elements : node.items
  for (const [index, entry] of entries.entries()) {
    const inner = `${name}[${index}]`
    const isItem = 'keys' in entry
    // Of two labels the second becomes a key, which hashicorp/hcl means for JSON.
    const value = !isItem ? entry : entry.keys.length === 2 ? objectOf([{ ...entry, keys: entry.keys.slice(1) }]) : entry.value
    if (kind === 'strings' && (isItem || value.kind === 'object'))
      throw at((isItem ? entry.keys[0]?.at : value.at) ?? nowhere, `${inner}: unknown type for string *ast.Object${isItem ? 'Item' : 'Type'}`)
    if (kind === 'strings') elements.push(decodeValue(inner, 'string', value, undefined))
    // A block without a label is taken apart: each attribute becomes an entry of its own.
    else if (isItem && value.kind === 'literal') elements.push(decodeStruct(inner, kind.list, [entry]))
    else if (value.kind === 'object') elements.push(decodeStruct(inner, kind.list, value.items))
    else throw wrong(value, `${inner}: not an object type for struct (${typeOf(value)})`)
  }
  return elements
}

/** Decodes the items of one object; fields in the order of the shape, and of equal keys the last one counts. Throws Hcl1Error. */
export function decodeStruct(name: string, shape: Shape, items: readonly Item[], before?: Decoded): Decoded {
  const values: Record<string, unknown> = { ...before?.values }
  const fold = (text: string): string => text.toLowerCase()
  for (const [field, kind] of Object.entries(shape)) {
    const found = items.filter(({ keys }) => fold(keys[0]?.name ?? '') === field)
    const labelled = found.filter(({ keys }) => keys.length > 1).map(({ keys, value }) => ({ keys: keys.slice(1), value }))
    const inner = `${name}.${field}`
    if (labelled.length > 0) values[field] = decodeValue(inner, kind, objectOf(labelled), values[field])
    for (const { keys, value } of found) if (keys.length === 1) values[field] = decodeValue(inner, kind, value, values[field])
  }
  const seen = items.flatMap(({ keys }, index) => (index > 0 && keys.length > 1 ? [] : keys)).filter(({ quoted }) => !quoted)
  const unknown = seen.map((key) => key.name).filter((key) => !Object.hasOwn(shape, fold(key)))
  return { values, unknown: [...new Set([...(before?.unknown ?? []), ...unknown])].sort() }
}
