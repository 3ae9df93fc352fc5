// A program that uses AWS: the SDK for JavaScript v3, told nothing but its environment.
import type * as Sts from '@aws-sdk/client-sts'
import { answerLines, load } from './lines.ts'

const { STSClient, GetCallerIdentityCommand } = load<typeof Sts>(process.argv[3] ?? '')
// Releases from before AWS_ENDPOINT_URL_STS have to be told by the program.
const client = new STSClient({ endpoint: process.env['AWS_ENDPOINT_URL_STS'] ?? '' })
await answerLines(async () => {
  const { Arn: arn } = await client.send(new GetCallerIdentityCommand({}))
  return { arn }
})
