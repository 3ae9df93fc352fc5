// A socket in front of the agent's, so that a scenario can break the connection while both ends stay well.
import { connect, createServer, type Socket } from 'node:net'

export interface Relay {
  readonly path: string
  /** How often somebody has connected. */
  readonly connections: number
  /** Breaks every connection; new ones are taken. */
  cut(): void
  close(): Promise<void>
}

/** Passes bytes on between `path` and the socket at `to`. The agent attests this process, as it does without a relay. */
export async function startRelay(path: string, to: string): Promise<Relay> {
  const open = new Set<Socket>()
  let connections = 0
  const server = createServer((near) => {
    connections++
    const far = connect(to)
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one)
      one.on('error', () => {}) // an end that vanishes ends the other one, below
      one.once('close', () => {
        open.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const cut = () => {
    for (const socket of open) socket.destroy()
  }
  return {
    path,
    get connections() {
      return connections
    },
    cut,
    close: () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      cut()
      return closed
    },
  }
}
