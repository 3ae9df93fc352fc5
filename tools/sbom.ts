// Writes the bill of materials of a release, in CycloneDX: npm's list of what the bundle is made from, and the Node.js that carries it.
// `node tools/sbom.ts FILE`; the same lock file gives the same bytes.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

interface Package {
  readonly name: string
  readonly version: string
  readonly license: string
  readonly description: string
}
const read = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Package
const { name, version, license, description } = read('package.json')
const node = read('tools/node/package.json').version
const listed = JSON.parse(execFileSync('npm', ['sbom', '--sbom-format=cyclonedx', '--omit=dev', '--package-lock-only'], { encoding: 'utf8' })) as {
  readonly $schema: string
  readonly specVersion: string
  readonly components: readonly object[]
  readonly dependencies: readonly object[]
}
const bill = {
  $schema: listed.$schema,
  bomFormat: 'CycloneDX',
  specVersion: listed.specVersion,
  version: 1,
  // Not npm's: a serial number and a time are others each time, and the name is the folder's.
  metadata: {
    component: {
      'bom-ref': `${name}@${version}`,
      type: 'application',
      name,
      version,
      description,
      purl: `pkg:npm/${name}@${version}`,
      licenses: [{ license: { id: license } }],
    },
  },
  components: [
    // What most advisories will be about.
    {
      'bom-ref': `node@${node}`,
      type: 'platform',
      name: 'node',
      version: node,
      purl: `pkg:generic/node@${node}`,
      cpe: `cpe:2.3:a:nodejs:node.js:${node}:*:*:*:*:*:*:*`,
      licenses: [{ license: { id: 'MIT' } }],
    },
    ...listed.components,
  ],
  dependencies: listed.dependencies,
}
writeFileSync(process.argv[2] ?? 'dist/svidecar.cdx.json', `${JSON.stringify(bill, undefined, 1)}\n`)
