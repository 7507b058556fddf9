import { expect, test } from 'vitest'
import archarm from '../../../../recipes/archarm.ts'
import arch from '../../../../recipes/arch.ts'
import { pacmanConfiguration } from '../../../../src/bootstrap/pacman/configuration.ts'
import { planTree, type TreeRequest } from '../../../../src/bootstrap/plan.ts'
import { strategiesOf } from '../../../../src/bootstrap/strategies.ts'
import { pacmanCommand } from '../../../../src/bootstrap/strategies/pacman.ts'
import { pacstrapCommand } from '../../../../src/bootstrap/strategies/pacstrap.ts'
import type { PacmanRecipe } from '../../../../src/recipe.ts'
import { bootstrapHost } from '../../../fixtures/bootstrap-host.ts'

const host = bootstrapHost({
  emulated: ['arm64'],
  hasFile: (path) =>
    ['/usr/share/keyrings/archlinux.gpg', '/usr/share/makepkg/util/message.sh', '/k.gpg'].includes(
      path,
    ),
})

function plan(request: Omit<TreeRequest, 'recipe'> = {}, recipe: PacmanRecipe = arch, on = host) {
  return planTree({ recipe: recipe.id, ...request }, recipe, on, strategiesOf(recipe), '/m')
}

const tree = '/s/tree'
const ready = { configuration: '/s/c', places: ['--dbpath', '/s/d'], targets: ['base'] }

test('pacman gets root, configuration and every path on its command line', () => {
  expect(pacmanCommand(ready, tree)).toEqual(
    'pacman --root /s/tree --config /s/c --dbpath /s/d --needed -S base'.split(' '),
  )
})

test('pacstrap takes our cache and configuration, and nothing of the host into the tree', () => {
  expect(pacstrapCommand(ready, tree)).toEqual(
    'pacstrap -c -G -M -C /s/c /s/tree base --dbpath /s/d --needed'.split(' '),
  )
})

test('the configuration demands signatures, names the servers in order, and leaves out what namespaces break', () => {
  const { archive, ...rest } = plan({
    mirror: 'https://a.example/arch/',
    otherMirrors: ['https://b.example/arch'],
    repositories: ['mine=/srv/mine'],
  })
  const text = pacmanConfiguration(rest, archive.repositories, 6)
  expect(text).toBe(
    `[options]
Architecture = x86_64
SigLevel = Required DatabaseOptional
ParallelDownloads = 5

[mine]
Server = file:///srv/mine

[core]
Server = https://a.example/arch/$repo/os/$arch
Server = https://b.example/arch/$repo/os/$arch

[extra]
Server = https://a.example/arch/$repo/os/$arch
Server = https://b.example/arch/$repo/os/$arch
`,
  )
  const later = pacmanConfiguration({ ...rest, signatures: 'ignored' }, [], 7)
  expect(later).toContain('SigLevel = Never\n')
  expect(later).toContain('\nDisableSandbox\n')
})

test('a day is taken from the archive of former days, which the tree keeps', () => {
  const { name, release, archive } = plan({ release: '2026/11/01' })
  expect({ name, release }).toEqual({ name: 'arch-2026-11-01', release: '2026/11/01' })
  const mirror = 'https://archive.archlinux.org/repos/2026/11/01/$repo/os/$arch'
  expect(archive).toMatchObject({ mirror, keptMirrors: [mirror] })
  // It has packages only.
  expect(archive.image).toMatch(/^https:\/\/geo\.mirror\.pkgbuild\.com\/iso\/latest\//)
})

test.each(['2026/13/01', '2026-11-01', 'trixie', '2026/11'])(
  'there is no release %s, and it is said which there are',
  (release) => {
    expect(() => plan({ release })).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        hint: expect.stringContaining('rolling') as string,
      }),
    )
  },
)

test.each(['local=/srv/x', 'core=/srv/x', 'options=/srv/x', 'a b=/srv/x', '/srv/x'])(
  'a repository cannot be called as in --repo=%s',
  (text) => {
    expect(() => plan({ repositories: [text] })).toThrow(/is no repository/)
  },
)

test('a repository of the user is kept where a container can reach it', () => {
  const { archive } = plan({ repositories: ['a=/srv/a', 'b=http://b.example/b'], mirror: '/srv/m' })
  expect(archive.keptRepositories.map(({ name }) => name)).toEqual(['b'])
  expect(archive.keptMirrors).toEqual(['https://geo.mirror.pkgbuild.com/$repo/os/$arch'])
  expect(() => plan({ repositories: ['a=/srv/a', 'a=/srv/b'] })).toThrow(/two repositories/)
})

test('options of apt are refused', () => {
  for (const request of [
    { components: ['main'] },
    { updates: 'none' },
    { outdated: 'accepted' },
  ] as const)
    expect(() => plan(request)).toThrow(expect.objectContaining({ code: 'USAGE' }))
})

test('pacman itself comes first, then pacstrap, a tree of tools, and the image', () => {
  const without = (...names: string[]) => ({
    ...host,
    findProgram: (name: string) => (names.includes(name) ? undefined : `/usr/bin/${name}`),
  })
  expect(plan().strategy).toBe('pacman')
  expect(plan({}, arch, without('pacman')).strategy).toBe('tools:pacman')
  expect(plan({ via: 'image' }, arch, without('pacman')).strategy).toBe('image')
  expect(() => plan({ via: 'pacstrap' }, arch, without('pacstrap'))).toThrow(
    /pacstrap is not installed/,
  )
  expect(() => plan({ via: 'image', exclude: ['nano'] })).toThrow(/cannot be left out/)
  expect(() => plan({ via: 'image', network: 'forbidden' })).toThrow(/fetches/)
  expect(plan({ network: 'forbidden' }).strategy).toBe('pacman')
})

test('without keys nothing is taken, unless signatures are not asked for', () => {
  const bare = { ...host, hasFile: (path: string) => path.includes('makepkg') }
  const withoutMakepkg = { ...host, hasFile: (path: string) => !path.includes('makepkg') }
  expect(() => plan({ via: 'pacman' }, arch, withoutMakepkg)).toThrow(
    expect.objectContaining({ hint: 'install the package makepkg' }),
  )
  expect(() => plan({ via: 'pacman' }, arch, bare)).toThrow(
    expect.objectContaining({ hint: expect.stringContaining('archlinux-keyring') as string }),
  )
  expect(() => plan({ via: 'pacman', keyring: '/gone' })).toThrow(/there is no keyring \/gone/)
  expect(plan({ via: 'pacman', signatures: 'ignored' }, arch, bare).strategy).toBe('pacman')
})

test('Arch Linux ARM has its own layout, keys and name', () => {
  const made = plan(
    { architecture: 'arm64', keyring: '/k.gpg', mirror: 'http://m.example' },
    archarm,
  )
  expect(made).toMatchObject({
    name: 'archarm-rolling-aarch64',
    execution: 'emulated',
    osRelease: { id: 'archarm' },
    archive: {
      mirror: 'http://m.example/$arch/$repo',
      image: 'http://os.archlinuxarm.org/os/ArchLinuxARM-aarch64-latest.tar.gz',
    },
  })
  expect(made.archive.repositories.map(({ name }) => name)).toEqual(['core', 'extra', 'alarm'])
  // Debian's packages have no keys of it, so a tree of tools is no help.
  expect(() => plan({ architecture: 'arm64' }, archarm)).toThrow(
    /no strategy can make this tree on this host: this host has no keys/,
  )
  expect(() => plan({ architecture: 'arm64', release: '2026/11/01' }, archarm)).toThrow(
    expect.objectContaining({ hint: 'there is only rolling' }),
  )
})

test('a URL that is none is told with the option that it came with', () => {
  expect(() => plan({ mirror: 'nowhere' })).toThrow('--mirror=nowhere is no URL')
  expect(() => plan({ repositories: ['own=nowhere'] })).toThrow('--repo=nowhere is no URL')
})
