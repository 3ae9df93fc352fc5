// The definitions of custom resources that the manifests use, as their projects release them: out of Go modules, pinned by a go.sum.
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { checkout, must } from './machine.ts'

const released = {
  'github.com/prometheus-operator/prometheus-operator': 'example/prometheus-operator-crd/*_{podmonitors,prometheusrules}.yaml',
  'github.com/kyverno/kyverno': 'config/crds/policies.kyverno.io/*_{mutatingpolicies,validatingpolicies}.yaml',
}

/** Their files. Downloads what is not there. */
export async function customResources(): Promise<string[]> {
  const found: string[] = []
  for (const [module, files] of Object.entries(released)) {
    const command = ['go', 'mod', 'download', '-json', module]
    const { Dir } = JSON.parse(await must(command, { cwd: join(checkout, 'test/platform/crds'), timeoutMs: 300_000 })) as { Dir: string }
    found.push(...globSync(join(Dir, files)))
  }
  return found
}
