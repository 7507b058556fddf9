/** The story of a tree: what was planned, what made it, what is in it, how long it took; and where its logs lie. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { withoutPasswords } from '../url-secrets.ts'
import type { CreateContext } from './create-context.ts'
import type { InstalledPackage } from './families/family.ts'
import { planHash, type TreePlan } from './plan.ts'

export interface TreeManifest {
  /** Without the hash of a password. */
  readonly plan: TreePlan
  /** SHA-256 of what the plan makes. */
  readonly planHash: string
  /** Programs of the host that took part → their versions. */
  readonly tools: Readonly<Record<string, string>>
  readonly packages: readonly InstalledPackage[]
  /** Phase → milliseconds. */
  readonly timingsMs: Readonly<Record<string, number>>
  /** ISO 8601, UTC. */
  readonly createdAt: string
  /** The same, of the last update of its packages. */
  readonly updatedAt?: string
  readonly log: string
}

/**
 * Where the manifest of a tree lies: by its name in the machines directory, and with a mark of the path
 * for one that lies elsewhere.
 */
export function manifestPath(
  stateDirectory: string,
  machinesDirectory: string,
  tree: string,
  name: string,
): string {
  return join(stateDirectory, 'manifests', `${storyName(machinesDirectory, tree, name)}.json`)
}

/** Where the log of what was done to a tree lies, told apart as manifests are. */
export function treeLogPath(
  { stateDirectory, machinesDirectory }: CreateContext,
  verb: 'create' | 'update',
  tree: string,
  name: string,
): string {
  return join(stateDirectory, 'logs', `${verb}-${storyName(machinesDirectory, tree, name)}.log`)
}

/** Trees of one name in several places, and archives of one, are told by a mark of where they are. */
function storyName(machinesDirectory: string, tree: string, name: string): string {
  if (tree === join(machinesDirectory, name)) return name
  return `${name}@${createHash('sha256').update(tree).digest('hex').slice(0, 8)}`
}

/** Writes the manifest whole or not at all. */
export function writeManifest(path: string, manifest: Omit<TreeManifest, 'planHash'>): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  // A hash of a password is for shadow files only.
  const plan = withoutHashes(manifest.plan)
  writeWhole(path, { ...manifest, plan, planHash: planHash(manifest.plan) })
}

/** Tells the manifest of a tree, where there is one, what is in the tree now. */
export function updateManifest(path: string, packages: readonly InstalledPackage[]): void {
  if (!existsSync(path)) return
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as TreeManifest
  writeWhole(path, { ...manifest, packages, updatedAt: new Date().toISOString() })
}

/** Whom scripts of packages ran as when the tree was made; `host` where nothing is known of it. */
export function usersOfManifest(path: string): TreePlan['users'] {
  if (!existsSync(path)) return 'host'
  const { plan } = JSON.parse(readFileSync(path, 'utf8')) as { plan: Partial<TreePlan> }
  return plan.users ?? 'host'
}

function writeWhole(path: string, content: unknown): void {
  const temporary = `${path}.${process.pid}`
  writeFileSync(temporary, withoutPasswords(JSON.stringify(content, null, 2)) + '\n')
  renameSync(temporary, path)
}

/** A plan as others may see it: of a password only where it comes from. */
export function withoutHashes(plan: TreePlan): object {
  const bare = ({ kind }: { readonly kind: string }) => ({ kind })
  const { customization } = plan
  return {
    ...plan,
    customization: {
      ...customization,
      rootPassword: bare(customization.rootPassword),
      users: customization.users.map((user) => ({ ...user, password: bare(user.password) })),
    },
  }
}
