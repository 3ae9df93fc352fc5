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
const listed = JSON.parse(execFileSync('npm', ['sbom', '--sbom-format=cyclonedx', '--package-lock-only'], { encoding: 'utf8', maxBuffer: 1 << 26 })) as {
  readonly $schema: string
  readonly specVersion: string
  readonly components: readonly { readonly name: string; readonly version: string; readonly 'bom-ref': string }[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}
// Not by npm's --omit=dev, which leaves out what both the product and its tests need: yaml, zod, half of the AWS SDK.
const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Readonly<Record<string, { version: string; dev?: boolean }>> }
const shipped = new Set(
  Object.entries(packages).flatMap(([path, { version, dev }]) => (path === '' || dev === true ? [] : [`${path.split('node_modules/').at(-1)}@${version}`])),
)
const components = listed.components.filter((one) => shipped.has(`${one.name}@${one.version}`))
const refs = new Set([`${name}@${version}`, ...components.map((one) => one['bom-ref'])])
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
    ...components,
  ],
  dependencies: listed.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => refs.has(one)) })),
}
writeFileSync(process.argv[2] ?? 'dist/svidecar.cdx.json', `${JSON.stringify(bill, undefined, 1)}\n`)
