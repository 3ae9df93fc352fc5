// The definitions of custom resources that the manifests use, as their projects release them: out of Go modules, pinned by a go.sum.
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { checkout, must } from './machine.ts'

const released = [
  {
    pinnedIn: 'test/platform/crds',
    module: 'github.com/prometheus-operator/prometheus-operator',
    files: 'example/prometheus-operator-crd/*_{podmonitors,prometheusrules}.yaml',
  },
  {
    pinnedIn: 'test/platform/kyverno',
    module: 'github.com/kyverno/kyverno',
    files: 'config/crds/policies.kyverno.io/*_{mutatingpolicies,validatingpolicies}.yaml',
  },
] as const

/** Their files. Downloads what is not there. */
export async function customResources(): Promise<string[]> {
  const found: string[] = []
  for (const { pinnedIn, module, files } of released) {
    const { Dir } = JSON.parse(await must(['go', 'mod', 'download', '-json', module], { cwd: join(checkout, pinnedIn), timeoutMs: 300_000 })) as { Dir: string }
    found.push(...globSync(join(Dir, files)))
  }
  return found
}
