/**
 * Runs a TypeScript script of this repository on any supported Node: `node scripts/run.mjs FILE ARGS`.
 * Node 20 cannot strip types by itself; esbuild is here anyway and needs a few milliseconds.
 */
import { build } from 'esbuild'
import { basename, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const [script, ...args] = process.argv.slice(2)
const top = fileURLToPath(new URL('..', import.meta.url))
const outfile = resolve(top, 'dist/scripts', basename(script).replace(/\.ts$/, '.mjs'))
await build({
  entryPoints: [resolve(script)],
  outfile,
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20.18',
  sourcemap: 'inline',
  logLevel: 'warning',
})
process.argv.splice(1, process.argv.length, outfile, ...args)
process.setSourceMapsEnabled(true)
await import(pathToFileURL(outfile).href)
