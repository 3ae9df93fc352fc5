// The command table, the help texts, and the way from argv to a command.
import { parseArgs } from 'node:util'
import { nearest } from '../config/mistakes.ts'
import { errorText, failure } from '../core/errors.ts'
import type { Command, Io, Values } from './command.ts'
import { table } from './render.ts'

/** Commands by name. Each is loaded when it is called: `credential-process` must not pay for the daemon. */
export const commands: Readonly<Record<string, { readonly summary: string; readonly load: () => Promise<Command> }>> = {
  run: { summary: 'run the daemon', load: async () => (await import('./run.ts')).run },
  once: { summary: 'get credentials and write files once, and exit', load: async () => (await import('./run.ts')).once },
  exec: { summary: 'run one command with credentials, and nothing left behind', load: async () => (await import('./exec.ts')).exec },
  check: { summary: 'check the configuration and print what it means', load: async () => (await import('./run.ts')).check },
  demo: { summary: 'the whole world on this machine, nothing to install', load: async () => (await import('./demo.ts')).demo },
  status: { summary: "the running daemon's identities, profiles and problems", load: async () => (await import('./operator.ts')).status },
  wait: { summary: 'wait until the running daemon has credentials', load: async () => (await import('./operator.ts')).wait },
  healthcheck: { summary: 'exit 0 when the running daemon is ready (ECS, Docker)', load: async () => (await import('./operator.ts')).healthcheck },
  doctor: { summary: 'what is wrong, from the agent to an SDK, and what to do', load: async () => (await import('./doctor.ts')).doctor },
  refresh: { summary: 'have the running daemon renew credentials now', load: async () => (await import('./operator.ts')).refresh },
  reload: { summary: 'have the running daemon load its configuration again', load: async () => (await import('./operator.ts')).reload },
  'rotate-token': { summary: 'give a consumer another token', load: async () => (await import('./operator.ts')).rotateToken },
  'credential-process': { summary: "print credentials for AWS's credential_process", load: async () => (await import('./consumer.ts')).credentialProcess },
  env: { summary: 'print the environment that points SDKs at the daemon', load: async () => (await import('./consumer.ts')).env },
  svid: { summary: 'show the X.509-SVIDs that the agent gives', load: async () => (await import('./agent.ts')).svid },
  jwt: { summary: 'print a JWT-SVID', load: async () => (await import('./agent.ts')).jwt },
  migrate: { summary: "spiffe-helper's configuration as svidecar's", load: async () => (await import('./migrate.ts')).migrate },
  bundle: { summary: 'print the trust bundles that the agent gives', load: async () => (await import('./agent.ts')).bundle },
}

const indented = (rows: readonly (readonly string[])[]): string => table(rows).replaceAll(/^(?=.)/gm, '  ')

const overview = (): string => {
  const rows = indented(Object.entries(commands).map(([name, { summary }]) => [name, summary]))
  return `svidecar: SPIFFE identities in, AWS credentials out.\n\nUsage: svidecar COMMAND [options]\n\n${rows}\n  --help     this text, or a command's: svidecar COMMAND --help\n  --version  version, commit and Node.js\n\nExample: svidecar run --config /etc/svidecar/config.yaml\n`
}

const commandHelp = (name: string, command: Command): string => {
  const rows = indented(Object.entries(command.options).map(([option, { value, help }]) => [`--${option}${value === undefined ? '' : ` ${value}`}`, help]))
  return `svidecar ${name}: ${commands[name]?.summary}.\n\nUsage: svidecar ${name} ${command.usage ?? '[options]'}\n\n${command.details}\n${rows === '' ? '' : `\n${rows}`}\nExample: ${command.example}\n`
}

const didYouMean = (wrong: string, known: readonly string[], prefix = ''): string => {
  const near = nearest(wrong, known)
  return near === undefined ? '' : `; did you mean ${prefix}${near}?`
}

/** Runs what the arguments say; resolves with the exit status. Throws a Failure: usage for wrong arguments. */
export async function cli(args: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const asked = name === 'help' ? rest[0] : undefined
    if (asked !== undefined) return cli([asked, '--help'], io)
    const print = name === undefined ? io.err : io.out
    print(overview())
    return name === undefined ? 2 : 0
  }
  if (name === '--version' || name === 'version') {
    io.out(`svidecar ${io.version} (${io.commit}, Node.js ${process.version})\n`)
    return 0
  }
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (entry === undefined) {
    const message = `there is no command ${JSON.stringify(name)}${didYouMean(name, Object.keys(commands))}`
    throw failure('usage', message, { remedy: '`svidecar --help` lists them.' })
  }
  const command = await entry.load()
  const { values, positionals } = parse(name, command, rest)
  if (values['help'] !== undefined) {
    io.out(commandHelp(name, command))
    return 0
  }
  const { words = 0 } = command
  if (positionals.length > words)
    throw failure('usage', `svidecar ${name} does not take ${JSON.stringify(positionals[words])}`, { remedy: `See svidecar ${name} --help.` })
  return (await command.run(values, io, positionals)) ?? 0
}

function parse(name: string, command: Command, args: readonly string[]): { values: Values; positionals: readonly string[] } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...command.options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    })
    return { values: Object.fromEntries(Object.entries(values).map(([option, value]) => [option, String(value)])), positionals }
  } catch (error) {
    // Node's sentence goes on with advice about '--' that helps nobody here.
    const wrong = /Unknown option '([^']+)'/.exec(errorText(error))?.[1]
    const near = didYouMean(wrong?.replace(/^-+/, '') ?? '', Object.keys(command.options), '--')
    const message = wrong === undefined ? errorText(error) : `svidecar ${name} has no option ${wrong}${near}`
    throw failure('usage', message, { remedy: `See svidecar ${name} --help.` })
  }
}
