/** What `create --dry-run` and `create` refuse alike, before anything is begun. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkCreate, planCreate } from '../../../src/bootstrap/create.ts'
import type { TreeRequest } from '../../../src/bootstrap/plan.ts'
import { checkKeyring } from '../../../src/bootstrap/preflight.ts'
import { exitClass } from '../../../src/cli/exit-codes.ts'

let directory: string
let machines: string
const at = (name: string) => join(directory, name)

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'preflight-'))
  machines = at('machines')
  mkdirSync(join(machines, 'there'), { recursive: true })
  writeFileSync(join(machines, 'there/file'), '')
  writeFileSync(at('there.tar'), '')
  writeFileSync(at('notes.txt'), 'no keys\n')
  mkdirSync(at('mirror/dists/trixie'), { recursive: true })
  // A public key packet of the old form, and one of the new.
  writeFileSync(at('old.gpg'), Buffer.from([0x99, 0x02, 0x0d, 0x04]))
  writeFileSync(at('new.gpg'), Buffer.from([0xc6, 0x33, 0x04]))
  writeFileSync(at('keys.asc'), 'pub\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n')
})
afterAll(() => rmSync(directory, { recursive: true }))

async function look(wish: Partial<TreeRequest>): Promise<string[]> {
  const request = { recipe: 'debian', via: 'embedded', name: 'tree', ...wish }
  return checkCreate(await planCreate(request, machines), machines)
}

const words = (said: object): Partial<TreeRequest> => ({
  customize: { words: said, directory },
})

test.each<[string, () => Partial<TreeRequest>, string]>([
  ['a name that is taken', () => ({ name: 'there' }), 'there is something at'],
  [
    'an archive that is there',
    () => ({ output: { file: at('there.tar') } }),
    'there is something at',
  ],
  ['a hook that is not there', () => words({ hooks: ['nosuch'] }), 'no hook called "nosuch"'],
  ['a subvolume where there are none', () => ({ output: { form: 'subvolume' } }), 'subvolume'],
  ['a mirror that is not there', () => ({ mirror: at('gone') }), 'there is no archive at'],
  [
    'a second mirror that is not there',
    () => ({ mirror: 'http://[::1]/x', otherMirrors: [at('gone')] }),
    'there is no archive at',
  ],
  ['a keyring that is not there', () => ({ keyring: at('gone') }), 'there is no such file'],
  ['a keyring that is a directory', () => ({ keyring: directory }), 'it is no file'],
  ['a keyring without keys', () => ({ keyring: at('notes.txt') }), 'there are no public keys'],
  [
    'a directory for an archive that is not there',
    () => ({ output: { file: at('gone/x.tar') } }),
    'there is no directory',
  ],
  [
    'a directory for a disk image that is not there',
    () => ({ output: { file: at('gone/x.raw') } }),
    'there is no directory',
  ],
  [
    'a directory below a file',
    () => ({ name: undefined, directory: at('notes.txt/tree') }),
    'notes.txt is no directory',
  ],
  ['a slip in a time zone', () => words({ timezone: 'Europe/Berlni' }), 'no time zone called'],
  ['a time zone in small letters', () => words({ timezone: 'europe/berlin' }), 'no time zone'],
  ['a slip in a locale', () => words({ locale: 'dd_DE.UTF-8' }), 'no locale called dd_DE.UTF-8'],
  ['a password in clear', () => words({ users: ['ann:secret'] }), 'is seen by everybody'],
])('%s is bad usage', async (_what, wish, message) => {
  const error: unknown = await look(wish()).catch((thrown: unknown) => thrown)
  expect((error as Error).message).toContain(message)
  expect(exitClass(error)).toBe('usage')
})

test('a suite that a mirror on this host does not have is refused, with the one that was meant', async () => {
  await expect(look({ mirror: at('mirror'), release: 'trixi' })).rejects.toMatchObject({
    code: 'BOOTSTRAP_SUITE',
    hint: 'did you mean --release=trixie?',
  })
})

test('a release that only the archive can know is said to be unchecked', async () => {
  const root =
    process.geteuid?.() === 0 ? [] : ['making it needs root, and so may looking at what is there']
  expect(await look({})).toEqual(root)
  expect(await look({ release: 'trixei' })).toEqual([
    ...root,
    'the recipe does not know release trixei (perhaps trixie was meant); whether the archive has it is not checked',
  ])
})

test('keys are known in every form that gpg writes', () => {
  for (const name of ['old.gpg', 'new.gpg', 'keys.asc']) checkKeyring(at(name))
})

test('what is right goes through', async () => {
  for (const timezone of ['Europe/Berlin', 'UTC', 'US/Pacific', 'Etc/GMT+1']) {
    await look(words({ timezone }))
  }
  for (const locale of ['de_DE.UTF-8', 'de_DE.utf8', 'C.UTF-8', 'ca_ES@valencia', 'POSIX'])
    await look(words({ locale }))
})

test.skipIf(process.getuid?.() !== 0)(
  'ordinary users see the plan, and what they may not look at is no failure',
  async () => {
    const closed = at('closed')
    mkdirSync(closed, { mode: 0o700 })
    const plan = await planCreate({ recipe: 'debian', via: 'embedded', name: 'tree' }, closed)
    process.seteuid?.(65_534)
    try {
      expect(await checkCreate(plan, closed)).toEqual([
        'making it needs root, and so may looking at what is there',
      ])
    } finally {
      process.seteuid?.(0)
    }
  },
)
