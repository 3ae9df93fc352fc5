// The command that would register this very process with SPIRE, for the message of whoever has no identity.
import { readFileSync, realpathSync } from 'node:fs'
import { decodePart } from '../spiffe/jwt-svid.ts'

export type ProcessFacts = ReturnType<typeof inspectProcess>

const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

/** What is empty or cannot be read has a stand-in: this platform lacks the file, or an upgrade removed it under the running process. */
const readOr = (otherwise: string, read: () => string): string => {
  try {
    return read() || otherwise
  } catch {
    return otherwise
  }
}

const readText = (path: string): string => readFileSync(path, 'utf8').trim()

/** The `sub` of a projected token is system:serviceaccount:NAMESPACE:NAME. */
const serviceAccountOf = (token: string): string => String(decodePart(token.split('.')[1])['sub']).split(':')[3] ?? ''

/** Looks at this process: what SPIRE's unix, systemd and k8s attestors would see. */
export const inspectProcess = (env: NodeJS.ProcessEnv = process.env) => ({
  uid: process.getuid?.(),
  /** What /proc/self/exe points to. */
  executable: readOr(process.execPath, () => realpathSync(process.execPath)),
  /** Empty where there is none. */
  cgroup: readOr('', () => readText('/proc/self/cgroup')),
  /** In a Kubernetes pod: what is known of it. */
  kubernetes:
    env['KUBERNETES_SERVICE_HOST'] === undefined
      ? undefined
      : {
          namespace: readOr('<namespace>', () => readText(`${serviceAccountFolder}/namespace`)),
          serviceAccount: readOr('<service account>', () => serviceAccountOf(readText(`${serviceAccountFolder}/token`))),
        },
})

const shellQuote = (word: string): string => (/^[\w/:.,@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)

/**
 * A `spire-server entry create` line for the process. The agent attests whoever calls it, so the selectors are svidecar's own and not the application's. Under
 * Node run from a script every other script has the same path: the uid or the unit tells them apart.
 */
export function registrationCommand(facts: ProcessFacts, spiffeId: string | undefined): string {
  const trustDomain = spiffeId?.split('/')[2] ?? '<trust domain>'
  const unit = /\/([^/\n]+\.service)(?:\/|$)/m.exec(facts.cgroup)?.[1]
  const selectors =
    facts.kubernetes === undefined
      ? [...(unit === undefined ? [] : [`systemd:id:${unit}`]), ...(facts.uid === undefined ? [] : [`unix:uid:${facts.uid}`]), `unix:path:${facts.executable}`]
      : [`k8s:ns:${facts.kubernetes.namespace}`, `k8s:sa:${facts.kubernetes.serviceAccount}`, 'k8s:container-name:svidecar']
  const parent = `spiffe://${trustDomain}/<agent>`
  const words = ['-parentID', parent, '-spiffeID', spiffeId ?? `spiffe://${trustDomain}/<workload>`, ...selectors.flatMap((one) => ['-selector', one])]
  return `spire-server entry create ${words.map(shellQuote).join(' ')}`
}
