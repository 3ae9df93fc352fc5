// svidecar credential-process: what an AWS SDK runs by credential_process. Silent on stderr when it succeeds.
import { ask, consumerSocket, profilePath, refused } from './client.ts'
import { type Command, configOption, consumerOption, profileOption, runtimeDirOption, textOf } from './command.ts'
import { runtimeDir } from './configuration.ts'

export const credentialProcess: Command = {
  summary: "print credentials for AWS's credential_process",
  usage: '[options]',
  options: { config: configOption, 'runtime-dir': runtimeDirOption, consumer: consumerOption, profile: profileOption },
  positionals: { names: [] },
  details: "From the running daemon's memory: no call to AWS. In an AWS config file: credential_process = svidecar credential-process --profile app",
  example: 'svidecar credential-process --consumer app',
  async run(values, _positionals, io) {
    const profile = textOf(values, 'profile')
    const socket = consumerSocket(await runtimeDir(values, io), textOf(values, 'consumer'))
    const reply = await ask(socket, 'GET', profilePath('/v1/credential-process', profile))
    if (reply.status !== 200) throw refused(reply)
    io.out(`${reply.body}\n`)
    return 0
  },
}
