/** A tree of the rpm family that has a package manager of its own: the real dnf, from this host. */
import { execa } from 'execa'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import fedora from '../../../recipes/fedora.ts'
import { createTree, planCreate } from '../../../src/bootstrap/create.ts'
import { rpm } from '../../../src/bootstrap/families/rpm.ts'
import { TreeFiles } from '../../../src/bootstrap/tree-files.ts'
import { silent } from '../../../src/log.ts'
import { lacks } from '../../fixtures/requires.ts'
import { rpmArchitecture, rpmMirror, rpmMirrorNeeds } from '../../fixtures/rpm-repository.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { dnfPackage } from '../../fixtures/tiny-dnf.ts'
import { treeInMaking } from '../../fixtures/tree-in-making.ts'
import { serve } from '../../fixtures/web-server.ts'

const missing = lacks('root', 'program:dnf', 'program:dpkg', ...rpmMirrorNeeds)

describe.skipIf(missing)('an rpm tree with a package manager of its own', () => {
  test('is brought up to date by it, from signed packages', { timeout: 300_000 }, async () => {
    await using dir = await temporaryDirectory()
    const architecture = await rpmArchitecture()
    const updates = `updates/43/Everything/${architecture}`
    const tool = (version: string) => ({
      name: 'tool',
      version,
      files: { '/usr/share/tool': version },
    })
    const mirror = await rpmMirror({
      distribution: { id: 'fedora', version: '43' },
      provides: fedora.packageSets.minimal.include,
      repositories: {
        [`releases/43/Everything/${architecture}/os`]: {
          packages: ['system', tool('1'), await dnfPackage()],
        },
        [updates]: { packages: [tool('2')] },
      },
    })
    const machinesDirectory = join(dir.path, 'machines')
    const plan = await planCreate(
      {
        recipe: 'fedora',
        via: 'dnf',
        mirror: mirror.path,
        keyring: mirror.keyring,
        updates: 'none',
        include: ['tool', 'tiny-dnf'],
      },
      machinesDirectory,
    )
    const stateDirectory = join(dir.path, 'state')
    const context = { machinesDirectory, stateDirectory, cache: 'off', log: silent } as const
    const { path } = await createTree(plan, context)
    const version = async () => {
      const query = ['rpm', '-q', '--qf', '%{VERSION}', 'tool']
      return (await execa('chroot', [path, ...query])).stdout
    }
    expect(await version()).toBe('1')
    await using server = await serve(mirror.routes())
    const files = new TreeFiles(path)
    files.write('/etc/pki/key.asc', readFileSync(mirror.keyring))
    files.write(
      '/etc/yum.repos.d/updates.repo',
      `[updates]\nname=updates\nbaseurl=${server.origin}/${updates}\ngpgcheck=1\ngpgkey=file:///etc/pki/key.asc\n`,
    )
    const tree = treeInMaking(path)
    await rpm.installUpdates(tree, files, plan as never)
    expect(await version()).toBe('2')
    expect((await rpm.installedPackages(tree, files))!.map(({ name }) => name)).toContain('tool')
    expect(readFileSync(join(path, 'etc/os-release'), 'utf8')).toContain('VERSION_ID="43"')
  })
})
