// A program that uses AWS: the Common Runtime's credentials and signer, told nothing but its environment.
import { hash } from 'node:crypto'
import { answerLines, load } from './lines.ts'

interface Request {
  readonly headers: { _flatten(): [string, string][] }
}
interface Runtime {
  readonly auth: {
    readonly AwsCredentialsProvider: { newDefault(): object }
    readonly AwsSigningAlgorithm: { readonly SigV4: number }
    readonly AwsSignatureType: { readonly HttpRequestViaHeaders: number }
    readonly aws_sign_request: (request: Request, settings: object) => Promise<Request>
  }
  readonly http: {
    readonly HttpHeaders: new (headers: [string, string][]) => object
    readonly HttpRequest: new (method: string, path: string, headers: object) => Request
  }
}

const { auth, http } = load<Runtime>('aws-crt')
// The runtime takes an endpoint that it finds in its environment for a host name, and speaks https to it.
const { host, pathname, href } = new URL(process.env['CHECKING_URL'] ?? process.env['AWS_ENDPOINT_URL_STS'] ?? '')
const body = 'Action=GetCallerIdentity&Version=2011-06-15'
const provider = auth.AwsCredentialsProvider.newDefault()

await answerLines(async () => {
  const headers = new http.HttpHeaders([
    ['host', host],
    ['content-type', 'application/x-www-form-urlencoded'],
  ])
  const request = new http.HttpRequest('POST', pathname, headers)
  const signed = await auth.aws_sign_request(request, {
    algorithm: auth.AwsSigningAlgorithm.SigV4,
    signature_type: auth.AwsSignatureType.HttpRequestViaHeaders,
    provider,
    region: process.env['AWS_REGION'],
    service: 'sts',
    signed_body_value: hash('sha256', body),
  })
  const reply = await fetch(href, { method: 'POST', headers: signed.headers._flatten().filter(([name]) => name !== 'host'), body })
  const text = await reply.text()
  if (!reply.ok) throw Object.assign(new Error(text), { name: /<Code>([^<]+)/.exec(text)?.[1] ?? 'Error' })
  return { arn: /<Arn>([^<]+)/.exec(text)?.[1] }
})
