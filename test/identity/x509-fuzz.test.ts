// Whatever an agent does, in any order: at most two streams, never somebody else, and in the end what was said last.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { X509ContextMessage } from '../../src/spiffe/x509-context.ts'
import { seeded } from '../support/random.ts'
import { deny, gone } from './scripted-api.ts'
import { createIssuer, id, startX509 } from './setup.ts'

const [from, to] = [23, 36]
const steps = 60

for (let seed = from; seed <= to; seed++)
  test(`history ${seed}`, async (t) => {
    const random = seeded(seed)
    const below = (count: number) => Math.floor(random() * count)
    const { api, clock, source, stop, of } = startX509(t, {}, random)
    const issuer = await createIssuer(clock)
    await clock.settle()
    api.x509.last.send(await issuer.message(['web'], { ttlSeconds: 120 }))
    await clock.settle()

    /** Undefined unless the last thing that the agent did was to send a good message. */
    let newest: X509ContextMessage | undefined
    const told: string[] = []
    const over = new Set<object>()
    const act = async () => {
      const open = api.x509.open.filter((one) => !over.has(one))
      const stream = open[below(open.length)]
      const kind = below(10)
      told.push(`${kind}`)
      newest = undefined
      if (stream === undefined || kind >= 8) return
      if (kind <= 3) {
        newest = await issuer.message(['web', 'api'].slice(0, 1 + below(2)), { ttlSeconds: 120 })
        stream.send(newest)
      } else if (kind === 4) stream.send({ svids: [], federated_bundles: {} })
      else if (kind === 5) stream.send(await issuer.message(['api']))
      else {
        over.add(stream) // what would be sent after its end, nobody would get
        if (kind === 6) stream.end()
        else stream.fail([1, 3, 7, 7, 8, 14][below(6)] ?? 14)
      }
      if (below(2) === 0) await clock.settle()
      if (below(4) === 0) clock.suspend(below(600)) // timers come late
    }

    for (let step = 0; step < steps; step++) {
      if (below(5) === 0) {
        const way = below(5)
        told.push(`way ${way}`)
        api.x509.script((stream) => [gone, deny, (one: typeof stream) => one.fail(3)][way]?.(stream))
      }
      const busy = below(3)
      for (let count = 0; count <= busy; count++) await act()
      const dialled = api.x509.all.length
      await clock.advance(300)
      const { current } = source
      if (newest !== undefined && api.x509.all.length === dialled && api.x509.open.length === 1 && current.status === 'ready')
        assert.deepEqual(current.value.svid.leaf.raw, newest.svids[0]?.x509_svid, `not the newest: ${told.join(' ')}`)
      await clock.advance(below(5) === 0 ? below(30_000) : below(400))
      assert.ok(api.x509.open.length <= 2, told.join(' '))
      for (const state of [current, source.current]) if (state.status === 'ready') assert.equal(state.value.svid.spiffeId, id('web'), told.join(' '))
    }

    // The agent is well again, and says one thing: that is what counts, on one stream, and nothing is wrong with it.
    await clock.advance(90_000)
    const final = await issuer.message(['api', 'web'])
    api.x509.script((stream) => stream.send(final))
    for (const stream of api.x509.open) stream.send(final)
    await clock.advance(90_000)
    const { current } = source
    assert.ok(current.status === 'ready', told.join(' '))
    assert.equal(current.failure, undefined, told.join(' '))
    const wanted = final.svids.find(({ spiffe_id }) => spiffe_id === id('web'))
    assert.deepEqual(current.value.svid.leaf.raw, wanted?.x509_svid)
    assert.equal(api.x509.open.length, 1, told.join(' '))
    assert.ok(of('identity.failing').length <= 12 * steps, 'a storm')
    await stop()
  })
