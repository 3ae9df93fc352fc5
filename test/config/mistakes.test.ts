// Every mistake has its line and column and what was expected, and all of them are told at once.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mistakesOf, small, whole } from './support.ts'

const after = (line: string): string => `${small}${line}\n`
const lineOf = (text: string, words: string): number => text.slice(0, text.indexOf(words)).split('\n').length

test('six mistakes of six kinds are told at once, each at its place, from top to bottom', async () => {
  const text = `identities:
  default: { workload_api: unix:///agent.sock }
profiles:
  app:
    web_identity:
      role_arn: arn:aws:iam::1:role/app
      audience: sts.amazonaws.com
      session_duration: 2 hours
    region: eu-west-1
    reqired: true
consumers:
  app:
    profiles: [ap]
    mode: 440
container_endpoint:
  listen: 0.0.0.0:9912
`
  const lines = await mistakesOf(text)
  const expected: [string, RegExp][] = [
    ['6:17', /role_arn: "arn:aws:iam::1:role\/app" is not the ARN of a role, such as arn:/],
    ['8:25', /session_duration: expected a duration such as 30s/],
    ['10:5', /reqired: there is no such key; did you mean required\?/],
    ['13:16', /consumers\.app\.profiles\[0\]: there is no profile "ap"; did you mean app\?/],
    ['14:11', /consumers\.app\.mode: expected string/],
    ['16:11', /container_endpoint\.listen: 0\.0\.0\.0 is not a loopback address/],
  ]
  assert.deepEqual(
    lines.map((line) => /^\d+:\d+/.exec(line)?.[0]),
    expected.map(([place]) => place),
  )
  for (const [index, [, words]] of expected.entries()) assert.match(lines[index] ?? '', words)
})

test('mistakes of form do not hide those of meaning in other places', async () => {
  // Whoever repairs one and then meets the next has been told one at a time.
  const text = after('typo: 1').replace('[app]', '[other]')
  const lines = await mistakesOf(text)
  assert.equal(lines.length, 2, lines.join('\n'))
})

test('a value of the wrong type is said to be so, with what was expected', async () => {
  for (const [text, place, words] of [
    [small.replace('container_endpoint:\n  listen: 127.0.0.1:9912\n', 'container_endpoint: 5\n'), '13:21', /expected object/],
    [small.replace('profiles: [app]', 'profiles: app'), '12:15', /expected array/],
    [small.replace('region: eu-west-1', 'region: [eu-west-1]'), '9:13', /expected string/],
    [small.replace('region: eu-west-1', 'region: eu-west-1\n    required: "yes"'), '10:15', /expected boolean/],
    [after('log: { level: loud }'), '15:15', /"debug".*"info".*"warn".*"error"/],
    [after('shutdown_grace: 5'), '15:17', /expected string|expected a duration/],
  ] as const) {
    const [line = '', ...more] = await mistakesOf(text)
    assert.deepEqual(more, [])
    assert.ok(line.startsWith(`${place}: `), `${line} is at ${place}`)
    assert.match(line, words)
    assert.doesNotMatch(line, /missing/)
  }
})

test('a key that is missing is said to be so, at what it is missing from', async () => {
  const text = small.replace(/ +role_arn.*\n/, '')
  assert.deepEqual(await mistakesOf(text), ['7:7: profiles.app.web_identity.role_arn: is missing'])
})

test('an unknown key is named with the nearest right one, at any depth, or else with all of them', async () => {
  for (const [from, to, near] of [
    ['region:', 'regoin:', 'region'],
    ['audience:', 'audiences:', 'audience'],
    ['container_endpoint', 'container-endpoint', 'container_endpoint'],
    ['consumers', 'consumer', 'consumers'],
  ] as const) {
    const text = small.replace(from, to)
    const lines = await mistakesOf(text)
    const found = lines.find((line) => line.endsWith(`there is no such key; did you mean ${near}?`))
    assert.ok(found?.startsWith(`${lineOf(text, to)}:`), lines.join('\n'))
  }
  const [far = ''] = await mistakesOf(after('kubernetes: {}'))
  assert.match(far, /^15:1: kubernetes: there is no such key \(there is identities, profiles, consumers/)
})

test('references to what does not exist say what does', async () => {
  for (const [text, words] of [
    [small.replace('region: eu', 'identity: defualt\n    region: eu'), /identity "defualt"; did you mean default\?/],
    [after('imds_endpoints: [{ profile: prod }]'), /imds_endpoints\[0\]\.profile: there is no profile "prod" \(there is app\)/],
    [small.replace('  default:', '  other:'), /there is no identity "default"/],
  ] as const)
    assert.match((await mistakesOf(text)).join('\n'), words)
})

test('a syntax error has its line and column', async () => {
  for (const [text, place] of [
    ['profiles:\n  app: [\n', /^\d+:\d+: /],
    [after('runtime_dir: "unclosed'), /^1[56]:\d+: /],
    [after('\tlog: {}'), /^15:\d+: /],
    [after('runtime_dir: a: b'), /^15:\d+: /],
    [`${small}---\n${small}`, /^15:1: /],
  ] as const)
    assert.match((await mistakesOf(text))[0] ?? '', place)
})

test('a key that is written twice is a mistake at its second place', async () => {
  assert.match((await mistakesOf(after('profiles: {}')))[0] ?? '', /^15:1: .*unique/)
  const text = small.replace('    region: eu-west-1', '    region: eu-west-1\n    region: eu-west-2')
  assert.match((await mistakesOf(text))[0] ?? '', /^10:5: .*unique/)
})

test('text that is no mapping at all is refused in one line that says what was expected', async () => {
  for (const text of ['hello', '42', '[]', '- a\n- b', '"x"', 'null', '~', '# nothing\n', '---\n', 'true']) {
    const lines = await mistakesOf(text, { SPIFFE_ENDPOINT_SOCKET: 'unix:///a' })
    assert.equal(lines.length, 1, text)
    assert.match(lines[0] ?? '', /expected object|profiles: is missing|profiles/, text)
  }
})

test('a right file has a wrong neighbour for each of its keys', async () => {
  const free = /^ {2}(default|other|app|reports):/ // names, which are anybody's to choose
  const keys = whole.split('\n').filter((line) => /^ *\w+:/.test(line) && !free.test(line))
  assert.ok(keys.length > 20)
  for (const line of keys) {
    const lines = await mistakesOf(whole.replace(`${line}\n`, `${line.replace(/(\w+):/, '$1x:')}\n`))
    assert.ok(
      lines.some((one) => one.includes('there is no such key; did you mean')),
      line,
    )
  }
})
