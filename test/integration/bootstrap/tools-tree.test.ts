/** Trees of other families where the host lacks their package managers: these run in a tree of tools. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import fedora from '../../../recipes/fedora.ts'
import tumbleweed from '../../../recipes/opensuse-tumbleweed.ts'
import { createTree, planCreate, type CreatedTree } from '../../../src/bootstrap/create.ts'
import type { TreeManifest } from '../../../src/bootstrap/manifest.ts'
import type { TreeRequest } from '../../../src/bootstrap/plan.ts'
import type { LogEvent } from '../../../src/log.ts'
import { testDirectory } from '../../fixtures/debian-tree.ts'
import { makeGpgSigner } from '../../fixtures/gpg-signer.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import {
  buildPacmanPackage,
  markerPath as pacmanMarker,
  PacmanRepository,
  treePackages,
} from '../../fixtures/pacman-repository.ts'
import { lacks } from '../../fixtures/requires.ts'
import {
  markerPath as rpmMarker,
  rpmArchitecture,
  rpmMirror,
  rpmMirrorNeeds,
} from '../../fixtures/rpm-repository.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const missing = lacks(
  'root',
  'overlay',
  ...rpmMirrorNeeds,
  'program:makepkg',
  'program:bsdtar',
  'program:busybox',
  'program:fakeroot',
)

const slow = 600_000

let room: TemporaryDirectory

beforeAll(async () => {
  if (!missing) room = await temporaryDirectory()
})

afterAll(async () => {
  await room?.[Symbol.asyncDispose]()
})

const toolsTrees = (machines: string) =>
  readdirSync(machines).filter((name) => name.startsWith('.tools-'))

async function create(
  request: TreeRequest,
): Promise<{ tree: CreatedTree; manifest: TreeManifest; notices: string[] }> {
  const machinesDirectory = join(room.path, 'machines')
  const notices: string[] = []
  const log = (event: LogEvent) => void (event.kind === 'notice' && notices.push(event.text))
  const tree = await createTree(await planCreate(request, machinesDirectory), {
    machinesDirectory,
    // Debian's packages are fetched by other tests, too.
    stateDirectory: join(testDirectory, 'state'),
    cache: 'off',
    log,
  })
  const manifest = JSON.parse(readFileSync(tree.manifest, 'utf8')) as TreeManifest
  return { tree, manifest, notices }
}

describe.skipIf(missing)('in a tree of tools', () => {
  test(
    'zypper makes openSUSE, twice from the one tree, and leaves nothing mounted or running',
    { timeout: slow },
    async () => {
      const mirror = await rpmMirror({
        distribution: { id: 'opensuse-tumbleweed', version: '20261120' },
        // As openSUSE's own: the rpm of the tree of tools writes what this one reads.
        database: { format: 'ndb' },
        provides: [...tumbleweed.packageSets.minimal.include],
        repositories: Object.fromEntries(
          tumbleweed.repositories.map(({ path }, index) => [
            path,
            { packages: index === 0 ? ['system'] : [] },
          ]),
        ),
      })
      const request = {
        recipe: 'opensuse-tumbleweed',
        via: 'tools:zypper',
        mirror: mirror.path,
        keyring: mirror.keyring,
      } as const
      const before = await leftOvers({ directories: [] })
      const first = await create({ ...request, name: 'suse' })
      expect(first.notices.join()).toContain('making a tree of tools with zypper')
      expect(first.manifest.tools['zypper']).toMatch(/^1\./)
      expect(readFileSync(join(first.tree.path, rpmMarker), 'utf8')).not.toBe('')
      const second = await create({ ...request, name: 'again' })
      expect(second.notices.join()).not.toContain('tree of tools')
      expect(second.manifest.packages).toEqual(first.manifest.packages)
      expect(toolsTrees(join(room.path, 'machines'))).toHaveLength(1)
      expect(await newLeftOvers(before, { directories: [] })).toEqual([])
    },
  )

  test('dnf makes Fedora', { timeout: slow }, async () => {
    const architecture = await rpmArchitecture()
    const base = `releases/43/Everything/${architecture}/os`
    const mirror = await rpmMirror({
      distribution: { id: 'fedora', version: '43' },
      provides: [...fedora.packageSets.minimal.include],
      repositories: {
        [base]: { packages: ['system'] },
        [`updates/43/Everything/${architecture}`]: { packages: [] },
      },
    })
    const { tree, manifest } = await create({
      recipe: 'fedora',
      via: 'tools:dnf',
      name: 'fedora',
      mirror: mirror.path,
      keyring: mirror.keyring,
    })
    expect(manifest.tools['dnf']).toMatch(/^\d/)
    expect(readFileSync(join(tree.path, rpmMarker), 'utf8')).not.toBe('')
  })

  test('pacman makes Arch', { timeout: slow }, async () => {
    using signer = makeGpgSigner(room.path, 'packager')
    const mirror = join(room.path, 'arch')
    const core = new PacmanRepository(join(mirror, 'core/os/x86_64'), 'core', signer)
    for (const spec of treePackages) await core.add(await buildPacmanPackage(room.path, spec))
    await new PacmanRepository(join(mirror, 'extra/os/x86_64'), 'extra', signer).add()
    const { tree, manifest } = await create({
      recipe: 'arch',
      via: 'tools:pacman',
      name: 'arch',
      mirror,
      keyring: signer.keyring,
    })
    expect(manifest.tools['pacman']).toMatch(/^[67]\./)
    expect(readFileSync(join(tree.path, pacmanMarker), 'utf8')).toBe('1-1\n')
  })
})
