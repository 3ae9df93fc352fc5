// What an error of gRPC means for a person: one code, one sentence with the address, one remedy.
import assert from 'node:assert/strict'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { failures } from '../../src/core/failures.ts'
import { statusFailure } from '../../src/identity/workload-api/status.ts'
import { parseSocketAddress } from '../../src/spiffe/socket-address.ts'
import { temporaryFolder } from './grpc-agent.ts'

const unix = parseSocketAddress('unix:///run/agent.sock')
const tcp = parseSocketAddress('tcp://127.0.0.1:8081')
const grpcError = (code: number, details: string) => Object.assign(new Error(`${code} X: ${details}`), { code, details })
const lastError = (text: string) => grpcError(14, `No connection established. Last error: ${text}`)

describe('a socket that cannot be opened', () => {
  const texts: Record<string, [details: string, sentence: RegExp]> = {
    'is not there': ['connect ENOENT /run/agent.sock', /no such file$/],
    'has no listener': ['connect ECONNREFUSED /run/agent.sock', /connection refused$/],
    'may not be opened': ['connect EACCES /run/agent.sock', /permission denied \(/],
    'may not be opened by a policy': ['connect EPERM /run/agent.sock', /permission denied \(/],
    'is no socket': ['connect ENOTSOCK /run/agent.sock', /not a socket$/],
  }
  for (const [what, [details, sentence]] of Object.entries(texts))
    test(what, () => {
      const failure = statusFailure(lastError(details), unix)
      assert.equal(failure.code, 'workload_api_unreachable')
      assert.match(failure.message, /^cannot connect to the Workload API at unix:\/\/\/run\/agent\.sock: /)
      assert.match(failure.message, sentence)
      assert.ok(failure.remedy)
    })

  test('has the sentence of its own error, whatever its path is called', () => {
    for (const [name, sentence] of [
      ['ENOENT', /connection refused$/],
      ['EACCES', /connection refused$/],
    ] as const) {
      const address = parseSocketAddress(`unix:///run/${name}/agent.sock`)
      const failure = statusFailure(lastError(`connect ECONNREFUSED /run/${name}/agent.sock`), address)
      assert.match(failure.message, sentence)
    }
  })

  test('shows the rights of the socket and of its folder, and who we are', async (t) => {
    const folder = join(await temporaryFolder(t), 'sockets')
    await mkdir(folder, { mode: 0o750 })
    await chmod(folder, 0o750)
    const path = join(folder, 'agent.sock')
    await writeFile(path, '')
    await chmod(path, 0o600)
    const failure = statusFailure(lastError(`connect EACCES ${path}`), parseSocketAddress(`unix://${path}`))
    const me = `${process.getuid?.()}:${process.getgid?.()}`
    assert.ok(failure.message.includes(`${path} is 0600 of ${me}, ${folder} is 0750 of ${me}; this process is ${me}`))
    const hidden = statusFailure(lastError('connect EACCES x'), parseSocketAddress('unix:///nowhere/at/all'))
    assert.match(hidden.message, /\/nowhere\/at\/all cannot be seen, \/nowhere\/at cannot be seen/)
  })

  test('over TCP has no rights to show', () => {
    assert.match(statusFailure(lastError('connect EACCES 127.0.0.1:8081'), tcp).message, /permission denied$/)
    for (const text of ['EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'])
      assert.match(statusFailure(lastError(`connect ${text} 10.0.0.1:1`), tcp).message, /no route or no answer$/)
  })
})

describe('an agent that answers', () => {
  const meanings: [code: number, details: string, expected: keyof typeof failures][] = [
    [7, 'no identity issued', 'identity_not_issued'],
    [3, 'security header missing from request', 'workload_api_rejected'],
    [12, 'unknown method', 'workload_api_unimplemented'],
    [14, 'workload attestation failed', 'workload_api_unavailable'],
    [14, 'rate limit exceeded for FetchX509SVID', 'workload_api_unavailable'],
    [14, 'Connection dropped', 'workload_api_unavailable'],
    [1, 'Call cancelled', 'workload_api_unavailable'],
    [16, 'who are you', 'workload_api_unavailable'],
    [8, 'Received message larger than max (70000000 vs 67108864)', 'workload_api_too_large'],
    [8, 'too many streams', 'workload_api_unavailable'],
  ]
  for (const [code, details, expected] of meanings)
    test(`with ${code}, ${details}`, () => {
      const failure = statusFailure(grpcError(code, details), unix)
      assert.equal(failure.code, expected)
      assert.ok(failure.message.includes(details) && failure.message.includes(unix.text))
      assert.equal(failure.remedy, failures[expected].remedy)
    })

  test('about a file of its own is not unreachable', () => {
    for (const code of [3, 7, 12]) assert.notEqual(statusFailure(grpcError(code, 'open /x: ENOENT'), unix).code, 'workload_api_unreachable')
  })

  test('each with a remedy of its own', () => {
    const remedies = meanings.map(([code, details]) => statusFailure(grpcError(code, details), unix))
    const codes = new Set(remedies.map(({ code }) => code))
    assert.equal(new Set(remedies.map(({ remedy }) => remedy)).size, codes.size)
  })
})

test('anything that was thrown is a failure with its text', () => {
  for (const thrown of [new Error('odd'), 'odd', { toString: () => 'odd' }]) {
    const failure = statusFailure(thrown, unix)
    assert.equal(failure.code, 'workload_api_unavailable')
    assert.match(failure.message, /odd/)
  }
  for (const thrown of [undefined, null, 1]) assert.equal(statusFailure(thrown, unix).code, 'workload_api_unavailable')
})
