// The command that would register this very process with SPIRE, for the message of whoever has no identity.
import { readFileSync, realpathSync } from 'node:fs'

export interface ProcessFacts {
  readonly uid: number | undefined
  /** What /proc/self/exe points to. */
  readonly executable: string
  /** Text of /proc/self/cgroup, empty where there is none. */
  readonly cgroup: string
  /** In a Kubernetes pod: what is known of it. */
  readonly kubernetes: { readonly namespace: string; readonly serviceAccount: string } | undefined
}

const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

const readText = (path: string): string => {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

/** The file may have been removed under the running process, by an upgrade. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** Looks at this process: what SPIRE's unix, systemd and k8s attestors would see. */
export function inspectProcess(env: NodeJS.ProcessEnv = process.env): ProcessFacts {
  return {
    uid: process.getuid?.(),
    executable: realPath(process.execPath),
    cgroup: readText('/proc/self/cgroup'),
    kubernetes:
      env['KUBERNETES_SERVICE_HOST'] === undefined
        ? undefined
        : {
            namespace: readText(`${serviceAccountFolder}/namespace`) || '<namespace>',
            serviceAccount: serviceAccountOf(readText(`${serviceAccountFolder}/token`)),
          },
  }
}

/** The `sub` of a projected token is system:serviceaccount:NAMESPACE:NAME. */
function serviceAccountOf(token: string): string {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
    const subject = typeof claims === 'object' && claims !== null && 'sub' in claims ? String(claims.sub) : ''
    return subject.split(':')[3] ?? '<service account>'
  } catch {
    return '<service account>'
  }
}

const shellQuote = (word: string): string => (/^[\w/:.,@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)

/**
 * A `spire-server entry create` line for the process. The agent attests whoever calls it, so the selectors are
 * svidecar's own and not the application's. Under Node run from a script every other script has the same path:
 * the uid or the unit tells them apart.
 */
export function registrationCommand(facts: ProcessFacts, spiffeId: string | undefined): string {
  const trustDomain = spiffeId?.split('/')[2] ?? '<trust domain>'
  const unit = /\/([^/\n]+\.service)(?:\/|$)/m.exec(facts.cgroup)?.[1]
  const selectors =
    facts.kubernetes === undefined
      ? [...(unit === undefined ? [] : [`systemd:id:${unit}`]), ...(facts.uid === undefined ? [] : [`unix:uid:${facts.uid}`]), `unix:path:${facts.executable}`]
      : [`k8s:ns:${facts.kubernetes.namespace}`, `k8s:sa:${facts.kubernetes.serviceAccount}`, 'k8s:container-name:svidecar']
  const words = [
    '-parentID',
    `spiffe://${trustDomain}/<agent>`,
    '-spiffeID',
    spiffeId ?? `spiffe://${trustDomain}/<workload>`,
    ...selectors.flatMap((selector) => ['-selector', selector]),
  ]
  return `spire-server entry create ${words.map(shellQuote).join(' ')}`
}
