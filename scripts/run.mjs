/**
 * Runs a TypeScript script of this repository on any supported Node: `node scripts/run.mjs FILE ARGS`.
 * Node 20 cannot strip types by itself; esbuild is here anyway and needs a few milliseconds.
 */
import { build } from 'esbuild'
import { readFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const [script, ...args] = process.argv.slice(2)
const top = fileURLToPath(new URL('..', import.meta.url))
const entry = resolve(script)
const outfile = resolve(top, 'dist/scripts', basename(script).replace(/\.ts$/, '.mjs'))

/** Files that lie beside a module are found from the module, not from the bundle; scripts have none. */
const ownUrls = {
  name: 'own-urls',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      if (path === entry) return undefined
      const text = await readFile(path, 'utf8')
      const url = JSON.stringify(pathToFileURL(path).href)
      return { contents: text.replaceAll('import.meta.url', url), loader: 'ts' }
    })
  },
}

await build({
  entryPoints: [entry],
  outfile,
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20.18',
  sourcemap: 'inline',
  logLevel: 'warning',
  plugins: [ownUrls],
})
process.argv.splice(1, process.argv.length, outfile, ...args)
process.setSourceMapsEnabled(true)
await import(pathToFileURL(outfile).href)
