/** What goes wrong in zypper, recognised by its words and those of libzypp and rpm below it. */
import type { Diagnosis } from '../strategy.ts'

interface Meaning {
  readonly code: string
  readonly what: string
  readonly hint: string
}

const unreachable: Meaning = {
  code: 'BOOTSTRAP_MIRROR',
  what: 'the mirror cannot be reached, or does not answer in time',
  hint: 'check the network, --mirror and --release',
}

const patterns: readonly (readonly [RegExp, Meaning])[] = [
  [
    /No space left on device|needs \S+ ?\w* (more space )?on the \S+ filesystem|not enough (free )?(disk )?space|Disk quota exceeded/i,
    {
      code: 'ENOSPC',
      what: 'the disk is full',
      hint: 'free some space, or put the machines directory elsewhere with --machines-dir',
    },
  ],
  [
    /is unsigned[.,]|^ *Key Name: |Signature verification failed|is signed with (an )?unknown key|Header is unsigned|header signature is missing/i,
    {
      code: 'BOOTSTRAP_SIGNATURE',
      what: 'the index or a package is not signed by a trusted key',
      hint: 'give the right key with --keyring, or update the package of this host that brings it',
    },
  ],
  [
    /Digest verification failed|has wrong checksum|seems to be corrupted|digests? (SIGNATURES )?NOT OK|cpio: /i,
    {
      code: 'BOOTSTRAP_CORRUPT',
      what: 'a download does not match the index',
      hint: 'the mirror may be changing; try again, or take another with --mirror',
    },
  ],
  [
    /Repository type can't be determined|not found on medium|Specified path '.*' is not a directory/i,
    {
      code: 'BOOTSTRAP_SUITE',
      what: 'the mirror does not have this release, or not all of it',
      hint: 'check --release and --mirror',
    },
  ],
  // Of several lines about the same this one says most.
  [/^Error message: /, unreachable],
  [
    /Timeout exceeded when accessing|temporarily unaccessible|Download \(curl\) error|HTTP response: 5\d\d|Error trying to read from/i,
    unreachable,
  ],
  [
    /^No provider of '.*' found/,
    {
      code: 'BOOTSTRAP_PACKAGE',
      what: 'a package is not in the repositories',
      hint: 'check --include, or add where it is with --repo',
    },
  ],
  [
    /^Problem: |^Problem \d+: |^Detected \d+ file conflict/,
    {
      code: 'BOOTSTRAP_PACKAGE',
      what: 'the packages cannot be installed together',
      hint: 'check --include, --exclude and --repo; the log has the words of zypper',
    },
  ],
  [
    /%\w+\(.*\) scriptlet failed/,
    {
      code: 'BOOTSTRAP_SCRIPT',
      what: 'a script of a package failed, so that the package cannot be installed',
      hint: 'leave the package out with --exclude; the log has the words of the script',
    },
  ],
]

/** The first cause that is known to lie at the root, with the line that says it. */
export function diagnoseZypper(lines: readonly string[]): Diagnosis | undefined {
  const told = lines.filter((line) => !line.startsWith('+ ') && line.trim() !== '')
  for (const [pattern, { code, what, hint }] of patterns) {
    const index = told.findIndex((line) => pattern.test(line))
    if (index === -1) continue
    return { code, message: `${what}: ${words(told, index)}`, hint }
  }
  return undefined
}

/** A file that two packages bring stands on the next line. */
function words(lines: readonly string[], index: number): string {
  const line = lines[index]!.trim().replace(/ +/g, ' ')
  return line.startsWith('Detected ') ? `${line} ${lines[index + 1]?.trim() ?? ''}` : line
}

/**
 * Whether a failure to fetch an index may be gone a little later: the server says so itself, or it led to a mirror that
 * is not there. What lies at the named host, or with signatures, is told at once.
 *
 * @param hosts of the repositories
 */
export function mayPass(lines: readonly string[], hosts: readonly string[]): boolean {
  return lines.some((line) => {
    if (/temporarily unaccessible|HTTP response: 5\d\d/.test(line)) return true
    const elsewhere = /(?:Failed to connect to|Could not resolve host:?) ([^\s:]+)/.exec(line)?.[1]
    return elsewhere !== undefined && !hosts.includes(elsewhere)
  })
}
