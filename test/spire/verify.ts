// Whether a published identity is one that a peer would accept: checked with node:crypto and OpenSSL, not with the product's own parser.
import assert from 'node:assert/strict'
import { createPublicKey, sign, verify, type X509Certificate } from 'node:crypto'
import { connect, createServer } from 'node:tls'
import type { X509Identity } from '../../src/identity/sources.ts'

const extendedKeyUsages = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'] // serverAuth, clientAuth

/** The roots of the identity's own trust domain, from the same message as the SVID. */
export function ownRoots({ svid, bundles }: X509Identity): readonly X509Certificate[] {
  const trustDomain = svid.spiffeId.split('/')[2] ?? ''
  return [...bundles].find(([name]) => name === trustDomain)?.[1].authorities ?? []
}

/** Leaf, chain, key and bundle of one published value fit together at `now`. */
export function assertIdentity(identity: X509Identity, now: number): void {
  const { svid } = identity
  const { leaf, intermediates, privateKey } = svid
  assert.equal(
    leaf.subjectAltName
      ?.split(', ')
      .filter((name) => name.startsWith('URI:'))
      .join(),
    `URI:${svid.spiffeId}`,
  )
  assert.deepEqual(leaf.keyUsage, extendedKeyUsages)
  assert.ok(!leaf.ca, 'the leaf is no CA')

  const text = Buffer.from('signed with the private key, verified with the leaf')
  const rsa = privateKey.asymmetricKeyType === 'rsa'
  const digest = rsa || privateKey.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? 'sha256' : 'sha384'
  assert.ok(verify(digest, text, leaf.publicKey, sign(digest, text, privateKey)), 'the key belongs to the leaf')

  const last = [leaf, ...intermediates].reduce((below, above) => {
    assert.ok(isIssued(below, above), `${below.subject} is issued by the next certificate of the chain`)
    return above
  })
  assert.ok(
    ownRoots(identity).some((root) => isIssued(last, root)),
    'the chain ends at an authority of the bundle that came with it',
  )
  for (const certificate of [leaf, ...intermediates, ...ownRoots(identity)]) assertValid(certificate, now)
}

function assertValid(certificate: X509Certificate, now: number): void {
  const [from, to] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime()]
  assert.ok(from <= now && now < to, `${certificate.subject} is valid at ${new Date(now).toISOString()}`)
}

const isIssued = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)

/** The leaf's public key, to compare. */
export const publicKeyOf = ({ svid }: X509Identity): string => createPublicKey(svid.privateKey).export({ type: 'spki', format: 'der' }).toString('base64')

/**
 * A mutual TLS handshake with the identity at both ends: OpenSSL builds the path from the leaf over the chain to
 * the roots, for both extended key usages, and proves the key. By the machine's own clock.
 */
export async function assertHandshake(identity: X509Identity): Promise<void> {
  const { svid } = identity
  const pem = (certificates: readonly X509Certificate[]) => certificates.map(String).join('')
  const own = {
    cert: pem([svid.leaf, ...svid.intermediates]),
    key: svid.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    ca: ownRoots(identity).map(String),
    minVersion: 'TLSv1.3',
  } as const
  const server = createServer({ ...own, requestCert: true, rejectUnauthorized: true })
  try {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    await new Promise<void>((resolve, reject) => {
      // In TLS 1.3 the client is done before the server has looked at its certificate: the server's word counts.
      server.once('secureConnection', (socket) => {
        socket.destroy()
        resolve()
      })
      server.once('tlsClientError', reject)
      // A SPIFFE ID is no host name: who the peer is, is read from its SVID and not from the address.
      const client = connect({ ...own, port: address.port, host: '127.0.0.1', checkServerIdentity: () => undefined })
      client.on('error', reject)
    })
  } finally {
    server.close()
  }
}
