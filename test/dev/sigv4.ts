// A SigV4 signature made by hand, for what the SDK would never sign; shares no code with the dev AWS.
import { createHash, createHmac } from 'node:crypto'
import { type Answer, post } from './create-session.ts'

export interface SignedCall {
  url: string
  keys: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }
  now: number
  service?: string
  scopeDate?: string
  /** As sent, and as it is signed. */
  query?: [string, string]
  /** An extra signed header: as sent, and as it is signed. */
  extra?: [string, string]
  /** A header that is sent and not signed. */
  unsigned?: string
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/** Asks GetCallerIdentity. */
export function callerIdentity({ url, keys, now, service = 'sts', ...change }: SignedCall): Promise<Answer> {
  const body = 'Action=GetCallerIdentity&Version=2011-06-15'
  const { host } = new URL(url)
  const date = new Date(now).toISOString().replace(/[-:]|\.\d+/g, '')
  const headers: Record<string, string> = {
    'content-type': 'application/x-www-form-urlencoded',
    host,
    'x-amz-date': date,
    'x-amz-security-token': keys.sessionToken ?? '',
    ...(change.extra ? { 'x-extra': change.extra[1] } : {}),
  }
  const names = Object.keys(headers).filter((name) => name !== change.unsigned)
  const lines = names.map((name) => `${name}:${headers[name]}\n`).join('')
  const canonical = `POST\n/\n${change.query?.[1] ?? ''}\n${lines}\n${names.join(';')}\n${sha256(body)}`
  const scope = [change.scopeDate ?? date.slice(0, 8), 'eu-west-1', service, 'aws4_request']
  const toSign = `AWS4-HMAC-SHA256\n${date}\n${scope.join('/')}\n${sha256(canonical)}`
  let key: string | Buffer = `AWS4${keys.secretAccessKey}`
  for (const part of scope) key = createHmac('sha256', key).update(part).digest()
  const signature = createHmac('sha256', key).update(toSign).digest('hex')
  headers['authorization'] = `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${scope.join('/')}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  if (change.extra) headers['x-extra'] = change.extra[0]
  return post(new URL(url), `/${change.query ? `?${change.query[0]}` : ''}`, 'POST', headers, body)
}
