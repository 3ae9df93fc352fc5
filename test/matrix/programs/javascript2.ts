// A program that uses AWS: the SDK for JavaScript v2, told nothing but its environment.
import { answerLines, load } from './lines.ts'

interface Sts {
  getCallerIdentity(): { promise(): Promise<{ Arn: string }> }
}
interface Sdk {
  readonly config: { update(settings: object): void }
  readonly STS: new () => Sts
}

const sdk = load<Sdk>('aws-sdk')
// It knows no variable for an endpoint. Set for the service, since it makes STS clients of its own for web identities.
sdk.config.update({ region: process.env['AWS_REGION'], sts: { endpoint: process.env['AWS_ENDPOINT_URL_STS'] } })
const client = new sdk.STS()
await answerLines(async () => ({ arn: (await client.getCallerIdentity().promise()).Arn }))
