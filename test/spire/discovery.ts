// SPIRE's OIDC discovery provider from the configuration that is shipped, and how AWS reads what it says: by https, at the issuer's name.
import { X509Certificate } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { freePorts } from '../platform/machine.ts'
import { createKey } from '../support/dev/authority.ts'
import { createCertificate } from '../support/world/certificate.ts'
import { quoted, shipped } from './shipped.ts'
import { type Process, type Spire, startProcess } from './spire.ts'

export interface Discovery {
  /** GET https://<host><path>, at the provider's port whatever the name resolves to; the body of a 200. */
  get(host: string, path: string): Promise<string>
  stop(): Promise<void>
}

export function discoveryConfig(folder: string, socket: string, ports: { readonly https: number; readonly health: number }): string {
  return shipped('oidc-discovery-provider.conf', {
    set: {
      'serving_cert_file.addr': quoted(`127.0.0.1:${ports.https}`),
      'serving_cert_file.cert_file_path': quoted(join(folder, 'tls.crt')),
      'serving_cert_file.key_file_path': quoted(join(folder, 'tls.key')),
      'server_api.address': quoted(`unix://${socket}`),
      'health_checks.bind_port': quoted(ports.health),
    },
  })
}

const pem = (der: Buffer): string => new X509Certificate(der).toString()

/** Starts it beside a server. `bin` holds the executable. */
export async function startDiscovery(bin: string, spire: Spire): Promise<Discovery> {
  const folder = join(spire.folder, 'oidc')
  await mkdir(folder)
  const now = Math.floor(Date.now() / 1000) * 1000
  const life = { notBefore: now - 60_000, notAfter: now + 86_400_000, uris: [] }
  const issuer = { key: await createKey('ec-p256'), subject: [['CN', 'web root']] as const }
  const key = await createKey('ec-p256')
  const dnsNames = ['oidc.example.org', 'elsewhere.example.org']
  const ca = pem(createCertificate({ ...issuer, ...life, ca: true }))
  await writeFile(join(folder, 'tls.crt'), pem(createCertificate({ key, subject: [['CN', 'web']], issuer, ...life, ca: false, dnsNames })))
  await writeFile(join(folder, 'tls.key'), key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const [port = 0, health = 0] = await freePorts(2)
  const config = join(folder, 'oidc-discovery-provider.conf')
  await writeFile(config, discoveryConfig(folder, spire.socket, { https: port, health }))
  const provider: Process = await startProcess([join(bin, 'oidc-discovery-provider'), '-config', config], { log: join(folder, 'log'), path: port })

  return {
    get: (host, path) =>
      new Promise((resolve, reject) => {
        const sent = request({ host: '127.0.0.1', port, path, servername: host, headers: { host }, ca, agent: false }, (response) => {
          text(response).then((body) => (response.statusCode === 200 ? resolve(body) : reject(new Error(`${response.statusCode} ${body}`))), reject)
        })
        sent.once('error', reject)
        sent.end()
      }),
    stop: async () => {
      provider.signal('SIGTERM')
      await provider.gone
    },
  }
}
