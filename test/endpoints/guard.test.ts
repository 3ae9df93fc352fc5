// The guard as functions: which Host, which path, which address, over everything that a generator can think of.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cleanPath, guardCredentials, guardPublic, hostRule } from '../../src/endpoints/guard.ts'
import { isLoopback } from '../../src/endpoints/server.ts'
import { requestOf } from './support.ts'

const passes = (host: string, rule = hostRule('127.0.0.1', ['Pod.Internal'])) => guardCredentials(requestOf('/', { host }), rule) === undefined

test('the Host is the bound literal, localhost or a configured name, in any case, with or without a port', () => {
  for (const host of ['127.0.0.1', '127.0.0.1:9912', 'localhost', 'LOCALHOST:1', 'pod.internal', 'POD.INTERNAL:80']) assert.ok(passes(host), host)
  const six = hostRule('::1', [])
  for (const host of ['[::1]', '[::1]:9911', 'localhost']) assert.ok(passes(host, six), host)
  for (const host of ['::1', '127.0.0.1', '[::]', '[::1', '::1]', '[::1]x', '[::1%lo]']) assert.ok(!passes(host, six), host)
})

test('no other text is a Host that passes', () => {
  const good = /^(127\.0\.0\.1|localhost|pod\.internal|\[127\.0\.0\.1\])(:\d{1,5})?$/i
  const letters = '127.0.0.1localhostpod.internal:[]@/%#?, \t\0\u00e9\u0130\u017f\u212a'.split('')
  const noise = fc.array(fc.constantFrom(...letters), { maxLength: 20 }).map((some) => some.join(''))
  const near = fc.tuple(noise, fc.constantFrom('127.0.0.1', 'localhost', 'pod.internal'), noise).map((all) => all.join(''))
  fc.assert(
    fc.property(fc.oneof(noise, near), (host) => {
      assert.equal(passes(host), good.test(host), host)
    }),
    { numRuns: 2_000 },
  )
})

test('of a metrics listener any IP literal is a Host, and nothing that only looks like one', () => {
  const rule = hostRule('0.0.0.0', ['metrics.internal'], true)
  const allowed = (host: string) => guardPublic(requestOf('/', { host }), rule) === undefined
  for (const host of ['10.1.2.3', '10.1.2.3:9913', '[fd00::1]:9913', '[::ffff:10.0.0.1]', 'metrics.internal', 'localhost:1']) assert.ok(allowed(host), host)
  for (const host of ['10.1.2', '010.1.2.3', '0x7f000001', '2130706433', 'evil.example', '10.1.2.3.evil.example', 'fd00::1', ''])
    assert.ok(!allowed(host), host)
  fc.assert(fc.property(fc.ipV4(), (host) => assert.ok(allowed(host))))
  fc.assert(fc.property(fc.ipV6(), (host) => assert.ok(allowed(`[${host}]:9913`))))
  fc.assert(fc.property(fc.domain(), (host) => assert.equal(allowed(host), host.toLowerCase() === 'metrics.internal')))
})

test('a request without a Host header passes nowhere that has a rule', () => {
  const { host: _, ...headers } = requestOf('/').headers
  const request = { ...requestOf('/'), headers }
  assert.equal(guardCredentials(request, hostRule('127.0.0.1', []))?.status, 403)
  assert.equal(guardPublic(request, hostRule('127.0.0.1', [], true))?.status, 403)
  assert.equal(guardCredentials(request, undefined), undefined)
})

test('a clean path is made only of plain segments, is stable, and differs from what came by slashes alone', () => {
  const letters = '//..aA0-_~;%\\\0?#&=+@:é '.split('')
  const paths = fc.array(fc.constantFrom(...letters), { maxLength: 24 }).map((some) => `/${some.join('')}`)
  fc.assert(
    fc.property(paths, (path) => {
      const clean = cleanPath(path)
      const segments = path.split('/').filter((one) => one !== '')
      if (clean === undefined) return
      assert.equal(cleanPath(clean), clean)
      assert.equal(clean, `/${segments.join('/')}`)
      assert.ok(!segments.includes('..') && !segments.includes('.'))
      assert.match(clean, /^[A-Za-z0-9._~/+=,@-]+$/)
    }),
    { numRuns: 2_000 },
  )
})

test('the paths that SDKs make by joining are forgiven, those that two readers could read differently are none', () => {
  assert.equal(cleanPath('//latest/api/token'), '/latest/api/token')
  assert.equal(cleanPath('/latest///api/token/'), '/latest/api/token')
  assert.equal(cleanPath('/'), '/')
  for (const path of ['', '*', 'latest', 'http://evil/latest', '/a/../b', '/a/./b', '/..', '/a%2fb', '/%61', '/a;b', '/a\\b', '/a\0'])
    assert.equal(cleanPath(path), undefined, path)
})

test('a path may hold every letter that the name of an IAM role may', () => {
  // IAM: role names are of [\w+=,.@-].
  for (const letter of 'azAZ09_+=,.@-') assert.equal(cleanPath(`/role${letter}name`), `/role${letter}name`)
})

test('loopback is 127.0.0.0/8 and ::1, mapped or not, and nothing that resembles it', () => {
  for (const address of ['127.0.0.1', '127.255.0.9', '::1', '::ffff:127.0.0.1']) assert.ok(isLoopback(address), address)
  for (const address of ['', '128.0.0.1', '10.127.0.0.1', '127.0.0.1.evil', '::2', '::ffff:10.0.0.1', '::127.0.0.1', '0.0.0.0'])
    assert.ok(!isLoopback(address), address)
})
