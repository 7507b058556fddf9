/** A disk with this project as it is installed, Node, and the cases in one file. It is mounted at `/project`. */
import { build } from 'esbuild'
import { execa } from 'execa'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { copyFile, cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const top = fileURLToPath(new URL('../../..', import.meta.url))

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>
}

/** Packages that users get, by path; those of other platforms are not there. */
function installedPackages(): string[] {
  const lock = JSON.parse(readFileSync(join(top, 'package-lock.json'), 'utf8')) as Lock
  return Object.entries(lock.packages)
    .filter(([path, { dev }]) => path.startsWith('node_modules/') && dev !== true)
    .map(([path]) => path)
    .filter((path) => existsSync(join(top, path)))
}

/**
 * @param work an empty directory, for the disk and what it is made of
 * @param wanted names of the groups of cases to run
 */
export async function makeProjectDisk(work: string, wanted: readonly string[]): Promise<string> {
  const stage = join(work, 'project')
  const tests = join(stage, 'test/vm')
  await mkdir(tests, { recursive: true })
  for (const name of ['bin', 'dist', 'templates', 'recipes', 'package.json'])
    await cp(join(top, name), join(stage, name), { recursive: true, filter: isRun })
  for (const path of installedPackages()) {
    await mkdir(dirname(join(stage, path)), { recursive: true })
    await cp(realpathSync(join(top, path)), join(stage, path), { recursive: true })
  }
  await copyFile(process.execPath, join(stage, 'node'))
  await writeFile(join(tests, 'wanted.json'), JSON.stringify(wanted))
  await build({
    entryPoints: [join(top, 'test/vm/guest/main.ts')],
    outfile: join(tests, 'main.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.18',
    sourcemap: true,
    sourcesContent: false,
    external: ['koffi'],
    // Bundled CommonJS packages call it for Node's own modules.
    banner: {
      js: `import { createRequire as bundleRequire } from 'node:module'\nconst require = bundleRequire(import.meta.url)`,
    },
  })
  const disk = join(work, 'project.raw')
  await execa('truncate', ['--size=1G', disk])
  await execa('mkfs.ext4', ['-q', '-F', '-O', '^has_journal', '-d', stage, disk])
  await rm(stage, { recursive: true })
  return disk
}

/** Types and source maps are for developers. */
function isRun(path: string): boolean {
  return !/\/dist\/(lib|scripts)$|\.map$/.test(path)
}
