// Who is at the other end of a loopback connection: the kernel's socket table has the user of every socket.
import { readFile } from 'node:fs/promises'
import { endianness } from 'node:os'

/** The two ends of a TCP connection, the client's first. */
export interface Ends {
  readonly client: readonly [address: string, port: number]
  readonly server: readonly [address: string, port: number]
}

// Below self, since with systemd's ProcSubset=pid there is no /proc/net.
export const tables = ['/proc/self/net/tcp', '/proc/self/net/tcp6']

/** An address and port as the table has them: hexadecimal, each 32-bit word of the address in the byte order of the machine. Of IPv6 only ::1 and ::. */
export function spelled([address, port]: Ends['client'], six: boolean): string | undefined {
  const v4 = /(?:^|:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)?.slice(1).map(Number)
  if (v4 === undefined && (!six || !['::1', '::'].includes(address))) return undefined
  const low = v4 === undefined ? [0, 0, 0, 0, 0, address === '::1' ? 1 : 0] : [0xff, 0xff, ...v4]
  const bytes = six ? Buffer.from([...Array(10).fill(0), ...low]) : Buffer.from(v4 ?? [])
  return `${(endianness() === 'LE' ? bytes.swap32() : bytes).toString('hex')}:${port.toString(16).padStart(4, '0')}`.toUpperCase()
}

type Table = ReadonlyMap<string, number>

const established = /^\s*\d+: (\S+ \S+) 01 \S+ \S+ \S+\s+(\d+)/gm

/**
 * Finds the user that owns the client's end, in the tables of this network namespace. undefined: it is not there, or not connected any more, when
 * the kernel says 0 of a socket that nobody owns. A client's socket may be of IPv6 with an address of IPv4, as Java's are. However many ask at once,
 * the tables are read once for all of them, one reading at a time: whoever comes meanwhile waits for the next.
 */
export function createUserFinder(read: (path: string) => Promise<string> = (path) => readFile(path, 'latin1')) {
  const load = async (): Promise<readonly Table[]> =>
    Promise.all(
      tables.map(async (path) => new Map([...(await read(path).catch(() => '')).matchAll(established)].map(([, ends = '', uid]) => [ends, Number(uid)]))),
    )
  let running: Promise<unknown> = Promise.resolve()
  let waiting: Promise<readonly Table[]> | undefined
  const newest = (): Promise<readonly Table[]> => {
    waiting ??= running.then(() => {
      waiting = undefined
      const loading = load()
      running = loading
      return loading
    })
    return waiting
  }
  return async ({ client, server }: Ends): Promise<number | undefined> => {
    for (const [index, table] of (await newest()).entries()) {
      const six = index === 1
      const [local, remote] = [spelled(client, six), spelled(server, six)]
      const uid = local === undefined || remote === undefined ? undefined : table.get(`${local} ${remote}`)
      if (uid !== undefined) return uid
    }
    return undefined
  }
}
