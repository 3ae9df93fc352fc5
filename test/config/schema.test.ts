// The schema as documentation: every key says what it is for, and the JSON Schema is one that an editor can use.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonSchema } from '../../src/config/schema.ts'

interface Schema {
  readonly $schema?: string
  readonly type?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | Schema
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly enum?: readonly string[]
}

/** Every key with the schema of its value. */
function* keys(schema: Schema, path: string): Generator<[string, Schema]> {
  for (const [name, value] of Object.entries(schema.properties ?? {})) {
    yield [`${path}${name}`, value]
    yield* keys(value, `${path}${name}.`)
  }
  if (typeof schema.additionalProperties === 'object') yield* keys(schema.additionalProperties, `${path}*.`)
  if (schema.items !== undefined) yield* keys(schema.items, `${path}[].`)
}

const root = jsonSchema() as Schema
const all = [...keys(root, '')]

test('names its dialect and is plain JSON', () => {
  assert.match(root.$schema ?? '', /^https:\/\/json-schema\.org\//)
  assert.deepEqual(JSON.parse(JSON.stringify(root)), root)
})

test('every key has a description that is a sentence', () => {
  assert.ok(all.length > 30, `${all.length} keys`)
  for (const [path, { description }] of all) assert.match(description ?? '', /^[A-Z$].+\.$/s, path)
})

test('every key has a type or its values', () => {
  for (const [path, schema] of all) assert.ok(schema.type !== undefined || schema.enum !== undefined, path)
})

test('no object takes unknown keys', () => {
  for (const [path, schema] of [['', root] as const, ...all]) if (schema.properties !== undefined) assert.equal(schema.additionalProperties, false, path)
})

test('what must be there is said to be required', () => {
  const required = new Map(all.map(([path, schema]) => [path, schema.required ?? []]))
  assert.equal(root.required, undefined)
  assert.deepEqual(required.get('profiles'), [])
  const consumer = all.find(([path]) => path === 'consumers')?.[1].additionalProperties
  assert.ok(typeof consumer === 'object')
  assert.deepEqual(consumer.required, ['profiles'])
  assert.deepEqual(required.get('profiles.*.roles_anywhere'), ['trust_anchor_arn', 'profile_arn', 'role_arn'])
  assert.deepEqual(required.get('profiles.*.web_identity'), ['role_arn', 'audience'])
})
