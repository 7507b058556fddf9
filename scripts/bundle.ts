/**
 * Bundles the programs. Start-up is what a one-shot container pays each time, so `tsnspawn` and the
 * runtime process are one CommonJS file each (an ESM entry costs 4 ms more); `tsnspawn-build` is ESM
 * with its heavy parts in chunks that are loaded by the verbs that need them.
 */
import { build, type BuildOptions, type Metafile } from 'esbuild'
import { existsSync, rmSync } from 'node:fs'

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20.18',
  sourcemap: 'linked',
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
  legalComments: 'none',
} satisfies BuildOptions

/** `main(arguments)` is exported; the footer runs it when the file itself is started. */
const commonJs = {
  ...common,
  format: 'cjs',
  // Loaded only when a host program is needed, and then from its package.
  external: ['execa'],
  // Less to read and to hash at each start; names stay, for stack traces without a source map.
  minifyWhitespace: true,
  minifySyntax: true,
  define: { 'import.meta.url': 'bundleUrl' },
  banner: { js: `const bundleUrl = require('node:url').pathToFileURL(__filename).href` },
  footer: {
    js: 'if (require.main === module) module.exports.main(process.argv.slice(2)).then((s) => { process.exitCode = s })',
  },
} satisfies BuildOptions

/** Bundled CommonJS packages call `require` for Node's own modules, which ESM does not have. */
const modules = {
  ...common,
  format: 'esm',
  splitting: true,
  outExtension: { '.js': '.mjs' },
  banner: {
    js: `import { createRequire as bundleRequire } from 'node:module'\nconst require = bundleRequire(import.meta.url)`,
  },
} satisfies BuildOptions

const targets: { entry: string; options: BuildOptions; writes: string }[] = [
  {
    entry: 'src/cli/tsnspawn.ts',
    writes: 'dist/tsnspawn.cjs',
    options: { ...commonJs, outfile: 'dist/tsnspawn.cjs' },
  },
  {
    entry: 'src/cli/runtime.ts',
    writes: 'dist/runtime.cjs',
    options: { ...commonJs, outfile: 'dist/runtime.cjs' },
  },
  {
    entry: 'src/cli/tsnspawn-build.ts',
    writes: 'dist/build',
    options: { ...modules, outdir: 'dist/build' },
  },
]

function sizes(metafile: Metafile): string {
  const files = Object.entries(metafile.outputs).filter(([name]) => !name.endsWith('.map'))
  return files
    .map(([name, { bytes }]) => `${name} ${(bytes / 1024).toFixed(0)} KiB`)
    .toSorted()
    .join('\n')
}

for (const { entry, options, writes } of targets) {
  rmSync(writes, { recursive: true, force: true })
  if (!existsSync(entry)) continue
  const { metafile } = await build({ ...options, entryPoints: [entry] })
  if (process.argv.includes('--sizes') && metafile !== undefined) console.log(sizes(metafile))
}
