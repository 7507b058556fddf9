/** What goes wrong with pacman, pacman-key and pacstrap, recognised by their words (in English, which we ask for). */
import type { Diagnosis } from '../strategy.ts'

const untrusted = {
  code: 'BOOTSTRAP_SIGNATURE',
  hint: "give the right keys with --keyring, or update this host's package with the keys of the distribution",
} as const

const together = {
  code: 'BOOTSTRAP_PACKAGE',
  what: 'packages cannot be installed together',
  hint: 'check --include and --exclude; the log has the words of pacman',
} as const

const unsatisfied = {
  code: 'BOOTSTRAP_PACKAGE',
  what: 'a package needs what no repository has',
  hint: 'check --include, and name further repositories with --repo',
} as const

/** What is particular comes before what only sums up. */
const patterns: readonly (readonly [
  RegExp,
  Omit<Diagnosis, 'message'> & { readonly what: string },
])[] = [
  [
    /No space left on device|not enough free disk space|Disk quota exceeded|Failed to write to destination|Write failed/i,
    {
      code: 'ENOSPC',
      what: 'the disk is full',
      hint: 'free some space, or put the machines directory elsewhere with --machines-dir',
    },
  ],
  [
    /missing required signature|\.sig' from .* 404|\.sig' from .*(?:Couldn't|Could not) (?:open|read) file/i,
    { ...untrusted, what: 'a package is not signed' },
  ],
  [
    /is unknown trust|key ".*" is (?:unknown|disabled)|is marginal trust|is never trust|required key missing|could not be locally signed/i,
    { ...untrusted, what: 'a package or an index is signed by a key that is not trusted' },
  ],
  [
    /signature from ".*" is (?:invalid|expired)|key ".*" is expired|signature format error|invalid or corrupted (?:package|database) \(PGP signature\)/i,
    { ...untrusted, what: 'a signature does not hold' },
  ],
  [
    /is corrupted \(|invalid or corrupted (?:package|database)|Unrecognized archive format/i,
    {
      code: 'BOOTSTRAP_CORRUPT',
      what: 'a download does not match the index, or is broken',
      hint: 'the mirror may be changing; try again, or take another with --mirror',
    },
  ],
  [
    /Operation too slow|transfer closed with|Connection reset|Empty reply/i,
    {
      code: 'BOOTSTRAP_MIRROR',
      what: 'the mirror stopped in the middle of a file',
      hint: 'try again, or take another with --mirror',
    },
  ],
  [
    /failed retrieving file '[^']*\.db' .*(?:404|403|Couldn't open file|Could not open file)/i,
    {
      code: 'BOOTSTRAP_SUITE',
      what: 'the mirror does not have this release',
      hint: 'check --release, --mirror and --repo',
    },
  ],
  [
    /failed retrieving file .*(?:404|Couldn't open file|Could not open file)/i,
    {
      code: 'BOOTSTRAP_MIRROR',
      what: 'the mirror does not have a package that its index promises',
      hint: 'the mirror may be changing; try again, or take another with --mirror',
    },
  ],
  [
    /failed retrieving file|Could not resolve|Failed to connect|Couldn't connect|Connection refused|Connection timed out/i,
    {
      code: 'BOOTSTRAP_MIRROR',
      what: 'the mirror cannot be reached',
      hint: 'check the network, --mirror and --repo',
    },
  ],
  [
    /target not found|package group '.*' was not found/i,
    {
      code: 'BOOTSTRAP_PACKAGE',
      what: 'a package is not in the repositories',
      hint: 'check --include',
    },
  ],
  [/ are in conflict|exists in filesystem|exists in both/i, together],
  [/conflicting dependencies|conflicting files|unresolvable package conflicts/i, together],
  [/unable to satisfy dependency|cannot resolve/i, unsatisfied],
  [/could not satisfy dependencies/i, unsatisfied],
]

/** The first cause that is known to lie at the root, with the line that says it. */
export function diagnosePacman(lines: readonly string[]): Diagnosis | undefined {
  for (const [pattern, { what, ...diagnosis }] of patterns) {
    const line = lines.find((text) => pattern.test(text))
    if (line === undefined) continue
    return { ...diagnosis, message: `${what}: ${line.replace(/^error: /, '').trim()}` }
  }
  return undefined
}
