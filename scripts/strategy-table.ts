/**
 * Makes trees by every recipe in every way that it lists, as far as this host can, and writes down what came of it:
 * `sudo npm run strategy-table`, or with names of recipes behind it to do those alone. Takes some minutes.
 *
 * Debian and Ubuntu come from their archives. For the others signed repositories are made here: packages by the names
 * of the distribution, with the files of a Debian in them.
 */
import { execa } from 'execa'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { createTree, planCreate } from '../src/bootstrap/create.ts'
import type { TreeRequest } from '../src/bootstrap/plan.ts'
import { loadRecipe, recipeIds } from '../src/bootstrap/recipes.ts'
import { NspawnError } from '../src/errors.ts'
import { silent } from '../src/log.ts'
import type { Recipe, RpmRecipe } from '../src/recipe.ts'
import { testDirectory } from '../test/fixtures/debian-tree.ts'
import { makeGpgSigner } from '../test/fixtures/gpg-signer.ts'
import { tsnspawn, tsnspawnBuild } from '../test/fixtures/programs.ts'
import { pacmanSystemMirror, rpmSystemMirror } from '../test/fixtures/system-repositories.ts'
import { row } from '../test/fixtures/table.ts'
import { temporaryDirectory } from '../test/fixtures/temporary.ts'
import { serve, type WebServer } from '../test/fixtures/web-server.ts'

const page = 'docs/strategies.md'

await using room = await temporaryDirectory()
const machinesDirectory = join(room.path, 'machines')
mkdirSync(machinesDirectory)
const context = {
  machinesDirectory,
  // Debian's packages are fetched by tests, too.
  stateDirectory: join(testDirectory, 'state'),
  cache: 'off',
  log: silent,
} as const
using stranger = makeGpgSigner(room.path, 'stranger')

/** Where the trees of a recipe come from, and what to try on them. */
interface Archive extends AsyncDisposable {
  readonly name: string
  readonly request: Partial<TreeRequest>
  /** Before a tree is made: has the archive offer what it did at first. */
  reset?(): Promise<void>
  /** Before the tree is brought up to date: has the archive offer something newer. */
  publish(tree: string): Promise<void>
  /** Says what is there of the package that is updated. */
  readonly version?: readonly [string, ...string[]]
  /** Builds a package as the family does. */
  readonly build: string
}

const inside = async (tree: string, ...command: string[]): Promise<string> => {
  const [program, ...args] = tsnspawn(
    ...['--quiet', '--register=no', '--keep-unit', '--private-network', '--pipe', '-D', tree],
    ...command,
  )
  return (await execa(program, args, { stdin: 'ignore', timeout: 300_000 })).stdout.trim()
}

const debianBuild = `
mkdir -p /tmp/made-1/debian && cd /tmp/made-1
printf 'made (1) unstable; urgency=low\\n\\n  * made\\n\\n -- A <a@example.org>  Thu, 01 Jan 2026 00:00:00 +0000\\n' >debian/changelog
printf 'Source: made\\nMaintainer: A <a@example.org>\\nStandards-Version: 4.7.0\\n\\nPackage: made\\nArchitecture: all\\nDescription: made\\n' >debian/control
printf '#!/usr/bin/make -f\\nclean build build-indep build-arch:\\nbinary binary-indep:\\n\\tmkdir -p debian/made/DEBIAN\\n\\tdpkg-gencontrol -Pdebian/made\\n\\tdpkg-deb --root-owner-group --build debian/made ..\\nbinary-arch:\\n' >debian/rules
chmod +x debian/rules
dpkg-buildpackage -d -b -us -uc >/dev/null 2>&1
dpkg -i ../made_1_all.deb >/dev/null
`

const archBuild = `
mkdir /tmp/made && cd /tmp/made
printf 'pkgname=made\\npkgver=1\\npkgrel=1\\narch=(any)\\noptions=(!strip !debug)\\npackage() { mkdir -p "$pkgdir/usr/share"; echo >"$pkgdir/usr/share/made"; }\\n' >PKGBUILD
chown -R nobody .
setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp/made PKGEXT=.pkg.tar.zst makepkg --nodeps --nosign >/dev/null 2>&1
pacman --noconfirm -U made-1-1-any.pkg.tar.zst >/dev/null
`

const rpmBuild = `
mkdir /tmp/made && cd /tmp/made
printf 'Name: made\\nVersion: 1\\nRelease: 1\\nSummary: made\\nLicense: MIT\\nBuildArch: noarch\\n%%description\\nmade\\n%%install\\nmkdir -p %%{buildroot}/usr/share\\necho >%%{buildroot}/usr/share/made\\n%%files\\n/usr/share/made\\n' >made.spec
rpmbuild -bb --define '_topdir /tmp/made' made.spec >/dev/null 2>&1
rpm -i RPMS/noarch/made-1-1.noarch.rpm
`

function aptArchive(): Archive {
  return {
    name: 'its own',
    request: { include: ['dpkg-dev', 'make'] },
    publish: () => Promise.resolve(),
    build: debianBuild,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

async function pacmanArchive(): Promise<Archive> {
  const signer = makeGpgSigner(room.path, 'packager')
  const mirror = join(room.path, 'arch')
  const offer = await pacmanSystemMirror(mirror, signer)
  await addImage(mirror, signer)
  const routes: Record<string, Buffer> = {}
  const refresh = () => Object.assign(routes, filesBelow(mirror))
  refresh()
  const publish = async (version: '1' | '2') => {
    await offer(version)
    refresh()
  }
  const server = await serve(routes)
  return {
    name: 'stand-in',
    request: { mirror: server.origin, keyring: signer.keyring, include: ['base-devel', 'tool'] },
    reset: () => publish('1'),
    publish: () => publish('2'),
    version: ['pacman', '-Q', 'tool'],
    build: archBuild,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      signer[Symbol.dispose]()
    },
  }
}

/** What the distribution has as a tar: a tree with pacman. */
async function addImage(
  mirror: string,
  signer: { readonly keyring: string; detach(data: Buffer): Buffer },
): Promise<void> {
  const request = {
    ...{ recipe: 'arch', via: 'pacman', mirror, keyring: signer.keyring, name: 'image' },
    // pacman-key needs what Debian has in its package of makepkg.
    include: ['base-devel'],
  }
  const { path } = await createTree(await planCreate(request, machinesDirectory), context)
  const directory = join(mirror, 'iso/latest')
  await mkdir(directory, { recursive: true })
  const image = join(directory, 'archlinux-bootstrap-x86_64.tar.zst')
  const names = ['--exclude=./etc/pacman.d/gnupg', '--transform=s,^\\.,root.x86_64,']
  await execa('tar', ['--zstd', '-cf', image, ...names, '-C', path, '.'])
  await writeFile(`${image}.sig`, signer.detach(await readFile(image)))
  await rm(path, { recursive: true })
}

async function rpmArchive(recipe: RpmRecipe): Promise<Archive> {
  const { mirror, repository, keyring, newer } = await rpmSystemMirror(
    recipe,
    recipe.defaultRelease,
    room.path,
  )
  let server: WebServer | undefined
  const build = ['rpm', ...(recipe.packageSets.minimal.include.includes('zypper') ? [] : ['dnf'])]
  return {
    name: 'stand-in',
    request: { mirror, keyring, repositories: [repository], include: [...build, 'tool'] },
    async publish(tree) {
      server ??= await serve(filesBelow(mirror))
      await writeFile(join(tree, 'etc/stand-in.asc'), readFileSync(keyring))
      const lines = [
        ...['[newer]', 'name=newer', 'enabled=1', `baseurl=${server.origin}/${newer}`],
        ...['gpgcheck=1', 'gpgkey=file:///etc/stand-in.asc', ''],
      ]
      const zypper = recipe.strategies.some((id) => id === 'zypper')
      const directory = join(tree, zypper ? 'etc/zypp/repos.d' : 'etc/yum.repos.d')
      // Its own repositories are those of the distribution.
      await rm(directory, { recursive: true, force: true })
      await mkdir(directory, { recursive: true })
      await writeFile(join(directory, 'newer.repo'), lines.join('\n'))
    },
    version: ['rpm', '-q', 'tool'],
    build: rpmBuild,
    [Symbol.asyncDispose]: async () => server?.[Symbol.asyncDispose](),
  }
}

function filesBelow(directory: string): Record<string, Buffer> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true })
  return Object.fromEntries(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [`/${relative(directory, path)}`, readFileSync(path)] as const),
  )
}

function archiveOf(recipe: Recipe): Promise<Archive> | Archive {
  if (recipe.family === 'apt') return aptArchive()
  return recipe.family === 'pacman' ? pacmanArchive() : rpmArchive(recipe)
}

function timeClass(ms: number): string {
  if (ms < 10_000) return 'seconds'
  return ms < 60_000 ? 'under a minute' : 'minutes'
}

const reason = (error: unknown): string =>
  error instanceof NspawnError
    ? error.message
        .replaceAll(room.path, '…')
        .split('\n')[0]!
        .replace(/^(cannot make a tree with \S+|\S+ cannot make this tree): /, '')
    : ((error as Error).message.split('\n')[0] ?? '').slice(0, 60)

/** `yes` or what went wrong. */
async function attempt(work: () => Promise<string>): Promise<string> {
  try {
    return await work()
  } catch (error) {
    console.log(`    ${(error as Error).message}`)
    return `**no**: ${reason(error)}`
  }
}

/** One way: the cells behind recipe and way. */
async function tryWay(recipe: Recipe, via: string, archive: Archive | string): Promise<string[]> {
  const whole: TreeRequest = {
    ...{ recipe: recipe.id, name: `${recipe.id}-${via.replace(':', '-')}`, via },
    ...(typeof archive === 'string' ? {} : archive.request),
  }
  const refused = (error: unknown, from = '') => [
    `refused: ${reason(error)}`,
    ...[from, '', '', '', '', ''],
  ]
  const made = async (request: TreeRequest) =>
    createTree(await planCreate(request, machinesDirectory), context)
  if (typeof archive === 'string') {
    return await made(whole).then(
      () => ['made', '', '', '', '', '', ''],
      (error: unknown) => refused(error, archive),
    )
  }
  await archive.reset?.()
  let request = whole
  let from = archive.name
  const tree = await made(request)
    .catch(async (error: unknown) => {
      // Only the embedded bootstrapper has keys of its own.
      if (recipe.id !== 'ubuntu' || !/keyring/.test(reason(error))) throw error
      request = { ...whole, keyring: 'templates/ubuntu/ubuntu-archive-keyring.gpg' }
      from = `${archive.name}, with \`--keyring\``
      return made(request)
    })
    .catch((error: unknown) => error)
  if (tree instanceof Error) return refused(tree, from)
  const { path, durationMs, packages } = tree as Awaited<ReturnType<typeof createTree>>
  const entered = await attempt(async () => {
    const said = await inside(
      path,
      'sh',
      '-c',
      '. /etc/os-release; echo "$ID $VERSION_ID$BUILD_ID"; uname -m',
    )
    return said.replace('\n', ', ')
  })
  const checked = await attempt(async () => {
    const others = { ...request, name: 'strangers', keyring: stranger.keyring }
    const error = await made(others).then(
      async (taken) => {
        await rm(taken.path, { recursive: true })
        return new Error('taken with the keys of a stranger')
      },
      (failure: unknown) => failure,
    )
    if ((error as NspawnError).code !== 'BOOTSTRAP_SIGNATURE') throw error
    return 'yes'
  })
  const updated = await attempt(async () => {
    const before = archive.version && (await inside(path, ...archive.version))
    await archive.publish(path)
    const [program, ...args] = tsnspawnBuild(
      ...['--machines-dir', machinesDirectory, '--state-dir', context.stateDirectory],
      ...['update', request.name!],
    )
    await execa(program, args, { stdin: 'ignore', timeout: 300_000 })
    if (archive.version === undefined) return 'nothing newer'
    const after = await inside(path, ...archive.version)
    return before === after ? `**no**: ${after}` : 'yes'
  })
  const built = await attempt(async () => {
    await inside(path, 'sh', '-ec', archive.build)
    return 'yes'
  })
  await rm(path, { recursive: true, force: true })
  return [
    `made, ${packages} packages`,
    from,
    entered,
    checked,
    updated,
    built,
    timeClass(durationMs),
  ]
}

const head = [
  row(
    ...['recipe', 'way', 'result', 'archive', 'entered', 'keys of others refused', 'updated'],
    ...['built in', 'time'],
  ),
  row(...Array.from({ length: 9 }, () => '---')),
]

/** Puts the rows of a recipe in the place of those that it had. */
function keepRows(id: string, rows: readonly string[]): void {
  const marked = /(<!-- table -->\n)([\s\S]*)(<!-- end of table -->)/
  const text = readFileSync(page, 'utf8')
  const before = marked.exec(text)?.[2]?.split('\n')
  if (before === undefined) throw new Error(`${page} has no place for the table`)
  const rowsOf = (one: string) =>
    one === id ? rows : before.filter((line) => line.startsWith(`| ${one} `))
  const table = [...head, ...recipeIds.flatMap(rowsOf)].join('\n')
  writeFileSync(
    page,
    text.replace(
      marked,
      (_all, begin: string, _old, end: string) => `${begin}\n${table}\n\n${end}`,
    ),
  )
}

const only = process.argv.slice(2)
for (const id of recipeIds.filter((one) => only.length === 0 || only.includes(one))) {
  const recipe = await loadRecipe(id)
  const rows: string[] = []
  const archive = recipe.id === 'archarm' ? 'its own' : await archiveOf(recipe)
  for (const via of recipe.strategies) {
    console.log(`${recipe.id} by ${via}`)
    const cells = await tryWay(recipe, via, archive)
    rows.push(row(`${recipe.id} ${recipe.defaultRelease}`, `\`${via}\``, ...cells))
    console.log(`  ${cells.join(' | ')}`)
  }
  if (typeof archive !== 'string') await archive[Symbol.asyncDispose]()
  keepRows(id, rows)
}
