/** Trees of an architecture that is not this host's, by the package managers of the host and an emulator. */
import { execa } from 'execa'
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import archarm from '../../../recipes/archarm.ts'
import fedora from '../../../recipes/fedora.ts'
import tumbleweed from '../../../recipes/opensuse-tumbleweed.ts'
import { createTree, planCreate, type CreatedTree } from '../../../src/bootstrap/create.ts'
import type { TreePlan, TreeRequest } from '../../../src/bootstrap/plan.ts'
import { silent } from '../../../src/log.ts'
import type { RpmDatabase, RpmRepository } from '../../../src/recipe.ts'
import { arm64Program, emulateArm64, emulatorDescription } from '../../fixtures/foreign.ts'
import {
  buildPacmanPackage,
  PacmanRepository,
  treePackages,
} from '../../fixtures/pacman-repository.ts'
import { lacks } from '../../fixtures/requires.ts'
import { buildRpm, releasePackage } from '../../fixtures/rpm-package.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

const missing =
  lacks('root', 'binfmt_misc', 'program:rpmbuild', 'program:createrepo_c', 'program:makepkg') ||
  process.arch === 'arm64' ||
  !existsSync(emulatorDescription)

const slow = 180_000

async function create(
  directory: string,
  request: TreeRequest,
  change: (plan: TreePlan) => TreePlan = (plan) => plan,
): Promise<CreatedTree> {
  const machinesDirectory = join(directory, 'machines')
  const whole: TreeRequest = { ...request, architecture: 'arm64', signatures: 'ignored' }
  return createTree(change(await planCreate(whole, machinesDirectory)), {
    machinesDirectory,
    stateDirectory: join(directory, 'state'),
    cache: 'off',
    log: silent,
  })
}

/** A directory with programs for arm64, which stand for all that a tree is checked for. */
function programs(directory: string, names: readonly string[]): string {
  const bin = join(directory, 'programs/usr/bin')
  mkdirSync(bin, { recursive: true })
  const path = join(bin, 'nothing')
  writeFileSync(path, arm64Program())
  chmodSync(path, 0o755)
  for (const name of names) symlinkSync('nothing', join(bin, name))
  return join(directory, 'programs')
}

/** Nobody in these trees could take over a database of another format. */
function withoutRpm(plan: TreePlan): TreePlan {
  const { archive } = plan
  if (archive.family !== 'rpm') return plan
  const database: RpmDatabase = { ...archive.database, format: 'sqlite' }
  return { ...plan, archive: { ...archive, database } }
}

function servesArm64({ architectures }: RpmRepository): boolean {
  return architectures?.includes('arm64') ?? true
}

describe.skipIf(missing)('a tree of another architecture', () => {
  let emulator: AsyncDisposable
  beforeAll(async () => {
    emulator = await emulateArm64()
  })
  afterAll(() => emulator?.[Symbol.asyncDispose]())

  test.each([
    ['dnf', fedora, { id: 'fedora', version: '43' }],
    ['zypper', tumbleweed, { id: 'opensuse-tumbleweed', version: '20261120' }],
  ] as const)(
    'is made by %s, whose packages’ scripts run in an emulator',
    { timeout: slow },
    async (via, recipe, distribution) => {
      await using dir = await temporaryDirectory()
      const mirror = join(dir.path, 'mirror')
      const { path } = (recipe.repositories as readonly RpmRepository[]).find(servesArm64)!
      const packages = join(
        mirror,
        path.replace('$releasever', '43').replace('$basearch', 'aarch64'),
      )
      mkdirSync(packages, { recursive: true })
      await buildRpm(dir.path, packages, await releasePackage(dir.path, distribution))
      await buildRpm(dir.path, packages, {
        name: 'tiny-shell',
        architecture: 'aarch64',
        tree: programs(dir.path, ['sh', 'true']),
        requires: ['tiny-release'],
        provides: ['/bin/sh', ...recipe.packageSets.minimal.include],
        scripts: { post: ['exit 0'] },
      })
      await execa('createrepo_c', ['--quiet', packages])
      const request = { recipe: recipe.id, via, mirror, updates: 'none' } as const
      const tree = await create(dir.path, request, withoutRpm)
      expect(tree).toMatchObject({ architecture: 'arm64', packages: 2, strategy: via })
    },
  )

  test('is made by pacman, whose hooks run in an emulator', { timeout: slow }, async () => {
    await using dir = await temporaryDirectory()
    const mirror = join(dir.path, 'mirror')
    const [filesystem] = treePackages
    const built = [
      await buildPacmanPackage(dir.path, {
        ...filesystem!,
        files: {
          ...filesystem!.files,
          'usr/lib/os-release': `NAME=Tiny\nID=${archarm.osRelease.id}\n`,
        },
      }),
      await buildPacmanPackage(dir.path, {
        name: 'base',
        content: programs(dir.path, ['sh', 'true']),
        fields: ['depends=(filesystem)'],
        install: 'post_install() { :; }\n',
      }),
    ]
    for (const name of archarm.repositories) {
      const repository = new PacmanRepository(join(mirror, 'aarch64', name), name, undefined)
      await repository.add(...(name === 'core' ? built : []))
    }
    const tree = await create(dir.path, { recipe: 'archarm', via: 'pacman', mirror })
    expect(tree).toMatchObject({ architecture: 'arm64', packages: 2, strategy: 'pacman' })
  })
})
