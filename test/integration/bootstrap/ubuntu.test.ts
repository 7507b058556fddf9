/** The recipe of Ubuntu, on a small archive that the test makes and signs itself. */
import { execa } from 'execa'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTree, planCreate } from '../../../src/bootstrap/create.ts'
import { silent } from '../../../src/log.ts'
import { aptArchive, buildDeb, type Deb } from '../../fixtures/apt-archive.ts'
import { debianArchitecture } from '../../fixtures/binary-archive.ts'
import { lacks } from '../../fixtures/requires.ts'
import { makeSigner, type Signer } from '../../fixtures/signing.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { tinyBase } from '../../fixtures/tiny-debian.ts'
import { serve } from '../../fixtures/web-server.ts'

const missing = lacks('root', 'program:dpkg-deb')

let scratch: TemporaryDirectory
let signer: Signer
let debs: Deb[]
let architecture: string

beforeAll(async () => {
  if (missing) return
  scratch = await temporaryDirectory()
  architecture = await debianArchitecture()
  signer = await makeSigner(scratch.path, 'archive')
  debs = [
    await tinyBase(scratch.path, architecture, {
      files: { 'etc/os-release': 'ID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n' },
    }),
    // As Ubuntu's are.
    await buildDeb(scratch.path, {
      name: 'hello',
      files: { 'etc/hello': 'hello\n' },
      compression: 'zstd',
    }),
  ]
})

afterAll(async () => {
  await scratch?.[Symbol.asyncDispose]()
})

// 26.10 has no other hashes.
const options = () => ({ suite: 'noble', architecture, hash: 'SHA512' }) as const

describe.skipIf(missing)('create ubuntu', () => {
  test.each(['noble', '24.04'])('release %s is made and keeps its sources', async (release) => {
    await using dir = await temporaryDirectory()
    await using server = await serve(await aptArchive(debs, signer, options()))
    const plan = await planCreate(
      {
        recipe: 'ubuntu',
        release,
        updates: 'none',
        components: ['main'],
        include: ['hello'],
        mirror: `${server.origin}/debian`,
        keyring: signer.keyring,
      },
      dir.path,
    )
    expect(plan).toMatchObject({ name: 'ubuntu-noble', strategy: 'embedded', variant: 'minbase' })
    const tree = await createTree(plan, {
      machinesDirectory: dir.path,
      stateDirectory: join(scratch.path, 'state'),
      cache: 'off',
      log: silent,
    })
    expect(tree.packages).toBe(2)
    const { stdout } = await execa('chroot', [tree.path, 'cat', '/etc/hello', '/etc/os-release'])
    expect(stdout).toMatch(/^hello\nID=ubuntu$/m)
    expect(readFileSync(join(tree.path, 'etc/apt/sources.list.d/ubuntu.sources'), 'utf8')).toBe(
      [
        'Types: deb',
        `URIs: ${server.origin}/debian`,
        'Suites: noble',
        'Components: main',
        'Signed-By: /etc/apt/keyrings/archive.gpg',
        '',
      ].join('\n'),
    )
  })

  test('an archive that Ubuntu has not signed is refused by the keyring that comes along', async () => {
    await using dir = await temporaryDirectory()
    await using server = await serve(await aptArchive(debs, signer, options()))
    const request = { recipe: 'ubuntu', release: 'noble', updates: 'none' } as const
    const plan = await planCreate({ ...request, mirror: `${server.origin}/debian` }, dir.path)
    const keyring = '/nonexistent/ubuntu-archive-keyring.gpg'
    const run = createTree(
      { ...plan, archive: { ...plan.archive, keyring } },
      { machinesDirectory: dir.path, stateDirectory: scratch.path, cache: 'off', log: silent },
    )
    await expect(run).rejects.toMatchObject({
      code: 'BOOTSTRAP_SIGNATURE',
      cause: { code: 'SIGNER_UNKNOWN', message: expect.stringContaining(signer.keyId) as string },
    })
  })

  test('a tree of another distribution is not published as Ubuntu', async () => {
    await using dir = await temporaryDirectory()
    const others = [await tinyBase(dir.path, architecture)]
    await using server = await serve(await aptArchive(others, signer, options()))
    const mirror = `${server.origin}/debian`
    const plan = await planCreate(
      {
        recipe: 'ubuntu',
        release: 'noble',
        updates: 'none',
        components: ['main'],
        mirror,
        keyring: signer.keyring,
      },
      dir.path,
    )
    const run = createTree(plan, {
      machinesDirectory: dir.path,
      stateDirectory: join(scratch.path, 'state'),
      cache: 'off',
      log: silent,
    })
    await expect(run).rejects.toMatchObject({
      code: 'BOOTSTRAP_VERIFY',
      message: expect.stringContaining('ID=debian where ubuntu was expected') as string,
    })
  })
})
