// Makes dist/: one CommonJS file for the product and one for the demo. CommonJS, because an ECMAScript module
// that imports node:http loads undici with it: 13 MB and 20 ms that nobody uses here.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { build, type Plugin } from 'esbuild'

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }

/** The commit that is built, for --version: what SVIDECAR_COMMIT says, as in an image build, else git. */
function commit(): string {
  const given = process.env['SVIDECAR_COMMIT']
  if (given) return given
  try {
    return execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'unknown'
  }
}

/** Modules that read a text beside them: in a bundle they are the text. */
const texts = [
  { module: /proto\/workload\.ts$/, name: 'workloadProto', file: 'proto/workload.proto' },
  { module: /endpoints\/page-text\.ts$/, name: 'pageText', file: 'src/endpoints/page.html' },
]
const inlineTexts: Plugin = {
  name: 'inline-texts',
  setup(esbuild) {
    for (const { module, name, file } of texts)
      esbuild.onLoad({ filter: module }, () => ({ contents: `export const ${name} = ${JSON.stringify(readFileSync(file, 'utf8'))}`, loader: 'js' }))
  },
}

await build({
  entryPoints: { svidecar: 'src/main.ts', demo: 'demo/demo.ts' },
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  mainFields: ['module', 'main'],
  // Not minified: a stack trace in a log should be readable.
  legalComments: 'linked',
  logLevel: 'warning',
  banner: { js: '#!/usr/bin/env node' },
  define: { 'process.env.SVIDECAR_VERSION': JSON.stringify(version), 'process.env.SVIDECAR_COMMIT': JSON.stringify(commit()) },
  plugins: [inlineTexts],
})
