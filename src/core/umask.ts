// The umask: what this process was started with is for the files and children of others; what svidecar makes for itself is its own.

/** What the process was started with. Read before anybody changes it. */
export const inheritedUmask = process.umask()

/** Sockets exist for a moment before they get their mode; in that moment they must be nobody's but ours. */
export const keepSocketsPrivate = (): void => void process.umask(0o077)

/** Runs something synchronous, such as starting a process, with the umask that the process was started with. */
export function withInheritedUmask<T>(work: () => T): T {
  const before = process.umask(inheritedUmask)
  try {
    return work()
  } finally {
    process.umask(before)
  }
}
