// The operator's socket (0600): status, refresh, reload, new tokens. A pod without a shell cannot be signalled, so commands come this way.
import { type Failure, toFailure } from '../core/errors.ts'
import type { Check, StatusReport } from '../core/health.ts'
import { cleanPath, guardCredentials, json } from './guard.ts'
import type { Answer, Handler } from './server.ts'

/** What the daemon can be asked to do. */
export interface Commands {
  /** Refreshes one profile or all, and resolves when the attempts are over. */
  readonly refresh: (profile: string | undefined) => Promise<readonly { profile: string; ok: boolean; failure?: Failure | undefined }[]>
  /** Loads the configuration again. Throws config_invalid, and then nothing has changed. */
  readonly reload: () => Promise<{ changed: readonly string[] }>
  /** Tries every step from the agent to the files; what is wrong is a result. */
  readonly doctor: () => Promise<readonly Check[]>
  /** Gives a consumer another token; the old one opens for a while more. undefined: there is no such consumer. Throws runtime_dir. */
  readonly rotateToken: (consumer: string) => Promise<{ file: string; overlapSeconds: number } | undefined>
}

const told = (failure: Failure | undefined) => (failure === undefined ? {} : { code: failure.code, message: failure.message, remedy: failure.remedy })

const wrong = (status: number, message: string, remedy = ''): Answer => json(status, { code: 'usage', message, remedy })

/** GET /status; POST /refresh[/PROFILE], /reload, /rotate-token/CONSUMER, /doctor. */
export function createControlHandler(status: () => StatusReport, commands: Commands): Handler {
  async function command(action: string | undefined, argument: string | undefined): Promise<Answer> {
    if (action === 'reload') return json(200, await commands.reload())
    if (action === 'doctor') return json(200, await commands.doctor())
    if (action === 'rotate-token' && argument !== undefined) {
      const done = await commands.rotateToken(argument)
      return done === undefined ? wrong(404, `there is no consumer ${argument}`, 'svidecar check lists the consumers.') : json(200, done)
    }
    if (action !== 'refresh') return wrong(404, 'no such command')
    const results = await commands.refresh(argument)
    if (results.length === 0) return wrong(404, `there is no profile ${argument}`, 'svidecar status lists the profiles.')
    return json(200, { profiles: results.map(({ profile, ok, failure }) => ({ profile, ok, ...told(failure) })) })
  }
  return async (request) => {
    const refused = guardCredentials(request)
    if (refused !== undefined) return wrong(refused.status, refused.reason)
    const [, action, argument, ...more] = (cleanPath(request.path) ?? '').split('/')
    if (more.length > 0 || (argument !== undefined && action !== 'refresh' && action !== 'rotate-token')) return wrong(404, 'no such command')
    if (request.method === 'GET' && action === 'status') return json(200, status())
    try {
      return request.method === 'POST' ? await command(action, argument) : wrong(405, 'use POST')
    } catch (error) {
      return json(409, told(toFailure(error)))
    }
  }
}
