/**
 * Rebuilding a package without a change of its source (Debian Developer's Reference 5.10.2): a changelog entry that says so gives
 * its binary packages another version. As sbuild writes it.
 */
import type { SourceControl } from './source-control.ts'

export interface Rebuild {
  /** Makes the version end in `+bN`. */
  readonly number?: number | undefined
  /** Why; lines of an entry. */
  readonly reason?: string | undefined
  /** Appended to the version, before `+bN`. */
  readonly suffix?: string | undefined
  /** `Name <address>`. */
  readonly maintainer: string
  /** Of the entry, and so of the files in the packages; seconds since 1970. */
  readonly time: number
}

/** For what it is rebuilt. */
export interface RebuildCase {
  /** As dpkg calls it. */
  readonly architecture: string
  /** Of the entry: `bookworm`. */
  readonly distribution: string
}

/** The version that binary packages have then. */
export function rebuiltVersion(version: string, { number, suffix = '' }: Rebuild): string {
  return `${version}${suffix}${number === undefined ? '' : `+b${number}`}`
}

/** The entry that goes above all others, with an empty line at its end. */
export function changelogEntry(
  { name, version }: Pick<SourceControl, 'name' | 'version'>,
  rebuild: Rebuild,
  { architecture, distribution }: RebuildCase,
): string {
  const { number, suffix, reason, maintainer, time } = rebuild
  const changes = [
    ...(suffix === undefined ? [] : [`Append ${suffix} to version number; no source changes`]),
    ...(number === undefined
      ? []
      : [`Binary-only non-maintainer upload for ${architecture}; no source changes.`]),
    ...(reason === undefined
      ? []
      : [
          reason
            .trim()
            .split(/\s*\n\s*/)
            .join('\n    '),
        ]),
  ]
  return [
    `${name} (${rebuiltVersion(version, rebuild)}) ${distribution}; urgency=low, binary-only=yes`,
    '',
    ...changes.map((change) => `  * ${change}`),
    '',
    // As date -R writes it (RFC 5322), which toUTCString() does but for the zone.
    ` -- ${maintainer}  ${new Date(time * 1000).toUTCString().replace('GMT', '+0000')}`,
    '',
    '',
  ].join('\n')
}
