// The page for people: one document with its data, and a policy that lets nothing but its own script and style count.
import { createHash } from 'node:crypto'
import { pageText } from './page-text.ts'
import type { Answer } from './server.ts'

const [before = '', after = ''] = pageText.split('"REPORT"')

/** The source expressions of what stands between these tags; a block of data is not run. */
const hashesOf = (tag: string): string =>
  [...pageText.matchAll(new RegExp(`<${tag}>(.*?)</${tag}>`, 'gs'))]
    .map(([, text = '']) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`)
    .join(' ')

const headers = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; script-src ${hashesOf('script')}; style-src ${hashesOf('style')}; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** The page with this report in it. */
export function statusPage(report: unknown): Answer {
  // Nothing in the data can end the block that it stands in.
  const data = JSON.stringify(report).replaceAll('<', '\\u003c')
  return { status: 200, headers, body: before + data + after }
}
