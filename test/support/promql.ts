// What is wrong with a PromQL expression: its grammar, and metrics and labels that are not there.
import { parser } from '@prometheus-io/lezer-promql'

/** Labels by metric. */
export type Series = ReadonlyMap<string, ReadonlySet<string>>

// Given by whoever scrapes, and to the buckets of a histogram.
const given = ['job', 'instance', 'namespace', 'pod', 'container', 'le']

/** The expression as Grafana sends it, with everything chosen. */
export const substituted = (expression: string): string => expression.replaceAll('$__rate_interval', '1m').replaceAll(/\$(namespace|instance|profile)\b/g, '.*')

/** The metrics that an expression reads. */
export function metricsOf(expression: string): string[] {
  const names: string[] = []
  parser.parse(expression).iterate({
    enter: ({ node }) => {
      if (node.name === 'Identifier' && node.parent?.name === 'VectorSelector') names.push(expression.slice(node.from, node.to))
    },
  })
  return names
}

/** Empty: it parses, and every metric and label in it is one of those. `legend`: what names its lines. */
export function faults(expression: string, known: Series, legend = ''): string[] {
  const found: string[] = []
  const all = new Set(given)
  for (const name of metricsOf(expression)) for (const label of known.get(name) ?? []) all.add(label)
  let current = all
  parser.parse(expression).iterate({
    enter: ({ node }) => {
      const text = expression.slice(node.from, node.to)
      if (node.type.isError) found.push(`does not parse at ${node.from}`)
      if (node.name === 'VectorSelector') {
        const name = text.replace(/\{.*/s, '')
        if (!known.has(name)) found.push(`there is no metric ${name || text}`)
        current = new Set([...given, ...(known.get(name) ?? [])])
      }
      if (node.name === 'LabelName') {
        const labels = node.parent?.name === 'GroupingLabels' ? all : current
        if (!labels.has(text)) found.push(`there is no label ${text}`)
      }
    },
  })
  for (const [, label = ''] of legend.matchAll(/\{\{(\w+)\}\}/g)) if (!all.has(label)) found.push(`the legend has a label ${label} that is not there`)
  return found
}
