// svidecar credential-process: what an AWS SDK runs by credential_process. Silent on stderr when it succeeds.
import { askConsumer, consumerOptions, profilePath } from './client.ts'
import { type Command, textOf } from './command.ts'

export const credentialProcess: Command = {
  options: consumerOptions,
  details: "From the running daemon's memory: no call to AWS. In an AWS config file: credential_process = svidecar credential-process --profile app",
  example: 'svidecar credential-process --consumer app',
  async run(values, _positionals, io) {
    io.out(`${await askConsumer(values, io, profilePath('/v1/credential-process', textOf(values, 'profile')))}\n`)
    return 0
  },
}
