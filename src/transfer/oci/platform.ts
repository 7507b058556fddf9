/** Which of an index's manifests is for a machine: images name platforms as Go does. */
import { endianness } from 'node:os'
import { NspawnError, usageError } from '../../errors.ts'
import type { IndexEntry, Platform } from './documents.ts'

/** By Go's name, what else people call them: systemd, the kernel, distributions. */
const names: Readonly<Record<string, readonly string[]>> = {
  amd64: ['x86-64', 'x86_64', 'x64'],
  386: ['x86', 'i386', 'i486', 'i586', 'i686', 'ia32'],
  arm64: ['aarch64'],
  arm: ['armhf', 'armv7l', 'armel'],
  ppc64le: ['ppc64-le', 'ppc64el'],
  ppc64: [],
  s390x: [],
  riscv64: [],
  loong64: ['loongarch64'],
  mips64le: ['mips64-le', 'mips64el'],
  mips64: [],
  mipsle: ['mips-le', 'mipsel'],
  mips: [],
}

/** What each variant runs too, the best first. */
const variants: Readonly<Record<string, readonly string[]>> = {
  'arm/v8': ['v8', 'v7', 'v6', 'v5'],
  'arm/v7': ['v7', 'v6', 'v5'],
  'arm/v6': ['v6', 'v5'],
  'arm/v5': ['v5'],
}

/** The variant that is meant where none is said. */
const usual: Readonly<Record<string, string>> = { arm: 'v7', arm64: 'v8', amd64: 'v1' }

/**
 * A platform as asked for on the command line: `amd64`, `x86-64`, `arm/v6`.
 *
 * @throws NspawnError `USAGE`
 */
export function parsePlatform(text: string): Platform {
  const [name = '', variant, ...more] = text.split('/')
  const architecture = goName(name)
  if (architecture !== undefined && more.length === 0 && /^$|^v[0-9]$/.test(variant ?? ''))
    return { os: 'linux', architecture, variant: variant === '' ? undefined : variant }
  throw usageError(
    `there is no architecture "${text}"`,
    `there are: ${Object.keys(names).join(', ')}, with a variant as in arm/v6`,
  )
}

/** The platform of this host. */
export function hostPlatform(): Platform {
  const architecture =
    process.arch === 'ppc64' && endianness() === 'LE' ? 'ppc64le' : goName(process.arch)
  if (architecture !== undefined) return { os: 'linux', architecture, variant: undefined }
  throw usageError(`images know no name for ${process.arch}`, 'choose one with --arch=')
}

function goName(name: string): string | undefined {
  const lower = name.toLowerCase()
  return Object.entries(names).find(([go, others]) => go === lower || others.includes(lower))?.[0]
}

/** `linux/arm/v7`, for messages. */
export function describePlatform({ os, architecture, variant }: Platform): string {
  const text = [os, architecture, ...(variant === undefined ? [] : [variant])].join('/')
  return text.slice(0, 60).replaceAll(/[^\x20-\x7e]/g, '?')
}

/** Whether programs of `offered` are those that were wanted; lower variants count. */
export function fits(offered: Platform, wanted: Platform): boolean {
  return rank(offered, wanted) >= 0
}

/**
 * The entry for a platform, the nearest variant first.
 *
 * @throws NspawnError `NO_SUCH_PLATFORM`, naming those that there are
 */
export function choosePlatform(entries: readonly IndexEntry[], wanted: Platform): IndexEntry {
  const ranked = entries
    .map((entry) => ({
      entry,
      at: entry.platform === undefined ? -1 : rank(entry.platform, wanted),
    }))
    .filter(({ at }) => at >= 0)
    .toSorted((a, b) => a.at - b.at)
  if (ranked[0] !== undefined) return ranked[0].entry
  const there = entries.flatMap(({ platform }) =>
    platform === undefined || platform.os === 'unknown' ? [] : [describePlatform(platform)],
  )
  throw new NspawnError(`the image is not there for ${describePlatform(wanted)}`, {
    code: 'NO_SUCH_PLATFORM',
    operation: 'choose manifest',
    hint:
      there.length === 0
        ? 'it names no platforms'
        : `it is there for ${[...new Set(there)].slice(0, 20).join(', ')}; choose one with --arch=`,
  })
}

/** How far the offer is from the wish; negative when it is something else. */
function rank(offered: Platform, wanted: Platform): number {
  const { os, architecture } = wanted
  if (offered.os !== os || offered.architecture !== architecture) return -1
  const wish = wanted.variant ?? usual[architecture]
  const runs = variants[`${architecture}/${wish}`] ?? (wish === undefined ? [] : [wish])
  // An empty string is what some tools write for none.
  const offer = offered.variant === '' ? undefined : offered.variant
  if (offer === undefined) return runs.length
  return runs.indexOf(offer)
}
