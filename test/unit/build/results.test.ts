import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { collectChanges } from '../../../src/build/debian/changes.ts'
import { prepareOutputDirectory, publishFiles } from '../../../src/build/results.ts'
import { ownerOf, type Owner } from '../../../src/owner.ts'

const control = {
  name: 'hello',
  version: '1:2.10-5',
  format: '3.0 (quilt)',
  architecture: 'any',
  buildDepends: {},
}
const deb = 'this is a package'
const hash = createHash('sha256').update(deb).digest('hex')
const changes = (name = 'hello_2.10-5_amd64.deb', sha256 = hash) =>
  `Source: hello\nChecksums-Sha256:\n ${sha256} ${deb.length} ${name}\nFiles:\n x ${deb.length} devel optional ${name}\n`

let directory: string
let upper: string
let destination: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'results-'))
  upper = join(directory, 'upper')
  destination = join(directory, 'out')
  mkdirSync(destination)
  put('hello_2.10-5_amd64.changes', changes())
  put('hello_2.10-5_amd64.deb', deb)
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const place = (name: string) => join(upper, 'build/reproducible-path', name)

function put(name: string, text: string): void {
  mkdirSync(dirname(place(name)), { recursive: true })
  writeFileSync(place(name), text)
}

const collect = () => collectChanges(upper, control, destination)

test('exactly what the .changes names is taken, and the .changes', async () => {
  put('stray_1_amd64.deb', 'x')
  const files = await collect()
  expect(files.map(({ name }) => name)).toEqual([
    'hello_2.10-5_amd64.deb',
    'hello_2.10-5_amd64.changes',
  ])
  expect(readdirSync(destination).toSorted()).toEqual([
    'hello_2.10-5_amd64.changes',
    'hello_2.10-5_amd64.deb',
  ])
  expect(files[0]).toEqual({ name: 'hello_2.10-5_amd64.deb', sizeBytes: deb.length, sha256: hash })
})

describe('with a .buildinfo', () => {
  const name = 'hello_2.10-5_amd64.buildinfo'
  const write = (sha256: string, file = 'hello_2.10-5_amd64.deb') => {
    const text = `Format: 1.0\nSource: hello\nChecksums-Sha256:\n ${sha256} ${deb.length} ${file}\n`
    const own = createHash('sha256').update(text).digest('hex')
    put(name, text)
    put(
      'hello_2.10-5_amd64.changes',
      `Source: hello\nChecksums-Sha256:\n ${hash} ${deb.length} hello_2.10-5_amd64.deb\n ${own} ${text.length} ${name}\n`,
    )
  }

  test('that names the same files, both are results', async () => {
    write(hash)
    expect((await collect()).map((file) => file.name)).toContain(name)
  })

  test('that names another file of the name, or not this one, nothing is', async () => {
    const refusal = { code: 'BUILD_RESULTS', message: expect.stringContaining('.buildinfo') }
    write('0'.repeat(64))
    await expect(collect()).rejects.toMatchObject(refusal)
    rmSync(destination, { recursive: true })
    mkdirSync(destination)
    write(hash, 'other_1_amd64.deb')
    await expect(collect()).rejects.toMatchObject(refusal)
  })
})

describe('a hostile build gets nothing of the host into the results', () => {
  const refusal = (message: string) => ({
    code: 'BUILD_RESULTS',
    message: expect.stringContaining(message),
  })

  test('not by a link in place of a package', async () => {
    rmSync(place('hello_2.10-5_amd64.deb'))
    symlinkSync('/etc/passwd', place('hello_2.10-5_amd64.deb'))
    await expect(collect()).rejects.toMatchObject(refusal('it is no regular file'))
  })

  test('not by a link in place of the .changes', async () => {
    rmSync(place('hello_2.10-5_amd64.changes'))
    symlinkSync('/etc/passwd', place('hello_2.10-5_amd64.changes'))
    await expect(collect()).rejects.toMatchObject(refusal('it is no regular file'))
  })

  test('not by a link in place of the build directory', async () => {
    const real = join(directory, 'elsewhere')
    execFileSync('mv', [join(upper, 'build'), real])
    symlinkSync(real, join(upper, 'build'))
    await expect(collect()).rejects.toMatchObject(refusal('it is no regular file or directory'))
  })

  test('not by a path in the .changes', async () => {
    put('hello_2.10-5_amd64.changes', changes('../../../../../etc/passwd'))
    await expect(collect()).rejects.toMatchObject({ code: 'BUILD_RESULTS' })
  })

  test('not by a fifo that would block for ever', async () => {
    rmSync(place('hello_2.10-5_amd64.deb'))
    execFileSync('mkfifo', [place('hello_2.10-5_amd64.deb')])
    await expect(collect()).rejects.toMatchObject(refusal('it is no regular file'))
  })
})

test.each([
  [
    'without a .changes',
    () => rmSync(place('hello_2.10-5_amd64.changes')),
    'there is no hello_2.10-5_*.changes',
  ],
  ['with two', () => put('hello_2.10-5_all.changes', ''), 'there is more than one'],
  ['with a missing package', () => rmSync(place('hello_2.10-5_amd64.deb')), 'it is not there'],
  [
    'with another package',
    () => put('hello_2.10-5_amd64.deb', 'THIS is a package'),
    'it is not the file that the .changes names',
  ],
])('a build %s has failed', async (_what, spoil, message) => {
  spoil()
  await expect(collect()).rejects.toMatchObject({
    code: 'BUILD_RESULTS',
    message: expect.stringContaining(message),
  })
})

test.each([
  ['below /proc, where nothing can be made', '/proc/nope/out'],
  ['below a file', '/etc/passwd/out'],
])('an output directory %s is refused at once', async (_what, path) => {
  const preparing = prepareOutputDirectory(path, undefined)
  await expect(preparing).rejects.toMatchObject({ code: 'INVALID_OUTPUT' })
})

test('an output directory is made with those above it, and told from one that was there', async () => {
  const path = join(directory, 'a/b')
  expect(await prepareOutputDirectory(path, undefined)).toEqual([join(directory, 'a'), path])
  expect(await prepareOutputDirectory(path, undefined)).toEqual([])
})

describe('publishing', () => {
  const from = () => join(directory, 'from')
  const publish = (...names: string[]) =>
    publishFiles([{ directory: from(), names }], destination, undefined)
  beforeEach(() => {
    mkdirSync(from())
    writeFileSync(join(from(), 'a'), 'new a')
    writeFileSync(join(from(), 'b'), 'new b')
  })

  test('replaces older files, and a link instead of what it points to', async () => {
    const precious = join(directory, 'precious')
    writeFileSync(precious, 'keep me')
    symlinkSync(precious, join(destination, 'a'))
    expect(await publish('a', 'b')).toEqual([join(destination, 'a'), join(destination, 'b')])
    expect(readFileSync(join(destination, 'a'), 'utf8')).toBe('new a')
    expect(readFileSync(precious, 'utf8')).toBe('keep me')
    expect(readdirSync(destination).toSorted()).toEqual(['a', 'b'])
  })

  test('is all or nothing', async () => {
    writeFileSync(join(destination, 'a'), 'old a')
    await expect(publish('a', 'missing')).rejects.toMatchObject({ code: 'BUILD_RESULTS' })
    await expect(
      publishFiles(
        [{ directory: from(), names: ['a'] }],
        destination,
        undefined,
        AbortSignal.abort(),
      ),
    ).rejects.toMatchObject({ code: 'CANCELED' })
    expect(readFileSync(join(destination, 'a'), 'utf8')).toBe('old a')
    expect(readdirSync(destination)).toEqual(['a'])
  })

  test('removes what a killed run left half copied, and no other run', async () => {
    const { pid, startTime } = ownerOf(process.ppid) as Owner
    const part = (owner: string) => join(destination, `.#a.${owner}.part`)
    const [ended, pidTaken] = [part('999999999-1'), part(`${pid}-${startTime + 1}`)]
    const alive = part(`${pid}-${startTime}`)
    for (const path of [ended, pidTaken, alive]) writeFileSync(path, '')
    await publish('b')
    expect([ended, pidTaken, alive].map((path) => existsSync(path))).toEqual([false, false, true])
  })
})
