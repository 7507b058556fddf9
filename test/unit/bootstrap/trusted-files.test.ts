import { expect, test } from 'vitest'
import arch from '../../../recipes/arch.ts'
import debian from '../../../recipes/debian.ts'
import fedora from '../../../recipes/fedora.ts'
import type { Archive } from '../../../src/bootstrap/archives/archive.ts'
import type { BootstrapHost } from '../../../src/bootstrap/host.ts'
import { planTree, type TreeRequest } from '../../../src/bootstrap/plan.ts'
import { strategiesOf } from '../../../src/bootstrap/strategies.ts'
import { trustedFiles } from '../../../src/bootstrap/trusted-files.ts'
import type { Recipe } from '../../../src/recipe.ts'

const host: BootstrapHost = {
  architecture: 'x86-64',
  emulated: [],
  osId: undefined,
  findProgram: (name) => `/usr/bin/${name}`,
  hasFile: () => true,
  aptSources: [],
}

function archiveOf(recipe: Recipe, request: Omit<TreeRequest, 'recipe'> = {}): Archive {
  const all = { recipe: recipe.id, ...request }
  return planTree(all, recipe, host, strategiesOf(recipe), '/m').archive
}

function listed(archive: Archive, there: (path: string) => boolean = () => true): string[] {
  const files = { hasFile: there }
  return trustedFiles(archive, files, files).map(
    ({ path, namedBy, place }) => `${path} of ${namedBy} in ${place}`,
  )
}

test('an apt archive trusts its keyring and those of other archives', () => {
  const repositories = ['deb [signed-by=/r.gpg] https://r.example/debian x main']
  expect(listed(archiveOf(debian, { repositories }))).toEqual([
    '/usr/share/keyrings/debian-archive-keyring.gpg of distribution in programs',
    '/r.gpg of user in host',
  ])
  expect(listed(archiveOf(debian, { keyring: '/k.gpg' }))).toEqual(['/k.gpg of user in host'])
})

test('a pacman archive trusts a keyring, and lists say which of its keys', () => {
  const debians = (path: string) => path.startsWith('/usr/share/keyrings/')
  expect(listed(archiveOf(arch), debians)).toEqual(
    ['archlinux.gpg', 'archlinux-trusted', 'archlinux-revoked'].map(
      (name) => `/usr/share/keyrings/${name} of distribution in programs`,
    ),
  )
  expect(listed(archiveOf(arch, { keyring: '/k.gpg' }))).toContain('/k.gpg of user in host')
})

test('an rpm archive trusts the keys of the release that the host has, wherever programs run', () => {
  const own = (path: string) => path.startsWith('/etc/pki/rpm-gpg/')
  const files = listed(archiveOf(fedora), own)
  expect(files.length).toBeGreaterThan(0)
  for (const file of files)
    expect(file).toMatch(/^\/etc\/pki\/rpm-gpg\/\S+ of distribution in host$/)
  expect(listed(archiveOf(fedora, { keyring: '/k.asc' }))).toEqual(['/k.asc of user in host'])
})
