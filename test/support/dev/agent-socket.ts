// Makes room for a tests' dev agent at an address that may have been used before.
import { once } from 'node:events'
import { lstat, mkdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname } from 'node:path'

/** The path of unix:///absolute/path: its directory is 0700 when made here, and a stale socket is gone. */
export async function prepareSocket(address: string): Promise<string> {
  const path = /^unix:(?:\/\/)?(\/[^/].*)$/.exec(address)?.[1]
  if (path === undefined) throw new Error(`${address} is no address of a dev agent: use unix:///absolute/path`)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await removeStale(path)
  return path
}

/** Removes what a crashed agent left: only a socket, and only after nobody answered on it. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (!found) return
  if (!found.isSocket()) throw new Error(`${path} exists and is not a socket: it is left alone`)
  const probe = connect(path)
  const answered = await once(probe, 'connect').then(
    () => true,
    () => false,
  )
  probe.destroy()
  if (answered) throw new Error(`another process is listening at ${path}`)
  await rm(path, { force: true })
}
