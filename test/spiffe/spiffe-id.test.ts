// SPIFFE IDs and trust domains are what the SPIFFE-ID standard, sections 2.1 to 2.4, says and nothing else.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isFailure } from '../../src/core/errors.ts'
import { parseSpiffeId, parseTrustDomain, pathOf, trustDomainOf } from '../../src/spiffe/spiffe-id.ts'

/** What is wrong with it, or undefined. */
const verdict = (parse: (text: string) => string, text: string): string | undefined => {
  try {
    assert.equal(typeof parse(text), 'string')
    return undefined
  } catch (error) {
    assert.ok(isFailure(error), `not a Failure for ${JSON.stringify(text)}: ${String(error)}`)
    assert.equal(error.code, 'spiffe_id_invalid')
    return error.message
  }
}
const idVerdict = (text: string) => verdict(parseSpiffeId, text)
const accepts = (text: string) => assert.equal(idVerdict(text), undefined, text)
const rejects = (text: string, why: RegExp) => assert.match(idVerdict(text) ?? `${text} was accepted`, why)

const characters = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
const lower = 'abcdefghijklmnopqrstuvwxyz'
const trustDomainCharacters = new Set(`${lower}0123456789.-_`)
const pathCharacters = new Set(`${lower}${lower.toUpperCase()}0123456789.-_`)

describe('each of the 256 characters', () => {
  test('in a trust domain: lower-case letters, digits, dot, dash, underscore and no other', () => {
    for (const character of characters) {
      // A slash ends the trust domain, so what follows it is judged as a path.
      const allowed = trustDomainCharacters.has(character) || character === '/'
      assert.equal(idVerdict(`spiffe://a${character}b/x`) === undefined, allowed, JSON.stringify(character))
      assert.equal(idVerdict(`spiffe://a${character}b`) === undefined, allowed, JSON.stringify(character))
    }
  })

  test('alone as a trust domain', () => {
    for (const character of characters) {
      const allowed = trustDomainCharacters.has(character)
      assert.equal(idVerdict(`spiffe://${character}/x`) === undefined, allowed, JSON.stringify(character))
      assert.equal(verdict(parseTrustDomain, character) === undefined, allowed, JSON.stringify(character))
    }
  })

  test('in a path segment: letters, digits, dot, dash, underscore and no other', () => {
    for (const character of characters) {
      const allowed = pathCharacters.has(character) || character === '/'
      assert.equal(idVerdict(`spiffe://td/a${character}b`) === undefined, allowed, JSON.stringify(character))
      assert.equal(idVerdict(`spiffe://td/x/a${character}b/y`) === undefined, allowed, JSON.stringify(character))
    }
  })

  test('first and last in a path', () => {
    for (const character of characters) {
      const allowed = pathCharacters.has(character)
      assert.equal(idVerdict(`spiffe://td/${character}b`) === undefined, allowed, JSON.stringify(character))
      assert.equal(idVerdict(`spiffe://td/b${character}`) === undefined, allowed, JSON.stringify(character))
    }
  })
})

test('accepts odd dots and names that look like addresses in a trust domain', () => {
  for (const name of ['.a', 'a.', 'a..b', '-a-', '_', '.', '..', '1.2.3.4', 'example.org', '0', '__proto__']) accepts(`spiffe://${name}/x`)
})

test('knows a dot segment from a segment of dots', () => {
  for (const path of ['/.', '/..', '/a/.', '/a/..', '/./a', '/../a', '/a/./b', '/a/../b']) rejects(`spiffe://td${path}`, /dot segment/)
  for (const path of ['/...', '/....', '/.x', '/..x', '/x.', '/x..', '/.-', '/a/.../b', '/..._']) accepts(`spiffe://td${path}`)
})

test('wants no empty segment and no trailing slash', () => {
  for (const path of ['//', '//a', '/a//b', '/a//', '///']) rejects(`spiffe://td${path}`, /empty segment|slash/)
  for (const path of ['/', '/a/', '/a/b/']) rejects(`spiffe://td${path}`, /slash/)
  for (const path of ['', '/a', '/a/b', '/a/b/c']) accepts(`spiffe://td${path}`)
})

test('wants exactly the scheme spiffe, in lower case', () => {
  rejects('', /empty/)
  for (const text of ['Spiffe://td/a', 'SPIFFE://td/a', 'spiffE://td', 'http://td/a', 'spiffe:/td/a', 'spiffe:td', '://td']) rejects(text, /scheme/)
  for (const text of ['td/a', '/td', ' spiffe://td', 'spiffe', 'spiffe:', 'spiffe:/', 'xspiffe://td']) rejects(text, /scheme/)
  for (const text of ['spiffe://', 'spiffe:///', 'spiffe:///a']) rejects(text, /trust domain is missing/)
})

test('rejects ports, user names, percent encoding, queries, fragments and anything beyond ASCII', () => {
  for (const text of ['td:1/a', 'u@td/a', 'u:p@td/a', 't%64/a', 'TD/a', 'tD/a', 'tdé/a', 'td\u0131/a', '[::1]/a'])
    rejects(`spiffe://${text}`, /trust domain has only/)
  for (const text of ['td/a?b', 'td/a#b', 'td/%61', 'td/a%', 'td/a b', 'td/a\n', 'td/é', 'td/\u212a', 'td/a:b', 'td/a@b'])
    rejects(`spiffe://${text}`, /path has only/)
  for (const text of ['td?x', 'td#x', 'td\n', 'td ']) rejects(`spiffe://${text}`, /trust domain has only/)
})

test('a trust domain has at most 255 bytes', () => {
  accepts(`spiffe://${'a'.repeat(255)}/x`)
  accepts(`spiffe://${'a'.repeat(255)}`)
  rejects(`spiffe://${'a'.repeat(256)}/x`, /255/)
  rejects(`spiffe://${'a'.repeat(256)}`, /255/)
  assert.equal(verdict(parseTrustDomain, 'a'.repeat(255)), undefined)
  assert.match(verdict(parseTrustDomain, 'a'.repeat(256)) ?? '', /255/)
})

test('accepts an ID of 2048 bytes', () => {
  accepts(`spiffe://td/${'a'.repeat(2048 - 'spiffe://td/'.length)}`)
})

test('an error shows what was given in one line, and not all of it when it is long', () => {
  assert.match(idVerdict('Spiffe://td/a') ?? '', /"Spiffe:\/\/td\/a"/)
  for (const text of ['x'.repeat(100_000), `spiffe://${'y'.repeat(100_000)}`, `spiffe://td/${'z/'.repeat(50_000)}`])
    assert.ok((idVerdict(text) ?? '').length < 1000)
  assert.ok((verdict(parseTrustDomain, `td/${'z'.repeat(100_000)}`) ?? '').length < 1000)
  assert.ok(!(idVerdict('spiffe://td/a\nb') ?? '').includes('\n'))
})

describe('a trust domain', () => {
  test('is a bare name or a SPIFFE ID without a path', () => {
    assert.equal(parseTrustDomain('example.org'), 'example.org')
    assert.equal(parseTrustDomain('spiffe://example.org'), 'example.org')
    assert.equal(parseTrustDomain('__proto__'), '__proto__')
    for (const text of ['', 'spiffe://', 'spiffe:', 'example.org/web', 'spiffe://example.org/web', 'Example.org', 'a:1'])
      assert.notEqual(verdict(parseTrustDomain, text), undefined, text)
    for (const text of ['spiffe://example.org/', 'example.org/', 'spiffe://spiffe://example.org', 'http://example.org'])
      assert.notEqual(verdict(parseTrustDomain, text), undefined, text)
  })

  test('and a path make an ID, and come out of it again', () => {
    const name = fc.stringMatching(/^[a-z0-9._-]{1,40}$/)
    const segment = fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/).filter((one) => one !== '.' && one !== '..')
    fc.assert(
      fc.property(name, fc.array(segment, { maxLength: 5 }), (trustDomain, segments) => {
        const path = segments.map((one) => `/${one}`).join('')
        const id = parseSpiffeId(`spiffe://${trustDomain}${path}`)
        assert.equal(id, `spiffe://${trustDomain}${path}`)
        assert.equal(trustDomainOf(id), trustDomain)
        assert.equal(pathOf(id), path)
        assert.equal(parseTrustDomain(trustDomain), trustDomain)
      }),
    )
  })
})

test('any text is an ID of the grammar or a Failure', () => {
  const grammar = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)*$/
  const near = fc.array(fc.oneof(fc.constantFrom('/', '.', '..', 'spiffe://', 'td', 'a', 'A', '%', '\n'), fc.string()))
  fc.assert(
    fc.property(near, fc.boolean(), (parts, prefixed) => {
      const text = (prefixed ? 'spiffe://' : '') + parts.join('')
      assert.equal(idVerdict(text) === undefined, grammar.test(text), JSON.stringify(text))
    }),
    { numRuns: 1000 },
  )
})
