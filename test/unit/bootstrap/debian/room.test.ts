import { expect, test } from 'vitest'
import type { ArchivePackage } from '../../../../src/bootstrap/debian/archive-package.ts'
import { checkRoom, neededBytes } from '../../../../src/bootstrap/debian/room.ts'
import { indexOf } from './packages.ts'

function packageOf(name: string, size: number, installedKiB: number): ArchivePackage {
  const fields = { Size: `${size}`, 'Installed-Size': `${installedKiB}` }
  return indexOf({ packages: { [name]: fields } }).candidate(name)!
}

const MiB = 1024 ** 2
const libc = packageOf('libc', 3 * MiB, 12 * 1024)
const gcc = packageOf('gcc', 20 * MiB, 80 * 1024)
const set = { essential: [libc], others: [gcc], automatic: new Set<string>() }

test('a tree needs what is fetched, all files, and once more those that wait for dpkg', () => {
  const nothing = neededBytes(set, () => false)
  expect(nothing).toBeGreaterThan((23 + 92 + 80) * MiB)
  expect(nothing).toBeLessThan((23 + 2 * 92 + 50) * MiB)
  expect(nothing - neededBytes(set, (one) => one === gcc)).toBe(20 * MiB)
})

test('without room it is told how much there would have to be, before anything is fetched', () => {
  const huge = { ...set, others: [packageOf('huge', 1, 10 ** 11)] }
  expect(() => checkRoom(huge, '/', '/nonexistent')).toThrow(
    expect.objectContaining({
      code: 'ENOSPC',
      message: expect.stringMatching(
        /^only \d+ MB are free, and 2 packages need 2\d{8} MB/,
      ) as string,
    }),
  )
  expect(() => checkRoom(set, '/', '/nonexistent')).not.toThrow()
})
