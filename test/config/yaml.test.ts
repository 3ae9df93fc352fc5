// YAML as it is read: variables, anchors, bombs, and files that somebody has leant a keyboard against.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isFailure } from '../../src/core/errors.ts'
import { load, loadText, mistakesOf, roleArn, small, whole } from './support.ts'

const inDir = (text: string): string => `${small}runtime_dir: ${text}\n`
const dirOf = async (text: string, env: NodeJS.ProcessEnv = {}): Promise<string> => (await loadText(inDir(text), env)).runtimeDir

test('a variable stands for its value, or for its default when it is not set or empty', async () => {
  const env = { NAME: 'value', EMPTY: '', _a1: 'under' }
  for (const [text, value] of [
    ['/${NAME}', '/value'],
    ['"/${NAME}/${_a1}"', '/value/under'],
    ["'/${NAME}x'", '/valuex'],
    ['/${NAME:-other}', '/value'],
    ['/${NOPE:-other}', '/other'],
    ['/${EMPTY:-other}', '/other'],
    ['/a${NOPE:-}b', '/ab'],
    ['"/${NOPE:-a b:c-d}"', '/a b:c-d'],
  ] as const)
    assert.equal(await dirOf(text, env), value, text)
})

test('what is no reference stays as it is', async () => {
  for (const text of ['/$NAME', '/${', '/${}', '/${a b}', '/${1A}', '/$', '/{NAME}', '/${NAME-x}'])
    assert.equal(await dirOf(`'${text}'`, { NAME: 'value', a: 'x' }), text)
})

test('$${ is a literal ${, also right before a reference', async () => {
  assert.equal(await dirOf('"/$${NAME}"', { NAME: 'value' }), '/${NAME}')
  assert.equal(await dirOf('"/$${${NAME}"', { NAME: 'value' }), '/${value')
})

test('a value is not looked into: neither its references nor its YAML mean anything', async () => {
  assert.equal(await dirOf('/${A}', { A: '${B}', B: 'no' }), '/${B}')
  assert.equal(await dirOf('/${A}', { A: 'x: [1, 2]\n#' }), '/x: [1, 2]\n#')
  assert.equal(await dirOf('/${A}', { A: '$${B}$&$1' }), '/$${B}$&$1')
})

test('a variable is expanded in lists and flow maps too, and never in keys', async () => {
  const config = await loadText(small.replace('[app]', '["${P}"]'), { P: 'app' })
  assert.deepEqual(config.consumers[0]?.profiles, ['app'])
  const lines = await mistakesOf(`${small}"\${KEY}": x\n`, { KEY: 'log' })
  assert.match(lines.join('\n'), /\$\{KEY\}: there is no such key/)
})

test('a variable without value and default is one mistake, at its line, and the only one about that value', async () => {
  for (const [text, line] of [
    [inDir('/${NOPE}'), '15:14: runtime_dir: '],
    [small.replace('[app]', '[app, "${NOPE}"]'), '12:21: consumers.app.profiles[1]: '],
    [small.replace(roleArn, 'arn:aws:iam::${NOPE}:role/app'), '7:17: profiles.app.web_identity.role_arn: '],
    [small.replace('127.0.0.1:9912', '${NOPE}:9912'), '14:11: container_endpoint.listen: '],
  ] as const) {
    const [first = '', ...more] = await mistakesOf(text)
    assert.deepEqual(more, [])
    assert.ok(first.startsWith(line), first)
    assert.match(first, /the environment variable NOPE is not set/)
  }
})

test('anchors may save typing', async () => {
  const text = small.replace('profiles: [app]', 'profiles: &all [app]').replace('  app:\n    profiles', '  app: &app\n    profiles')
  const config = await loadText(text.replace('container_endpoint', '  web: *app\n  two: { profiles: *all }\ncontainer_endpoint'))
  assert.deepEqual(
    config.consumers.map(({ name, profiles }) => [name, profiles]),
    [
      ['app', ['app']],
      ['web', ['app']],
      ['two', ['app']],
    ],
  )
})

test('an alias of nothing is a mistake with its line', async () => {
  const lines = await mistakesOf(small.replace('[app]', '*nothing'))
  assert.match(lines.join('\n'), /^12:\d+: .*nothing/)
})

test('an alias bomb is refused in a moment and a sentence', async () => {
  const rows = Array.from({ length: 12 }, (_, index) => `  a${index + 1}: &a${index + 1} [${`*a${index}, `.repeat(9)}]`)
  const begun = performance.now()
  const lines = await mistakesOf(`profiles:\n  a0: &a0 [${'x, '.repeat(9)}]\n${rows.join('\n')}\n`)
  assert.ok(performance.now() - begun < 1_000)
  assert.ok(lines.length < 50, `${lines.length} lines`)
  assert.match(lines.join('\n'), /alias/i)
})

test('an alias that holds itself is refused', async () => {
  assert.ok((await mistakesOf('profiles: &p { app: *p }\n')).length < 20)
})

test('text that is nested too deeply to be a configuration is refused in a few lines', async () => {
  for (const text of ['['.repeat(5_000), '{a: '.repeat(5_000), '- '.repeat(5_000)]) {
    const lines = await mistakesOf(text)
    assert.ok(lines.length < 50, `${lines.length} lines`)
  }
})

test('strange keys and tags do not get past the schema, nor print anything of their own', async (t) => {
  const warnings: Error[] = []
  const warned = (warning: Error) => warnings.push(warning)
  process.on('warning', warned)
  t.after(() => process.off('warning', warned))
  for (const line of ['__proto__: { polluted: true }', 'constructor: {}', '1: x', 'true: x', '? { a: b }\n: c', '? [x]\n: c', '!!binary aGk=: x'])
    assert.ok((await mistakesOf(`${small}${line}\n`)).length > 0, line)
  for (const name of ['__proto__', '"a b"', '"a/b"', '"../a"', '""', '"é"', '"-a"', `"${'a'.repeat(64)}"`])
    assert.ok((await mistakesOf(small.replaceAll('  app:', `  ${name}:`))).length > 0, name)
  assert.equal(({} as { polluted?: boolean }).polluted, undefined)
  await new Promise(setImmediate)
  assert.deepEqual(
    warnings.map(({ message }) => message),
    [],
  )
})

/** A text with one wound: a letter changed, a piece cut or doubled, a line moved. */
const wounded = (text: string): fc.Arbitrary<string> => {
  const letters = fc.constantFrom(...':-[]{}&*!|>\'"%@`#,?$\t\n\0 0aZ~é\u{1F600}'.split(''))
  const place = fc.nat({ max: text.length })
  const lines = text.split('\n')
  return fc.oneof(
    fc.tuple(place, letters).map(([at, letter]) => text.slice(0, at) + letter + text.slice(at + 1)),
    fc.tuple(place, letters).map(([at, letter]) => text.slice(0, at) + letter + text.slice(at)),
    fc.tuple(place, fc.nat({ max: 40 })).map(([at, length]) => text.slice(0, at) + text.slice(at + length)),
    fc.tuple(place, fc.nat({ max: 40 })).map(([at, length]) => text.slice(0, at + length) + text.slice(at)),
    fc.tuple(fc.nat({ max: lines.length }), fc.nat({ max: lines.length })).map(([from, to]) => {
      const moved = [...lines]
      moved.splice(to, 0, ...moved.splice(from, 1))
      return moved.join('\n')
    }),
    place.map((at) => text.slice(0, at)),
  )
}

test('a wounded file is accepted or refused with its mistakes, and never anything else', async () => {
  const texts = fc.oneof(wounded(whole), wounded(small), wounded(small).chain(wounded))
  await fc.assert(
    fc.asyncProperty(texts, async (text) => {
      fc.pre(text !== '')
      try {
        await loadText(text, { SPIFFE_ENDPOINT_SOCKET: 'unix:///agent.sock' })
      } catch (error) {
        assert.ok(isFailure(error), `${error instanceof Error ? error.stack : String(error)}`)
        assert.equal(error.code, 'config_invalid')
        for (const line of error.message.split('\n').slice(0, 1)) assert.match(line, /^SVIDECAR_CONFIG_YAML(:\d+:\d+)?: /)
        assert.doesNotMatch(error.message, /undefined|\[object|ZodError/)
      }
    }),
    { numRuns: 500 },
  )
})

test('any bytes are refused as well', async () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 60 }).map((some) => Buffer.from(some).toString('latin1'))
  await fc.assert(
    fc.asyncProperty(bytes, async (text) => {
      await load({ SVIDECAR_CONFIG_YAML: text, SPIFFE_ENDPOINT_SOCKET: 'unix:///a' }).then(
        () => assert.fail('accepted'),
        (error: unknown) => assert.ok(isFailure(error), String(error)),
      )
    }),
    { numRuns: 200 },
  )
})
