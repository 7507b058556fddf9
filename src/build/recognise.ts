/** Which driver a SOURCE argument is for, told by what lies there; nothing is opened but directories. */
import { readdirSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { looksLikeUrl } from '../transfer/url.ts'
import type { DriverId } from './driver.ts'

/**
 * The drivers that could build what `text` names, most likely first; none when it is nothing that any
 * of them knows. What is neither URL nor path may be the name of a source package of an archive.
 *
 * @param directory absolute; relative paths are looked for from here
 */
export function recogniseSource(text: string, directory: string): readonly DriverId[] {
  if (looksLikeUrl(text)) return byName(text.replace(/[?#].*$/, ''))
  const path = resolve(directory, text)
  const facts = statSync(path, { throwIfNoEntry: false })
  if (facts === undefined) return ['debian']
  return facts.isDirectory() ? byContents(path) : byName(path)
}

function byName(path: string): readonly DriverId[] {
  // Of a repository that has to be cloned first, that driver says so.
  if (path.endsWith('.dsc') || /\.git\/?$/.test(path)) return ['debian']
  if (path.endsWith('/PKGBUILD')) return ['arch']
  return path.endsWith('.spec') || path.endsWith('.src.rpm') ? ['rpm'] : []
}

const marks: readonly { readonly driver: DriverId; isMark(name: string): boolean }[] = [
  { driver: 'debian', isMark: (name) => name === 'debian' },
  { driver: 'arch', isMark: (name) => name === 'PKGBUILD' },
  { driver: 'rpm', isMark: (name) => name.endsWith('.spec') },
]

function byContents(path: string): readonly DriverId[] {
  const names = readdirSync(path)
  return marks.flatMap(({ driver, isMark }) => (names.some(isMark) ? [driver] : []))
}
