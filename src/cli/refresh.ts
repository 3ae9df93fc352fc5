// svidecar refresh: renew credentials now.
import { askControl, daemonOptions, profilePath } from './client.ts'
import type { Command } from './command.ts'

const patienceMs = 20_000

export const refresh: Command = {
  usage: '[PROFILE] [options]',
  options: daemonOptions,
  positionals: { names: ['PROFILE'] },
  details: 'Without a profile: all of them. What cannot be renewed keeps its last good credentials. Exit status 1 if one failed.',
  example: 'svidecar refresh app',
  async run(values, [profile], io) {
    const { profiles } = JSON.parse(await askControl(values, io, 'POST', profilePath('/refresh', profile), patienceMs)) as {
      profiles: { profile: string; ok: boolean; message?: string; remedy?: string }[]
    }
    for (const one of profiles) (one.ok ? io.out : io.err)(`${one.profile}: ${one.ok ? 'renewed' : `${one.message ?? 'failed'} ${one.remedy ?? ''}`}\n`)
    return profiles.every((one) => one.ok) ? 0 : 1
  },
}
