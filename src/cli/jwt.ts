// svidecar jwt: a JWT-SVID, from the agent, or from the daemon as a consumer.
import { failure } from '../core/errors.ts'
import { agentOptions, openAgent } from './agent.ts'
import { ask, consumerSocket, refused } from './client.ts'
import { type Command, outputOption, runtimeDirOption, textOf } from './command.ts'
import { runtimeDir } from './configuration.ts'

export const jwt: Command = {
  summary: 'print a JWT-SVID',
  usage: '--audience AUDIENCE [options]',
  options: {
    ...agentOptions,
    audience: { type: 'string', value: 'AUDIENCE', help: 'Whom the token is for.' },
    consumer: { type: 'string', value: 'NAME', help: 'Ask the running daemon as this consumer instead of the agent.' },
    'runtime-dir': runtimeDirOption,
    output: outputOption('token, or json: the claims as the agent verifies them, without the token. Default token.'),
  },
  positionals: { names: [] },
  details: 'The token goes to stdout: it is a secret until it expires.',
  example: 'svidecar jwt --audience sts.amazonaws.com --output json',
  async run(values, _positionals, io) {
    const audience = textOf(values, 'audience')
    const output = textOf(values, 'output') ?? 'token'
    if (audience === undefined)
      throw failure('usage', 'svidecar jwt needs --audience', { remedy: 'Name whom the token is for, such as --audience sts.amazonaws.com.' })
    if (output !== 'token' && output !== 'json') throw failure('usage', `there is no output ${JSON.stringify(output)}`, { remedy: 'There are token and json.' })
    const consumer = textOf(values, 'consumer')
    if (consumer !== undefined) {
      if (output === 'json') throw failure('usage', '--output json asks the agent; leave --consumer out', { remedy: '' })
      const reply = await ask(consumerSocket(await runtimeDir(values, io), consumer), 'GET', `/v1/jwt?audience=${encodeURIComponent(audience)}`)
      if (reply.status !== 200) throw refused(reply)
      io.out(`${reply.body}\n`)
      return 0
    }
    const agent = await openAgent(values, io)
    const token = await agent.jwtSvid([audience])
    if (output === 'json') io.out(`${JSON.stringify(await agent.claims(audience, token.compact.reveal()), undefined, 2)}\n`)
    else io.out(`${token.compact.reveal()}\n`)
    return 0
  },
}
