// Listening sockets that systemd has opened for us (svidecar.socket): no neighbour can take a port, and no connection is lost, while the daemon restarts.
import { existsSync, readFileSync, readlinkSync } from 'node:fs'
import { spelled, tables } from './peer.ts'

const firstDescriptor = 3
const listening = /^\s*\d+: (\S+) \S+ 0A \S+ \S+ \S+\s+\d+\s+\d+ (\d+)/gm

/**
 * The TCP sockets that this process was started with, by the protocol of sd_listen_fds(3): LISTEN_FDS descriptors from 3 on, meant for LISTEN_PID.
 * The kernel's tables say which address each of them listens on, so nothing is to be named anywhere.
 */
export function inheritedSockets(env: NodeJS.ProcessEnv, pid = process.pid) {
  let left = Number(env['LISTEN_PID']) === pid ? Number(env['LISTEN_FDS']) || 0 : 0
  const owned = new Map<string, number>()
  for (let fd = firstDescriptor; fd < firstDescriptor + left; fd++) owned.set(readlinkSync(`/proc/self/fd/${fd}`), fd)
  // An address of IPv6 is longer, so the tables have no key in common. A machine without IPv6 has one table.
  const rows = left === 0 ? [] : tables.filter(existsSync).flatMap((path) => [...readFileSync(path, 'latin1').matchAll(listening)])
  const found = new Map(rows.map(([, address = '', inode]) => [address, owned.get(`socket:[${inode}]`)]))
  return {
    /** The descriptor that listens there, once: whoever has closed it leaves its number to somebody else. */
    take(host: string, port: number): number | undefined {
      const key = spelled([host, port], host.includes(':')) ?? ''
      const descriptor = found.get(key)
      found.delete(key)
      if (descriptor !== undefined) left--
      return descriptor
    },
    /** How many nobody has taken. Those of other kinds, such as a socket in the file system, nobody can. */
    left: () => left,
  }
}
