// A CreateSession as AWS's own helper sends it, with every part open to spoiling; shares no code with the dev AWS.
import { createHash, createPrivateKey, sign, X509Certificate } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import type { IssuedX509 } from '../support/dev/authority.ts'

export interface Parts {
  url: string
  identity: IssuedX509
  trustAnchorArn: string
  profileArn: string
  roleArn: string
  now: number
  body?: string
  method?: string
  region?: string
  service?: string
  /** What follows the leaf, DER. */
  chain?: Buffer[]
  serial?: string
  algorithm?: string
  scopeDate?: string
  amzDate?: string
  contentType?: string
  /** Left out of SignedHeaders, though sent. */
  unsigned?: string[]
  /** Changes the headers after they have been signed. */
  spoil?: (headers: Record<string, string>) => void
  /** Sent instead of the body that was signed. */
  sentBody?: string
  /** Sent instead of the path and query that were signed. */
  sentPath?: string
}

export interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

export function post(url: URL, path: string, method: string, headers: Record<string, string>, body: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = httpRequest({ host: url.hostname, port: url.port, path, method, headers, agent: false }, (reply) => {
      const chunks: Buffer[] = []
      reply.on('data', (chunk: Buffer) => chunks.push(chunk))
      reply.on('end', () => resolve({ status: reply.statusCode ?? 0, headers: reply.headers, text: Buffer.concat(chunks).toString() }))
      reply.on('error', reject)
    })
    call.on('error', reject)
    call.end(body)
  })
}

export function createSession(parts: Parts): Promise<Answer> {
  const { identity, body = '{}', method = 'POST' } = parts
  const [leafDer = Buffer.alloc(0), ...ownChain] = identity.chain
  const leaf = new X509Certificate(leafDer)
  const chain = parts.chain ?? ownChain
  const url = new URL(`${parts.url}/sessions`)
  const { profileArn, roleArn, trustAnchorArn } = parts
  const query = new URLSearchParams({ profileArn, roleArn, trustAnchorArn }).toString()

  const amzDate = parts.amzDate ?? new Date(parts.now).toISOString().replace(/[-:]|\.\d+/g, '')
  const headers: Record<string, string> = {
    'content-type': parts.contentType ?? 'application/json',
    host: url.host,
    'x-amz-date': amzDate,
    'x-amz-x509': leafDer.toString('base64'),
  }
  if (chain.length > 0) headers['x-amz-x509-chain'] = chain.map((one) => one.toString('base64')).join(',')

  const signed = Object.keys(headers)
    .filter((name) => !parts.unsigned?.includes(name))
    .sort()
  const canonical = `${method}\n${url.pathname}\n${query}\n${signed.map((name) => `${name}:${headers[name]}\n`).join('')}\n${signed.join(';')}\n${sha256(body)}`
  const rsa = leaf.publicKey.asymmetricKeyType === 'rsa'
  const algorithm = parts.algorithm ?? (rsa ? 'AWS4-X509-RSA-SHA256' : 'AWS4-X509-ECDSA-SHA256')
  const scopeDate = parts.scopeDate ?? amzDate.slice(0, 8)
  const scope = `${scopeDate}/${parts.region ?? 'eu-west-1'}/${parts.service ?? 'rolesanywhere'}/aws4_request`
  const toSign = `${algorithm}\n${amzDate}\n${scope}\n${sha256(canonical)}`
  const key = createPrivateKey({ key: identity.key, format: 'der', type: 'pkcs8' })
  const signature = sign('sha256', Buffer.from(toSign), key).toString('hex')
  const serial = parts.serial ?? BigInt(`0x${leaf.serialNumber}`).toString()
  headers['authorization'] = `${algorithm} Credential=${serial}/${scope}, SignedHeaders=${signed.join(';')}, Signature=${signature}`
  parts.spoil?.(headers)
  return post(url, parts.sentPath ?? `${url.pathname}?${query}`, method, headers, parts.sentBody ?? body)
}
