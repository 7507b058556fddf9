/**
 * Bundles the programs. Start-up is what a one-shot container pays each time, so `tsnspawn` and the zygote are
 * one CommonJS file each (an ESM entry costs 4 ms more), wrapped for `src/cli/start.ts`, which keeps them
 * compiled; `tsnspawn-build` is ESM with its heavy parts in chunks that are loaded by the verbs that need them.
 */
import { build, type BuildOptions, type Metafile } from 'esbuild'
import { createHash } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20.18',
  sourcemap: 'linked',
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
  legalComments: 'none',
  // Holds for `undici/…` too: so that file names its parts by path.
  alias: { undici: './scripts/lean-undici.cjs' },
} satisfies BuildOptions

/** `main(arguments)` is exported. */
const commonJs = {
  ...common,
  format: 'cjs',
  // Loaded only when a host program is needed, or a bundle is read, and then from their packages.
  external: ['execa', 'zod'],
  // Less to read and to hash at each start; names stay, for stack traces without a source map.
  minifyWhitespace: true,
  minifySyntax: true,
  charset: 'ascii',
  define: { 'import.meta.filename': '__filename' },
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

/** Started itself, the launcher runs the bundle that it is given. */
const RUN_BUNDLE =
  'if (require.main === module) module.exports.loadBundle(process.argv[2]).main(process.argv.slice(3)).then((s) => process.reallyExit(s))'

const wrapped = {
  ...commonJs,
  banner: { js: '(function (require, module, __filename) {' },
  footer: { js: '})' },
} satisfies BuildOptions

const targets: { entry: string; options: BuildOptions; writes: string }[] = [
  {
    entry: 'src/cli/start.ts',
    writes: 'dist/start.cjs',
    options: { ...commonJs, outfile: 'dist/start.cjs', footer: { js: RUN_BUNDLE } },
  },
  {
    entry: 'src/cli/tsnspawn.ts',
    writes: 'dist/tsnspawn.cjs',
    options: { ...wrapped, outfile: 'dist/tsnspawn.cjs' },
  },
  {
    entry: 'src/cli/zygote.ts',
    writes: 'dist/zygote.cjs',
    options: { ...wrapped, outfile: 'dist/zygote.cjs' },
  },
  {
    entry: 'src/transfer/xz-worker.ts',
    writes: 'dist/xz-worker.cjs',
    options: { ...commonJs, outfile: 'dist/xz-worker.cjs' },
  },
  {
    entry: 'src/images/copy-worker.ts',
    writes: 'dist/copy-worker.cjs',
    options: { ...commonJs, outfile: 'dist/copy-worker.cjs' },
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

/** The digest goes before the first line's code, so the source map stays right but for that line's columns. */
function nameByDigest(file: string): void {
  const source = readFileSync(file)
  const strange = source.findIndex((byte) => byte > 0x7f)
  if (strange >= 0) throw new Error(`${file} is not ASCII at ${strange}: the launcher reads it so`)
  const digest = createHash('sha256').update(source).digest('hex').slice(0, 32)
  writeFileSync(file, Buffer.concat([Buffer.from(`/*${digest}*/`), source]))
}

for (const { entry, options, writes } of targets) {
  rmSync(writes, { recursive: true, force: true })
  const { metafile } = await build({ ...options, entryPoints: [entry] })
  if (options.banner === wrapped.banner) nameByDigest(writes)
  if (process.argv.includes('--sizes') && metafile !== undefined) console.log(sizes(metafile))
}
