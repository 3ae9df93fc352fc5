// What is made of the alert rules, so that it cannot drift from them: the table of alerts and the object for the Prometheus Operator.
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

export interface Rule {
  readonly alert?: string
  readonly record?: string
  readonly expr: string
  readonly for?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

export interface Group {
  readonly name: string
  readonly rules: readonly Rule[]
}

const source = readFileSync(new URL('../deploy/monitoring/rules.yaml', import.meta.url), 'utf8')

export const groups: readonly Group[] = (parse(source) as { groups: Group[] }).groups

/** A label of a summary, as the reader of a table sees it. */
const readable = (text = ''): string =>
  text
    .replaceAll(/\{\{ or \$labels\.(\w+) [^}]*\}\}/g, '*$1*')
    .replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, '*$1*')
    .replaceAll(/\{\{ \$value[^}]*\}\}/g, '…')

/** A page for docs/: each alert, how it is told and how soon. */
export function alertsPage(note: string): string {
  const sections = groups.map(({ name, rules }) => {
    const rows = rules.flatMap(({ alert, labels, annotations, for: wait }) =>
      alert === undefined
        ? []
        : [
            `| [${alert}](${annotations?.['runbook_url']?.replace('docs/', '')}) | ${labels?.['severity']} | ${wait ?? 'at once'} | ${readable(annotations?.['summary'])} |`,
          ],
    )
    return `## ${name}\n\n| alert | severity | after | says |\n|---|---|---|---|\n${rows.join('\n')}\n`
  })
  const records = groups.flatMap(({ rules }) => rules.flatMap(({ record }) => (record === undefined ? [] : [`\`${record}\``])))
  return `${note}

# Alerts

What is in [deploy/monitoring/rules.yaml](../deploy/monitoring/rules.yaml), one table a group; each name leads to what to do about it. \`after\` is how
long the condition has to hold. [Monitoring](monitoring.md) says how the rules come into Prometheus.

**critical**: somebody is without credentials or will be before a working day is over, and only a person can help. **warning**: look at it today.

${sections.join('\n')}
## Recorded

${records.join(', ')}.
`
}

/** The same groups for the Prometheus Operator, comments and all. */
export function prometheusRule(note: string): string {
  const body = source.slice(source.indexOf('groups:\n')).replaceAll(/^(?=.)/gm, '  ')
  return `# ${note}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: svidecar
spec:
${body}`
}
