// Panels and variables of a Grafana dashboard, typed by Grafana's own schema: what is common to all of ours.
import {
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  type Dashboard,
  type DataQuery,
  FieldColorModeId,
  LegendDisplayMode,
  type Panel,
  PercentChangeColorMode,
  SortOrder,
  type Threshold,
  ThresholdsMode,
  TooltipDisplayMode,
  type VariableModel,
  VariableRefresh,
  VariableSort,
  VizOrientation,
} from '@grafana/schema'
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen'
import type { Options as TableOptions } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen'
import type {
  FieldConfig as GraphFieldConfig,
  Options as GraphOptions,
} from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen'

/** A query of the Prometheus data source; Grafana's schema leaves these to their plugin. */
interface PromQuery extends DataQuery {
  readonly expr: string
  readonly legendFormat: string
  readonly instant?: boolean
  readonly format?: 'table'
}

const datasource = { type: 'prometheus', uid: '${datasource}' }
/** Values of a label, any number of them at a time. */
export const variable = (name: string, label: string, query: string): VariableModel => ({
  name,
  label,
  type: 'query',
  datasource,
  query: { query, refId: name },
  refresh: VariableRefresh.onTimeRangeChanged,
  sort: VariableSort.alphabeticalAsc,
  multi: true,
  includeAll: true,
  // Also those that have no such label, as machines have no namespace.
  allValue: '.*',
  current: { text: 'All', value: '$__all' },
})

/** Colours, and from which value on. */
export const steps = (...[first, ...more]: readonly [string, ...(readonly [number, string])[]]): Threshold[] => [
  // null is how JSON says minus infinity.
  { color: first, value: null as unknown as number },
  ...more.map(([value, color]) => ({ value, color })),
]

/** A panel without its place. */
export type Sketch = Omit<Panel, 'id' | 'gridPos'> & { readonly width: number; readonly height: number }

/** One number. */
export function stat(title: string, description: string, unit: string, expr: string, thresholds: Threshold[]): Sketch {
  const options: StatOptions = {
    reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    orientation: VizOrientation.Auto,
    colorMode: BigValueColorMode.Value,
    graphMode: BigValueGraphMode.Area,
    justifyMode: BigValueJustifyMode.Auto,
    textMode: BigValueTextMode.Auto,
    percentChangeColorMode: PercentChangeColorMode.Standard,
    showPercentChange: false,
    wideLayout: true,
  }
  const query: PromQuery = { refId: 'A', expr, legendFormat: title, datasource }
  return {
    type: 'stat',
    title,
    description,
    width: 4,
    height: 4,
    datasource,
    targets: [{ ...query }],
    options: { ...options },
    fieldConfig: { defaults: { unit, thresholds: { mode: ThresholdsMode.Absolute, steps: thresholds } }, overrides: [] },
  }
}

/** Lines over time. `queries`: legend → expression. */
export function graph(title: string, description: string, unit: string, queries: Readonly<Record<string, string>>): Sketch {
  const options: GraphOptions = {
    legend: { calcs: ['lastNotNull'], displayMode: LegendDisplayMode.Table, placement: 'bottom', showLegend: true },
    tooltip: { mode: TooltipDisplayMode.Multi, sort: SortOrder.Ascending },
  }
  const custom: GraphFieldConfig = { fillOpacity: 5, lineWidth: 1 }
  const targets = Object.entries(queries).map(
    ([legendFormat, expr], index): PromQuery => ({ refId: String.fromCharCode(65 + index), expr, legendFormat, datasource }),
  )
  return {
    type: 'timeseries',
    title,
    description,
    width: 8,
    height: 8,
    datasource,
    targets: targets.map((one) => ({ ...one })),
    options: { ...options },
    fieldConfig: { defaults: { unit, color: { mode: FieldColorModeId.PaletteClassic }, custom: { ...custom } }, overrides: [] },
  }
}

/** What is so now, a line each. */
export function table(title: string, description: string, unit: string, expr: string, value: string, hidden: readonly string[]): Sketch {
  const options: TableOptions = { frameIndex: 0, showHeader: true, sortBy: [{ displayName: value, desc: false }] }
  const query: PromQuery = { refId: 'A', expr, legendFormat: '', instant: true, format: 'table', datasource }
  const excludeByName = Object.fromEntries(hidden.map((name) => [name, true]))
  return {
    type: 'table',
    title,
    description,
    width: 24,
    height: 8,
    datasource,
    targets: [{ ...query }],
    options: { ...options },
    transformations: [{ id: 'organize', options: { excludeByName, renameByName: { Value: value } } }],
    fieldConfig: { defaults: {}, overrides: [{ matcher: { id: 'byName', options: value }, properties: [{ id: 'unit', value: unit }] }] },
  }
}

/** Lays the panels of a row out from left to right, as many lines as it takes. */
export function layOut(rows: Readonly<Record<string, readonly Sketch[]>>): NonNullable<Dashboard['panels']> {
  const panels: NonNullable<Dashboard['panels']> = []
  let y = 0
  for (const [title, sketches] of Object.entries(rows)) {
    panels.push({ type: 'row', id: panels.length + 1, title, collapsed: false, panels: [], gridPos: { x: 0, y: y++, w: 24, h: 1 } })
    let x = 0
    let line = 0
    for (const { width, height, ...panel } of sketches) {
      if (x + width > 24) {
        x = 0
        y += line
      }
      panels.push({ id: panels.length + 1, ...panel, gridPos: { x, y, w: width, h: height } })
      x += width
      line = height
    }
    y += line
  }
  return panels
}
