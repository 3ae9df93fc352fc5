// Our reader of HCL1 beside the npm package hcl-parser, which is hashicorp/hcl v1 itself, translated by GopherJS.
//
// Its parse() decodes into a free form: an object is a list of one object, equal keys of objects pile up in that list, integers come as
// numbers, and an error keeps its place but not its words. So both sides are compared as: accepted with these values, or refused here.
// They differ where this says so: hcl-parser knows no fields, so it never calls a key unknown nor a type wrong, and a block beside a
// value of the same name is an error to it; and it turns bytes that are no UTF-8 into other characters.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { Hcl1Error, type Item, type Node, parseHcl1 } from '../../src/spiffe-helper/hcl1.ts'
import { parseInteger } from '../../src/spiffe-helper/hcl1-decode.ts'
import { samples } from './samples.ts'

interface GoError {
  readonly Pos?: { readonly Line: number; readonly Column: number }
}
const limit = Error.stackTraceLimit
const require = createRequire(import.meta.url)
const { parse } = require('hcl-parser') as { parse: (text: string) => readonly [Readonly<Record<string, unknown>> | null, GoError | null] }
// It asks for endless stack traces, and leaves a global behind.
Error.stackTraceLimit = limit
Reflect.deleteProperty(globalThis, 'require')

/** The tree in hcl-parser's form. */
function freely(items: readonly Item[]): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const { keys, value } of items) {
    const [{ name }, ...labels] = keys as [Item['keys'][0], ...Item['keys'][0][]]
    const inner = labels.length > 0 ? [freely([{ keys: labels, value }])] : plain(value)
    const pile = Array.isArray(inner) && (labels.length > 0 || value.kind === 'object') && Array.isArray(result[name])
    result[name] = pile ? [...(result[name] as unknown[]), ...inner] : inner
  }
  return result
}

function plain(node: Node): unknown {
  if (node.kind === 'object') return [freely(node.items)]
  if (node.kind === 'list') return node.elements.map((element) => (element.kind === 'object' ? freely(element.items) : plain(element)))
  if (node.type === 'NUMBER') return parseInteger(node.text)
  return node.type === 'FLOAT' ? Number(node.text) : node.type === 'BOOL' ? node.text === 'true' : node.value
}

const ours = (text: string): unknown => {
  try {
    return freely(parseHcl1(text))
  } catch (error) {
    if (!(error instanceof Hcl1Error)) throw error
    return /^At (\d+:\d+)/.exec(error.message)?.[1] ?? error.message
  }
}
const theirs = (text: string): unknown => {
  const [value, error] = parse(text)
  return error === null ? value : `${error.Pos?.Line}:${error.Pos?.Column}`
}

for (const [name, text] of Object.entries(samples))
  test(`${name} of spiffe-helper has the same values for hcl-parser`, () => assert.deepEqual(ours(text), theirs(text)))

const word = fc.stringMatching(/^[a-z_][a-z0-9_.-]{0,6}$/).filter((text) => text !== 'true' && text !== 'false')
const quoted = fc
  .array(fc.constantFrom('a', 'B', ' ', 'é', '日', '😀', '\\n', '\\"', '\\\\', '\\u00e9', '\\x41', '\\101', '#', '//', '{', '}', '$', '${x}', '${"y"}', '='), {
    maxLength: 6,
  })
  .map((parts) => parts.join(''))
  .filter((text) => !/\$\{?$|\$\{(?!x\}|"y"\})/.test(text))
  .map((text) => `"${text}"`)
const heredoc = fc.array(fc.constantFrom('x', ' y', '', '"', '${'), { maxLength: 3 }).map((lines) => `<<END\n${lines.map((line) => `${line}\n`).join('')}END\n`)
const indented = fc.array(fc.constantFrom('x', ' y', '\tz'), { maxLength: 3 }).map((lines) => `<<-END\n${lines.map((line) => `  ${line}\n`).join('')}  END\n`)
const integer = fc.oneof(
  fc.integer({ min: -9999, max: 9999 }).map(String),
  fc.nat(0o777).map((mode) => `0${mode.toString(8).padStart(3, '0')}`),
  fc.nat(999).map((value) => `0x${value.toString(16)}`),
)
const literal = fc.oneof(quoted, integer, fc.boolean().map(String), fc.constantFrom('1.5', '0.25', '2e3', '-1.5e-2'))
const blank = fc.constantFrom(' ', '\n', '\t', '\r\n', ' # c\n', ' // c "\n', ' /* c { */ ', '\n\n')
const gap = fc.constantFrom('\n', '\r\n', ' # c\n', '\n// c\n', ',\n', ', ')

const { body } = fc.letrec<{ value: string; body: string }>((tie) => {
  const list = fc.tuple(
    fc.array(fc.oneof({ maxDepth: 2 }, literal, tie('value')), { maxLength: 3 }),
    fc.constantFrom(', ', ',', '\n,\n', ' /* c */ , '),
    fc.boolean(),
  )
  // Each key once in its object: what hcl-parser makes of several depends on their types.
  const item = fc.tuple(word, fc.oneof({ maxDepth: 3 }, tie('value'), heredoc, indented), blank, fc.boolean())
  return {
    value: fc.oneof(
      { maxDepth: 3 },
      literal,
      list.map(([elements, comma, more]) => `[${elements.join(comma)}${more && elements.length > 0 ? ',' : ''}]`),
      tie('body').map((inside) => `{\n${inside}\n}`),
    ),
    body: fc.tuple(fc.uniqueArray(item, { selector: ([key]) => key, maxLength: 4 }), gap).map(([items, between]) =>
      items
        .map(([key, value, space, assign]) => {
          const name = assign ? key : JSON.stringify(key)
          return value.startsWith('{') && assign ? `${name} ${value}` : `${name}${space}=${space}${value}`
        })
        .join(between),
    ),
  }
})
test('what is generated is accepted by both with equal values', () => {
  fc.assert(
    fc.property(body, (text) => {
      const [value, error] = parse(text)
      assert.equal(error, null, text)
      assert.deepEqual(ours(text), value)
    }),
    { numRuns: 300 },
  )
})

test('labels of blocks are the same objects in objects', () => {
  const label = fc.oneof(
    word,
    word.map((text) => JSON.stringify(text)),
  )
  fc.assert(
    fc.property(word, fc.array(label, { minLength: 1, maxLength: 3 }), body, (key, labels, inside) => {
      const text = `${key} ${labels.join(' ')} {\n${inside}\n}\n`
      assert.deepEqual(ours(text), theirs(text))
    }),
    { numRuns: 100 },
  )
})

test('what is broken at one place is refused by both or by neither', () => {
  const broken = fc.tuple(body, fc.nat(), fc.constantFrom('@', '=', '}', ']', '"', '!', '.', '<', '-', '\\')).map(([text, where, wrong]) => {
    const at = where % (text.length + 1)
    return `${text.slice(0, at)}${wrong}${text.slice(at)}\n`
  })
  const place = (result: unknown): string => (typeof result === 'string' ? result : 'accepted')
  let compared = 0
  fc.assert(
    fc.property(broken, (text) => {
      const [, error] = parse(text)
      // JSON, mistakes of decoding, and the end of the text, where the columns differ: see hcl1-structure.test.ts.
      if (/^\s*\{/.test(text) || (error !== null && (error.Pos === undefined || error.Pos.Line === 0))) return
      const lines = text.split('\n')
      if (error?.Pos !== undefined && error.Pos.Line >= lines.length) return
      compared++
      if (error !== null) assert.notEqual(place(ours(text)), 'accepted', JSON.stringify(text))
      else assert.equal(place(ours(text)), 'accepted', JSON.stringify(text))
    }),
    { numRuns: 300, seed: 7 },
  )
  assert.ok(compared > 100)
})
