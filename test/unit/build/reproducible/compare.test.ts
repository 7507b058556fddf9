import { execa } from 'execa'
import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compareResults, type BuiltFiles } from '../../../../src/build/reproducible/compare.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'

/** A directory with results, as a build would have told of them. */
async function built(
  directory: string,
  files: Readonly<Record<string, string | Buffer>>,
): Promise<BuiltFiles> {
  await mkdir(directory, { recursive: true })
  const outputs = []
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(directory, name), content)
    const sha256 = createHash('sha256').update(content).digest('hex')
    outputs.push({ name, sizeBytes: content.length, sha256 })
  }
  return { directory, outputs }
}

async function compare(
  first: Readonly<Record<string, string | Buffer>>,
  second: Readonly<Record<string, string | Buffer>>,
  counts = (_name: string) => true,
) {
  await using work = await temporaryDirectory()
  const a = await built(join(work.path, 'a'), first)
  const b = await built(join(work.path, 'b'), second)
  const found = await compareResults(a, b, counts)
  return found.map(({ name, lines }) => [name, ...lines])
}

/** A tar archive with one file. */
async function tarball(content: string, options: readonly string[]): Promise<Buffer> {
  await using work = await temporaryDirectory()
  await writeFile(join(work.path, 'file'), content)
  const fixed = ['--mtime=@0', '--owner=0', '--group=0']
  await execa('tar', ['-czf', 'x.tar.gz', ...fixed, ...options, 'file'], { cwd: work.path })
  return await readFile(join(work.path, 'x.tar.gz'))
}

/** A Debian package with one file. */
async function deb(content: string): Promise<Buffer> {
  await using work = await temporaryDirectory()
  const control = 'Package: x\nVersion: 1\nArchitecture: all\nMaintainer: X <x@example.org>\n'
  await mkdir(join(work.path, 'x/DEBIAN'), { recursive: true })
  await writeFile(join(work.path, 'x/DEBIAN/control'), `${control}Description: x\n`)
  await writeFile(join(work.path, 'x/file'), content)
  const env = { SOURCE_DATE_EPOCH: '0' }
  await execa('dpkg-deb', ['--root-owner-group', '--build', 'x', 'x.deb'], { cwd: work.path, env })
  return await readFile(join(work.path, 'x.deb'))
}

describe('the results of two builds', () => {
  test('differ where one has something else, or nothing', async () => {
    expect(
      await compare(
        { same: 'x', text: 'a\nb\n', bytes: Buffer.from([0, 1, 2]), gone: 'x' },
        { same: 'x', text: 'a\nc\n', bytes: Buffer.from([0, 1, 3]), more: 'x' },
      ),
    ).toEqual([
      ['text', 'line 2 differs', '- b', '+ c'],
      ['bytes', 'byte 2 is the first that differs, of 3 and 3'],
      ['gone', 'only the first build has made it'],
      ['more', 'only the second build has made it'],
    ])
  })

  test('that only tell of the build do not count', async () => {
    const counts = (name: string) => !name.endsWith('.log')
    expect(await compare({ 'a.log': 'x' }, { 'a.log': 'y' }, counts)).toEqual([])
  })

  test('are looked into where they are archives', async () => {
    const [first, second] = [await tarball('one\n', []), await tarball('one\n', ['--mode=0600'])]
    expect(await compare({ 'x.tar.gz': first }, { 'x.tar.gz': second })).toEqual([
      ['x.tar.gz', 'file: mode 0644 and 0600'],
    ])
  })

  test('are looked into where they are Debian packages', async () => {
    const found = await compare({ 'x.deb': await deb('one\n') }, { 'x.deb': await deb('two\n') })
    expect(found).toEqual([['x.deb', './file: line 1 differs', './file: - one', './file: + two']])
  })

  test('that are broken archives are compared all the same', async () => {
    const [[name, why, where] = []] = await compare({ 'x.deb': 'no\n' }, { 'x.deb': 'yes\n' })
    expect(name).toBe('x.deb')
    expect(why).toMatch(/^it cannot be looked into: .*no ar archive/)
    expect(where).toBe('line 1 differs')
  })
})
