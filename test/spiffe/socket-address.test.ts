// A Workload API address is accepted in exactly the forms of the Workload Endpoint standard, section 4.
import assert from 'node:assert/strict'
import { isIPv4, isIPv6 } from 'node:net'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isFailure } from '../../src/core/errors.ts'
import { grpcTarget, parseSocketAddress, type SocketAddress } from '../../src/spiffe/socket-address.ts'

const outcome = (text: string): SocketAddress | undefined => {
  try {
    return parseSocketAddress(text)
  } catch (error) {
    assert.ok(isFailure(error), `not a Failure for ${JSON.stringify(text)}: ${String(error)}`)
    assert.equal(error.code, 'socket_address_invalid')
    assert.notEqual(error.remedy, '')
    return undefined
  }
}

type Parts = { kind: 'unix'; path: string } | { kind: 'tcp'; host: string; port: number }
const accepted: [string, Parts, string][] = [
  ['unix:///a/b.sock', { kind: 'unix', path: '/a/b.sock' }, 'unix:///a/b.sock'],
  ['unix:/a/b.sock', { kind: 'unix', path: '/a/b.sock' }, 'unix:///a/b.sock'],
  ['unix:///a', { kind: 'unix', path: '/a' }, 'unix:///a'],
  ['unix:///run/spire/sockets/agent.sock', { kind: 'unix', path: '/run/spire/sockets/agent.sock' }, ''],
  ['unix:///a%20b', { kind: 'unix', path: '/a%20b' }, 'unix:///a%20b'],
  ['tcp://1.2.3.4:5', { kind: 'tcp', host: '1.2.3.4', port: 5 }, 'tcp://1.2.3.4:5'],
  ['tcp://[::1]:5', { kind: 'tcp', host: '::1', port: 5 }, 'tcp://[::1]:5'],
  ['tcp://[2001:db8::17]:65535', { kind: 'tcp', host: '2001:db8::17', port: 65_535 }, ''],
  ['tcp://[::ffff:1.2.3.4]:1', { kind: 'tcp', host: '::ffff:1.2.3.4', port: 1 }, ''],
]

describe('accepts', () => {
  for (const [text, expected, canonical] of accepted)
    test(text, () => {
      assert.deepEqual({ ...outcome(text) }, { ...expected, text: canonical === '' ? text : canonical })
      assert.ok(Object.isFrozen(outcome(text)))
    })
})

const rejected: Record<string, readonly string[]> = {
  'a relative path': ['unix:a.sock', 'unix:a/b.sock', 'unix:./a.sock', 'unix:../a.sock'],
  'no path at all': ['unix:', 'unix:/', 'unix://', 'unix:///', 'unix:////', 'unix://///'],
  'an authority': ['unix://host/a.sock', 'unix://u:p@h/a', 'unix://u:p@h', 'unix://host', 'unix://host:1/a'],
  'a query or a fragment': ['unix:///a?x', 'unix:///a#x', 'unix:/a?x', 'unix:/a#x', 'unix:///a?', 'unix:///a#'],
  'tcp without a port': ['tcp://1.2.3.4', 'tcp://1.2.3.4:', 'tcp://[::1]', 'tcp://[::1]:'],
  'tcp with a name': ['tcp://host:5', 'tcp://localhost:5', 'tcp://1.2.3.4.example:5', 'tcp://:5'],
  'tcp with more than host and port': [
    'tcp://1.2.3.4:5/p',
    'tcp://1.2.3.4:5/',
    'tcp://1.2.3.4:5?x',
    'tcp://1.2.3.4:5#x',
    'tcp://u@1.2.3.4:5',
    'tcp://u:p@1.2.3.4:5',
  ],
  'tcp that is opaque or empty': ['tcp:opaque', 'tcp:1.2.3.4:5', 'tcp:/1.2.3.4:5', 'tcp://', 'tcp:'],
  'ports that no socket has': ['tcp://1.2.3.4:0', 'tcp://1.2.3.4:65536', 'tcp://1.2.3.4:-1', 'tcp://1.2.3.4:5x'],
  'half an IP address': [
    'tcp://1.2.3:5',
    'tcp://1.2.3.256:5',
    'tcp://0x7f000001:5',
    'tcp://[1.2.3.4]:5',
    'tcp://::1:5',
    'tcp://[::1:5',
    'tcp://[::g]:5',
    'tcp://[]:5',
  ],
  'another scheme or none': ['blah', '', 'http://1.2.3.4:5', 'unix', 'tcp', 'unixs:///a', ' unix:///a', 'dns:///a'],
  'a bare path': ['/a/b.sock', '/', '//a', 'a/b.sock'],
}

describe('rejects', () => {
  for (const [why, texts] of Object.entries(rejected))
    test(why, () => {
      for (const text of texts) assert.equal(outcome(text), undefined, text)
    })

  test('every control character and blank, wherever it stands', () => {
    for (let code = 0; code <= 0x20; code++)
      for (const make of [
        (c: string) => `unix:///a${c}b`,
        (c: string) => `${c}unix:///a`,
        (c: string) => `unix:///a${c}`,
        (c: string) => `tcp://1.2.3.4:5${c}`,
        (c: string) => `tcp://1.2.3.4${c}:5`,
      ])
        assert.equal(outcome(make(String.fromCharCode(code))), undefined, `character ${code}`)
    assert.equal(outcome('unix:///a\u007fb'), undefined)
    assert.ok(outcome('unix:///a!b'), 'the neighbour of the blank is fine')
  })
})

test('tells who writes a bare path what to write instead', () => {
  assert.throws(() => parseSocketAddress('/a/b.sock'), { remedy: /unix:\/\/\/a\/b\.sock/ })
})

test('says in one line what is wrong, with the address quoted', () => {
  assert.throws(
    () => parseSocketAddress('unix:///a\nb'),
    (error: Error) => !error.message.includes('\n'),
  )
  assert.throws(() => parseSocketAddress('tcp://host:5'), { message: /"tcp:\/\/host:5".*IP address/ })
})

test('hands gRPC a target in which it finds the same path again', () => {
  // As grpc-js takes a target apart (uri-parser.ts, resolver-uds.ts): the first two slashes open an authority.
  const dialled = (target: string) => {
    const [, authority, path = ''] = /^unix:(?:\/\/([^/]*)\/)?(.+)$/.exec(target) ?? []
    return authority === '' ? `/${path}` : path
  }
  for (const text of ['unix:///a/b.sock', 'unix:/a', 'unix:////a/b.sock', 'unix://///a/b', 'unix:/a\u2028b']) {
    const parsed = outcome(text)
    if (parsed?.kind === 'unix') assert.equal(dialled(grpcTarget(parsed)), parsed.path, text)
  }
})

describe('a socket path', { skip: process.platform === 'darwin' ? 'Linux lengths' : false }, () => {
  const path = (bytes: number) => `/${'a'.repeat(bytes - 1)}`
  test('may have 107 bytes and not 108', () => {
    assert.deepEqual(outcome(`unix://${path(107)}`), { kind: 'unix', path: path(107), text: `unix://${path(107)}` })
    assert.ok(outcome(`unix:${path(107)}`))
    assert.equal(outcome(`unix://${path(108)}`), undefined)
    assert.equal(outcome(`unix:${path(108)}`), undefined)
  })
  test('is measured in bytes and not in characters', () => {
    assert.ok(outcome(`unix:///${'é'.repeat(53)}`))
    assert.equal(outcome(`unix:///${'é'.repeat(53)}a`), undefined)
  })
})

const segment = fc.stringMatching(/^[A-Za-z0-9._%~é-]{1,12}$/)
const unixAddress = fc
  .tuple(fc.constantFrom('unix:', 'unix://'), fc.array(segment, { minLength: 1, maxLength: 4 }))
  .map(([scheme, segments]) => `${scheme}/${segments.join('/')}`)
const tcpAddress = fc
  .tuple(
    fc.oneof(
      fc.ipV4(),
      fc.ipV6().map((ip) => `[${ip}]`),
    ),
    fc.integer({ min: 1, max: 65_535 }),
  )
  .map(([host, port]) => `tcp://${host}:${port}`)
const address = fc.oneof(unixAddress, tcpAddress)

describe('for any address', () => {
  test('what is accepted is printed so that it is accepted again and means the same', () => {
    fc.assert(
      fc.property(address, (text) => {
        const parsed = outcome(text)
        assert.ok(parsed, text)
        assert.deepEqual(outcome(parsed.text), parsed)
        assert.equal(grpcTarget(outcome(parsed.text) ?? parsed), grpcTarget(parsed))
      }),
    )
  })

  test('an IPv4 and an IPv6 host arrive at gRPC as what they are', () => {
    fc.assert(
      fc.property(tcpAddress, (text) => {
        const parsed = outcome(text)
        assert.ok(parsed?.kind === 'tcp')
        assert.ok(isIPv4(parsed.host) || isIPv6(parsed.host))
        const bare = text.slice('tcp://'.length)
        assert.equal(grpcTarget(parsed), `${isIPv4(parsed.host) ? 'ipv4' : 'ipv6'}:${bare}`)
      }),
    )
  })

  test('a changed character makes another address or none, never the same one', () => {
    const change = fc.record({
      at: fc.nat(),
      kind: fc.constantFrom('insert', 'delete', 'replace'),
      character: fc.oneof(fc.constantFrom(...Array.from(':/?#@[]. %\0\n\u007fA0')), fc.string({ minLength: 1, maxLength: 1 })),
    })
    fc.assert(
      fc.property(address, change, (text, { at, kind, character }) => {
        const index = at % text.length
        const tail = text.slice(kind === 'insert' ? index : index + 1)
        const mutant = text.slice(0, index) + (kind === 'delete' ? '' : character) + tail
        const [before, after] = [outcome(text), outcome(mutant)]
        if (after === undefined || before === undefined) return
        // The text is all there is to it, save the two ways to write unix: and the zeros before a port.
        const meaning = (a: SocketAddress) => (a.kind === 'unix' ? a.path : `${a.host} ${a.port}`)
        const written = (a: string) => a.replace(/^unix:\/\/\//, 'unix:/').replace(/:0+(?=\d+$)/, ':')
        assert.equal(meaning(before) === meaning(after), written(text) === written(mutant), mutant)
      }),
      { numRuns: 500 },
    )
  })

  test('any text at all is an address or a Failure', () => {
    const anyText = fc.uint16Array({ maxLength: 30 }).map((units) => String.fromCharCode(...units))
    fc.assert(fc.property(anyText, (text) => void outcome(text)))
    fc.assert(fc.property(fc.string({ maxLength: 30 }), (text) => void outcome(`unix:${text}`)))
    fc.assert(fc.property(fc.string({ maxLength: 30 }), (text) => void outcome(`tcp://${text}`)))
  })
})
