// The kernel's table of sockets, as /proc shows it: whose row is found, and whose is not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createUserFinder, type Ends } from '../../src/endpoints/peer.ts'

const findUser = (given: Ends, read: (path: string) => Promise<string>) => createUserFinder(read)(given)

const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const row = (local: string, remote: string, state: string, uid: number) =>
  `   1: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 4318964 1 00000000d436ea30 100 0 0 10 0\n`

const ends: Ends = { client: ['127.0.0.1', 0x82e5], server: ['127.0.0.1', 9912] }
const v4 = { client: '0100007F:82E5', server: '0100007F:26B8' }
const mapped = { client: '0000000000000000FFFF00000100007F:82E5', server: '0000000000000000FFFF00000100007F:26B8' }
const v6 = { client: '00000000000000000000000001000000:82E5', server: '00000000000000000000000001000000:26B8' }

const tables =
  (tcp: string, tcp6 = '') =>
  async (path: string) => {
    if (path === '/proc/self/net/tcp') return head + tcp
    if (path === '/proc/self/net/tcp6') return head + tcp6
    throw new Error(path)
  }

test("the user is that of the client's end, not of ours, and not of another connection", async () => {
  const others = row(v4.server, v4.client, '01', 7) + row('0100007F:82E6', v4.server, '01', 8) + row(v4.client, '0100007F:26B9', '01', 9)
  assert.equal(await findUser(ends, tables(others + row(v4.client, v4.server, '01', 1000))), 1000)
  assert.equal(await findUser(ends, tables(others)), undefined)
  assert.equal(await findUser(ends, tables(row(v4.client, v4.server, '01', 0))), 0)
})

test('a socket that is closing or gone is nobody’s, whatever the row says', async () => {
  for (const state of ['02', '04', '05', '06', '07', '08', '0A'])
    assert.equal(await findUser(ends, tables(row(v4.client, v4.server, state, 0))), undefined, state)
})

test('a client may use a socket of IPv6 for an address of IPv4, and IPv6 itself', async () => {
  assert.equal(await findUser(ends, tables('', row(mapped.client, mapped.server, '01', 33))), 33)
  assert.equal(await findUser({ client: ['::1', 0x82e5], server: ['::1', 9912] }, tables('', row(v6.client, v6.server, '01', 44))), 44)
  assert.equal(await findUser({ client: ['::ffff:127.0.0.1', 0x82e5], server: ['::ffff:127.0.0.1', 9912] }, tables(row(v4.client, v4.server, '01', 55))), 55)
})

test('without a table, or for an address that is none of loopback, nothing is known', async () => {
  assert.equal(await findUser(ends, () => Promise.reject(new Error('ENOENT'))), undefined)
  assert.equal(await findUser({ client: ['fe80::1', 1], server: ['::1', 2] }, tables('')), undefined)
  assert.equal(await findUser({ client: ['', 0], server: ['', 0] }, tables('')), undefined)
})

test('however many ask at once, the tables are read once for those who wait, and once more for those who come meanwhile', async () => {
  let reads = 0
  let running = 0
  const find = createUserFinder(async (path) => {
    reads++
    running++
    assert.ok(running <= 2, 'one reading of both tables at a time')
    await new Promise((resolve) => setTimeout(resolve, 5))
    running--
    return path.endsWith('6') ? head : head + row(v4.client, v4.server, '01', 1000)
  })
  const first = Array.from({ length: 500 }, () => find(ends))
  await new Promise((resolve) => setImmediate(resolve))
  const second = Array.from({ length: 500 }, () => find(ends))
  assert.ok((await Promise.all([...first, ...second])).every((uid) => uid === 1000))
  assert.equal(reads, 4)
})
