// Which identity is ours: the configured one, or the first one that came, and after that no other.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isFailure } from '../../src/core/errors.ts'
import { createChoice, type Wanted } from '../../src/identity/choice.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'

const id = (name: string) => `spiffe://example.org/${name}`
/** `name` or `name=hint`. */
const offer = (...texts: string[]) =>
  texts.map((text) => {
    const [name = '', hint = ''] = text.split('=')
    return { spiffe_id: id(name), hint, text }
  })

function choice(wanted: { name?: string; hint?: string } = {}) {
  const warnings: [string, string][] = []
  const { name, hint } = wanted
  const made: Wanted = { ...(name === undefined ? {} : { spiffeId: parseSpiffeId(id(name)) }), hint }
  const of = createChoice(made, (code, message) => warnings.push([code, message]))
  return {
    of,
    warnings,
    pick: (...texts: string[]) => of.pick(offer(...texts)).text,
    missing: (texts: string[], message: RegExp) =>
      assert.throws(
        () => of.pick(offer(...texts)),
        (error: unknown) => {
          assert.ok(isFailure(error) && error.code === 'identity_missing')
          assert.match(error.message, message)
          return true
        },
      ),
  }
}

describe('without a wish', () => {
  test('the first is chosen, and then no other, wherever it stands', () => {
    const { pick, of } = choice()
    assert.equal(of.spiffeId, undefined)
    assert.equal(pick('web', 'api'), 'web')
    assert.equal(of.spiffeId, id('web'))
    assert.equal(pick('api', 'web'), 'web')
    assert.equal(pick('api', 'db', 'web=h'), 'web=h')
    assert.equal(of.spiffeId, id('web'))
  })

  test('the chosen one is missed when it is gone, also when there is just one other', () => {
    const { pick, missing, of } = choice()
    pick('web')
    missing(['api'], /does not offer .*\/web.*; it offers spiffe:\/\/example\.org\/api$/)
    missing([], /\/web.*; it offers none$/)
    assert.equal(of.spiffeId, id('web'))
    assert.equal(pick('api', 'web'), 'web')
  })

  test('an empty offer is a sentence that a person can read', () => {
    const { missing, pick } = choice()
    missing([], /^(?!.*undefined).*none$/)
    assert.equal(pick('web'), 'web', 'nothing was chosen by it')
  })

  test('several are worth one warning, which lists them', () => {
    const { pick, warnings } = choice()
    pick('web', 'api=h')
    pick('web', 'api=h')
    pick('web', 'db')
    assert.deepEqual(
      warnings.map(([code]) => code),
      ['several_identities'],
    )
    assert.match(warnings[0]?.[1] ?? '', /\/web came first.*Set spiffe_id.*\/web, .*\/api \(hint "h"\)/)
  })

  test('another in first place is worth one warning, which says that the choice stays', () => {
    const { pick, warnings } = choice()
    pick('web')
    for (let time = 0; time < 3; time++) pick('api', 'web')
    assert.deepEqual(
      warnings.map(([code]) => code),
      ['order_changed'],
    )
    assert.match(warnings[0]?.[1] ?? '', /\/api now comes first.*\/web was chosen and stays/)
  })

  test('one identity, even with two SVIDs, is worth none', () => {
    const { pick, warnings } = choice()
    assert.equal(pick('web=a', 'web=b'), 'web=a')
    assert.deepEqual(warnings, [])
  })
})

describe('with a SPIFFE ID', () => {
  test('it is that one in any place, and it is named in requests from the start', () => {
    const { pick, of, warnings } = choice({ name: 'web' })
    assert.equal(of.spiffeId, id('web'))
    assert.equal(pick('api', 'web'), 'web')
    assert.equal(pick('web=h', 'api'), 'web=h')
    assert.deepEqual(warnings, [])
  })

  test('it is no other, whatever is offered', () => {
    const { missing } = choice({ name: 'web' })
    missing(['web2', 'we', 'web/x'], /spiffe_id spiffe:\/\/example\.org\/web; it offers .*web2, .*we, .*web\/x/)
  })
})

describe('with a hint', () => {
  test('it is the first that has exactly this hint', () => {
    const { pick, missing, of } = choice({ hint: 'internal' })
    assert.equal(pick('web', 'api=internal', 'db=internal'), 'api=internal')
    missing(['web', 'api=Internal', 'db=internal2'], /hint "internal"; it offers .*web, .*\(hint "Internal"\)/)
    assert.equal(of.spiffeId, undefined, 'the agent is asked for all, because the hint decides')
  })

  test('it goes with the hint when that moves to another identity', () => {
    const { pick } = choice({ hint: 'internal' })
    pick('api=internal')
    assert.equal(pick('api', 'db=internal'), 'db=internal')
  })

  test('no two hints are the same because they are empty', () => {
    const { pick } = choice()
    assert.equal(pick('web', 'api', 'db'), 'web')
  })

  test('and a SPIFFE ID, both count', () => {
    const { pick, missing } = choice({ name: 'web', hint: 'internal' })
    assert.equal(pick('web', 'api=internal', 'web=internal'), 'web=internal')
    missing(['web', 'api=internal'], /spiffe_id .*\/web and hint "internal"/)
  })
})

test('a long offer is listed in part, with the number of the others', () => {
  const { missing } = choice({ name: 'web' })
  const many = Array.from({ length: 500 }, (_, index) => `n${index}`)
  missing(many, /\/n0, .*\/n9 and 490 more$/)
  missing(many.slice(0, 10), /\/n0, .*\/n9$/)
})

test('a hint with a quote or a line break stays in its place in the message', () => {
  const { missing } = choice({ name: 'web' })
  missing(['api=a"b\nc'], /\(hint "a\\"b\\nc"\)$/)
})

test('whatever is offered in whatever order, it never becomes somebody else', () => {
  const names = fc.subarray(['a', 'b', 'c', 'd'], { minLength: 1 }).chain((some) => fc.shuffledSubarray(some, { minLength: 1 }))
  fc.assert(
    fc.property(fc.array(names, { minLength: 1 }), (offers) => {
      const { of } = choice()
      const [first = ''] = offers[0] ?? []
      for (const one of offers) {
        if (one.includes(first)) assert.equal(of.pick(offer(...one)).spiffe_id, id(first))
        else assert.throws(() => of.pick(offer(...one)), { code: 'identity_missing' })
        assert.equal(of.spiffeId, id(first))
      }
    }),
  )
})
