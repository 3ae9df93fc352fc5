// Reports as text for people.
import type { StatusReport } from '../core/health.ts'

/** Without control characters: what others have named must not move the cursor of whoever reads it. */
const printable = (text: string): string => text.replaceAll(/\p{Cc}/gu, '?')

/** Columns that line up, two spaces apart. */
export function table(given: readonly (readonly string[])[]): string {
  const rows = given.map((row) => row.map(printable))
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('')
}

/** JSON that people can read. */
export const pretty = (value: unknown, replacer?: (key: string, value: unknown) => unknown): string => `${JSON.stringify(value, replacer, 2)}\n`

/** "41 s", "12 min", "3 h 5 min". */
export function span(seconds: number): string {
  if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** The status report, with what is wrong last, where a terminal leaves the eye. */
export function renderStatus(report: StatusReport): string {
  const now = Date.parse(report.now)
  const until = (iso: string | undefined) => (iso === undefined ? '' : span((Date.parse(iso) - now) / 1000))
  const identities = table([
    ['IDENTITY', 'STATE', 'SPIFFE ID', 'ENDS IN'],
    ...report.identities.map((identity) => [
      identity.name,
      identity.status === 'ready' && !identity.connected ? 'ready, agent away' : identity.status,
      identity.spiffeId ?? '-',
      until(identity.notAfter) || '-',
    ]),
  ])
  const profiles = table([
    ['PROFILE', 'STATE', 'ACCESS KEY', 'ENDS IN', 'RENEWED IN', 'ROLE'],
    ...report.profiles.map((profile) => [
      profile.name,
      profile.status,
      profile.accessKeyId ?? '-',
      profile.remainingSeconds === undefined ? '-' : span(profile.remainingSeconds),
      until(profile.nextRefresh) || '-',
      profile.roleArn,
    ]),
  ])
  const outputs = table([['OUTPUT', 'STATE', 'ENDS IN'], ...report.outputs.map(({ name, status, notAfter }) => [name, status, until(notAfter) || '-'])])
  const sections = [identities, report.profiles.length === 0 ? '' : profiles, report.outputs.length === 0 ? '' : outputs].filter(Boolean)
  const listeners = table(Object.entries(report.listeners).map(([name, address]) => [name, address]))
  const problems = report.problems.map(
    ({ subject, message, remedy, since, code }) =>
      `  ${printable(subject)}, for ${span((now - Date.parse(since)) / 1000)}: ${printable(message)} [${code}]\n    ${printable(remedy)}\n`,
  )
  const verdict = report.ready ? 'ready' : `not ready: nothing valid for ${report.missing.join(', ') || 'any profile'}`
  return `svidecar ${report.version}, pid ${report.pid}: ${verdict}\n\n${sections.join('\n')}\n${listeners}${problems.length === 0 ? '' : `\nPROBLEMS\n${problems.join('')}`}`
}
