// Who is at the other end of a loopback connection: the kernel's socket table has the user of every socket.
import { readFile } from 'node:fs/promises'
import { endianness } from 'node:os'

/** The two ends of a TCP connection, the client's first. */
export interface Ends {
  readonly client: readonly [address: string, port: number]
  readonly server: readonly [address: string, port: number]
}

const established = '01'
const tables = ['/proc/net/tcp', '/proc/net/tcp6']

/** An address and port as the table has them: hexadecimal, each 32-bit word of the address in the byte order of the machine. */
function spelled([address, port]: Ends['client'], six: boolean): string | undefined {
  const v4 = /(?:^|:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)?.slice(1).map(Number)
  if (v4 === undefined && (!six || address !== '::1')) return undefined
  const bytes = six ? Buffer.from([...Array(10).fill(0), ...(v4 === undefined ? [0, 0, 0, 0, 0, 1] : [0xff, 0xff, ...v4])]) : Buffer.from(v4 ?? [])
  return `${(endianness() === 'LE' ? bytes.swap32() : bytes).toString('hex')}:${port.toString(16).padStart(4, '0')}`.toUpperCase()
}

/**
 * The user that owns the client's end, in the table of this network namespace. undefined: it is not there, or not connected any more, when
 * the kernel says 0 of a socket that nobody owns. A client's socket may be of IPv6 with an address of IPv4, as Java's are.
 */
export async function findUser(
  { client, server }: Ends,
  read: (path: string) => Promise<string> = (path) => readFile(path, 'latin1'),
): Promise<number | undefined> {
  for (const path of tables) {
    const six = path.endsWith('6')
    const [local, remote] = [spelled(client, six), spelled(server, six)]
    if (local === undefined || remote === undefined) continue
    const row = (await read(path).catch(() => '')).split('\n').find((line) => line.includes(`: ${local} ${remote} ${established} `))
    const uid = row?.trim().split(/\s+/)[7]
    if (uid !== undefined) return Number(uid)
  }
  return undefined
}
