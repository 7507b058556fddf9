/** What the benches have in common: a place that suits all peers, their input, and the tables. */
import { execa } from 'execa'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { testDirectory } from '../fixtures/debian-tree.ts'

const page = 'docs/performance.md'
const insideVariable = 'TSNSPAWN_BENCH_INSIDE'

/**
 * The peers want a /run that is a tmpfs, and crun refuses a host with hybrid control groups; the whole
 * bench moves into a mount namespace that suits all.
 */
export function enterOwnRun(): void {
  if (process.env[insideVariable] !== undefined) return
  const setUp = `
    mount -t tmpfs -o mode=0755 tmpfs /run
    if mountpoint --quiet /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
    exec "$@"`
  const { status } = spawnSync(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', setUp, 'bench', ...process.argv],
    { stdio: 'inherit', env: { ...process.env, [insideVariable]: '1' } },
  )
  process.exit(status ?? 1)
}

/** Directory with the `node` of the current LTS; never a dependency, it would shadow the machine's. */
export async function node24(): Promise<string> {
  const prefix = join(testDirectory, 'node24')
  const bin = join(prefix, 'node_modules/node/bin')
  if (!existsSync(join(bin, 'node'))) {
    await mkdir(prefix, { recursive: true })
    await execa('npm', ['install', '--silent', '--no-save', '--prefix', prefix, 'node@24'])
  }
  return bin
}

/** An OCI bundle that runs `true` in `tree`. */
export async function ociBundle(tree: string): Promise<string> {
  const bundle = join(testDirectory, 'oci-bundle')
  await rm(bundle, { recursive: true, force: true })
  await mkdir(bundle, { recursive: true })
  await execa('runc', ['spec'], { cwd: bundle })
  const path = join(bundle, 'config.json')
  const config = JSON.parse(readFileSync(path, 'utf8')) as {
    process: { terminal: boolean; args: string[] }
    root: object
  }
  config.process.terminal = false
  config.process.args = ['/bin/true']
  config.root = { path: tree, readonly: false }
  writeFileSync(path, JSON.stringify(config))
  return bundle
}

export function nodeVersion(directory: string): string {
  const { stdout } = spawnSync(join(directory, 'node'), ['--version'], { encoding: 'utf8' })
  return stdout.trim().replace(/^v/, '')
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
}

/** Puts a table with its caption between the marks of `name` in docs/performance.md. */
export function keepTable(name: string, caption: string, table: string): void {
  const kernel = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()
  const text = readFileSync(page, 'utf8')
  const host = `on ${cpus().length} cores, Linux ${kernel}`
  const section = `<!-- ${name} -->\n\n${caption}, ${host}.\nFigures drift with the machine, ratios hold.\n\n${table}\n\n<!-- end of ${name} -->`
  const marked = new RegExp(`<!-- ${name} -->[\\s\\S]*<!-- end of ${name} -->`)
  if (!marked.test(text)) throw new Error(`${page} has no place for the table "${name}"`)
  writeFileSync(
    page,
    text.replace(marked, () => section),
  )
}
