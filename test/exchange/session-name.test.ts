// Session names made from SPIFFE IDs.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { sessionName } from '../../src/exchange/web-identity.ts'

test('a session name is readable and within the rules of STS for every SPIFFE ID', () => {
  assert.equal(sessionName('spiffe://example.org/ns/prod/sa/web'), 'example.org.ns.prod.sa.web')
  const segment = fc.stringMatching(/^[A-Za-z0-9._-]{1,60}$/)
  fc.assert(
    fc.property(segment, fc.array(segment, { maxLength: 30 }), (domain, path) => {
      assert.match(sessionName(`spiffe://${[domain.toLowerCase(), ...path].join('/')}`), /^[\w+=,.@-]{2,64}$/)
    }),
  )
})

test('names that are cut stay distinct and keep their end', () => {
  const long = `spiffe://example.org/${'a/'.repeat(60)}`
  assert.notEqual(sessionName(`${long}one`), sessionName(`${long}one/more`))
  assert.match(sessionName(`${long}web`), /\.web-[0-9a-f]{8}$/)
  assert.match(sessionName('spiffe://a'), /^a-[0-9a-f]{8}$/)
})
