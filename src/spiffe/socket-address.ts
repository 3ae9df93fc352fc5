// The address of a Workload API: SPIFFE Workload Endpoint standard, section 4.
import { isIPv4, isIPv6 } from 'node:net'
import { type Failure, failure } from '../core/errors.ts'

export type SocketAddress =
  | { readonly kind: 'unix'; readonly path: string; readonly text: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly text: string }

// sun_path holds 108 bytes with its end on Linux and 104 on macOS. Node cuts a longer path silently and then talks to another file.
export const longestSocketPath = process.platform === 'darwin' ? 103 : 107

/** Parses unix:///absolute/path, unix:/absolute/path or tcp://IP:port, and nothing else. Throws socket_address_invalid. */
export function parseSocketAddress(text: string): SocketAddress {
  const refused = (why: string, remedy?: string) =>
    failure('socket_address_invalid', `${JSON.stringify(text)} is not a Workload API address: ${why}`, { remedy })
  if (/[\s\p{Cc}]/u.test(text)) throw refused('it has control characters or blanks')
  if (text.startsWith('/')) throw refused('it has no scheme', `Write unix://${text}.`)
  if (text.startsWith('unix:')) return parseUnix(text.slice('unix:'.length), refused)
  if (text.startsWith('tcp:')) return parseTcp(text, (why) => refused(why, 'Write tcp:// with an IP address and a port, such as tcp://127.0.0.1:8081.'))
  throw refused(text === '' ? 'it is empty' : 'its scheme is neither unix nor tcp')
}

function parseUnix(rest: string, refused: (why: string, remedy?: string) => Failure): SocketAddress {
  if (/[?#]/.test(rest)) throw refused('a query or a fragment has no meaning here')
  if (/^\/\/(?!\/)/.test(rest)) throw refused(rest === '//' ? 'its path is missing' : 'it names a host: after unix:// comes an absolute path, so three slashes')
  const path = rest.startsWith('//') ? rest.slice(2) : rest
  if (!path.startsWith('/')) throw refused('its path is not absolute')
  if (/^\/+$/.test(path)) throw refused('its path is missing')
  if (Buffer.byteLength(path) > longestSocketPath)
    throw refused(`its path is longer than the ${longestSocketPath} bytes that a socket's name may have`, 'Use a shorter path.')
  return Object.freeze({ kind: 'unix', path, text: `unix://${path}` })
}

function parseTcp(text: string, refused: (why: string) => Failure): SocketAddress {
  const match = /^tcp:\/\/(?:\[([^\]]*)\]|([^:/?#[\]@]*)):(\d{1,5})$/.exec(text)
  if (match === null) throw refused('it is not an IP address and a port and nothing else')
  const [, six, four = '', digits] = match
  const port = Number(digits)
  if (six === undefined ? !isIPv4(four) : !isIPv6(six)) throw refused('its host is not an IP address')
  if (port < 1 || port > 65_535) throw refused('its port is not between 1 and 65535')
  return Object.freeze({ kind: 'tcp', host: six ?? four, port, text })
}

/** The same address in the form that gRPC dials. */
export const grpcTarget = (address: SocketAddress): string => {
  if (address.kind === 'unix') return `unix://${address.path}`
  return isIPv6(address.host) ? `ipv6:[${address.host}]:${address.port}` : `ipv4:${address.host}:${address.port}`
}
