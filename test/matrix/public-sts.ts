// The public address of STS, for an SDK that can be told no other: in mount namespaces of programs its name leads to the dev AWS, and
// its certificate is one that they trust.

import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { must } from '../platform/machine.ts'
import type { Environment } from '../sdk/support.ts'

const name = 'sts.us-east-1.amazonaws.com'
// Of the loopback network, and nobody else's.
const address = '127.83.84.83'
const script =
  'mount --make-rprivate / && mount --bind "$STS_HOSTS" /etc/hosts && mount --bind "$STS_CERTIFICATE" /etc/ssl/certs/ca-certificates.crt && exec "$@"'

/** Passes every request on to `target`; needs root. */
export async function openPublicSts(folder: string, target: string) {
  const file = (kind: string) => join(folder, `sts.${kind}`)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file('key'), '-out', file('pem')]
  await must(['openssl', 'req', '-x509', '-days', '2', '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, ...key])
  await writeFile(file('hosts'), `127.0.0.1 localhost\n${address} ${name}\n`)
  const server = createServer({ key: await readFile(file('key')), cert: await readFile(file('pem')) }, (asked, response) => {
    const { method, headers } = asked
    const passed = request(target, { method, headers }, (reply) => void reply.pipe(response.writeHead(reply.statusCode ?? 502, reply.headers)))
    passed.on('error', () => response.destroy())
    asked.pipe(passed)
  }).listen(443, address)
  await once(server, 'listening')
  return {
    command: (words: readonly string[]) => ['unshare', '--mount', 'bash', '-c', script, '-', ...words],
    environment: ({ AWS_ENDPOINT_URL_STS: url = '', ...rest }: Environment): Environment => ({
      ...rest,
      CHECKING_URL: url,
      STS_HOSTS: file('hosts'),
      STS_CERTIFICATE: file('pem'),
    }),
    stop: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
