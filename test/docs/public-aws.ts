// AWS at its public names, for commands that are run as they are written: a proxy that takes every host of AWS to the development AWS, with
// certificates that whoever is told so trusts.
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { createCertificate } from '../support/world/certificate.ts'

const hosts = ['rolesanywhere.us-east-1.amazonaws.com', 'sts.us-east-1.amazonaws.com']

/** Opens both on loopback; `authority` is the file that the trusted certificate is written to. */
export async function openPublicAws(target: string, authority: string) {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const now = Math.floor(Date.now() / 1000) * 1000
  const days = 24 * 3_600_000
  const subject = [['CN', 'AWS of these tests']] as const
  const root = createCertificate({ key, subject, notBefore: now - days, notAfter: now + days, ca: true, uris: [] })
  const leafKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const leaf = createCertificate({
    key: leafKey,
    subject: [['CN', 'amazonaws.com']],
    issuer: { key, subject },
    notBefore: now - days,
    notAfter: now + days,
    ca: false,
    uris: [],
    dnsNames: hosts,
  })
  await writeFile(authority, new X509Certificate(root).toString())
  const options = { key: leafKey.export({ type: 'pkcs8', format: 'pem' }), cert: new X509Certificate(leaf).toString() }
  const aws = createTlsServer(options, (asked, response) => {
    const { method, headers, url } = asked
    // The Host is the one that was signed.
    const passed = request(
      new URL(url ?? '/', target),
      { method, headers },
      (reply) => void reply.pipe(response.writeHead(reply.statusCode ?? 502, reply.headers)),
    )
    passed.on('error', () => response.destroy())
    asked.pipe(passed)
  }).listen(0, '127.0.0.1')
  await once(aws, 'listening')
  const proxy = createServer().listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  proxy.on('connect', (asked, socket) => {
    if (!hosts.some((host) => asked.url === `${host}:443`)) return void socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
    const through = connect((aws.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      socket.pipe(through).pipe(socket)
    })
    for (const [one, other] of [
      [socket, through],
      [through, socket],
    ] as const)
      one.on('error', () => other.destroy())
  })
  return {
    proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    stop: () => {
      for (const server of [aws, proxy]) {
        server.close()
        server.closeAllConnections()
      }
    },
  }
}
