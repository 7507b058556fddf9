/** What goes wrong in both Debian tools, recognised by the words of apt, dpkg and wget. */
import type { Diagnosis } from '../strategy.ts'

const patterns: readonly (readonly [
  RegExp,
  Omit<Diagnosis, 'message'> & { readonly what: string },
])[] = [
  [
    /No space left on device|(?:not|n't) have enough free space|Disk quota exceeded/i,
    {
      code: 'ENOSPC',
      what: 'the disk is full',
      hint: 'free some space, or put the machines directory elsewhere with --machines-dir',
    },
  ],
  [
    /NO_PUBKEY|BADSIG|invalid release signature|EXPKEYSIG|KEYEXPIRED|is not signed|invalid signature|bad signature|signed by unknown key|Failed getting release signature file/i,
    {
      code: 'BOOTSTRAP_SIGNATURE',
      what: 'the archive is not signed by a trusted key',
      hint: 'give the right key with --keyring, or update the keyring package of this host',
    },
  ],
  [
    /404 +Not Found|does not have a Release file|Invalid Release file/i,
    {
      code: 'BOOTSTRAP_SUITE',
      what: 'the mirror does not have this release',
      hint: 'check --release and --mirror',
    },
  ],
  [
    /Could not connect|Connection refused|Could not resolve|Temporary failure resolving|Connection timed out|Failed getting release file|Network is unreachable/i,
    {
      code: 'BOOTSTRAP_MIRROR',
      what: 'the mirror cannot be reached, or does not have this release',
      hint: 'check the network, --mirror and --release',
    },
  ],
  [
    /Unable to locate package|has no installation candidate|Couldn't find these (debs|packages)/i,
    {
      code: 'BOOTSTRAP_PACKAGE',
      what: 'a package is not in the archive',
      hint: 'check --include and --exclude',
    },
  ],
  [
    /Held packages were changed|Unable to correct problems|have unmet dependencies/i,
    {
      code: 'BOOTSTRAP_PACKAGE',
      what: 'the packages cannot be installed together',
      hint: 'check --include and --exclude; the log has the words of apt',
    },
  ],
  [
    /Hash Sum mismatch|was corrupt|unexpected size/i,
    {
      code: 'BOOTSTRAP_CORRUPT',
      what: 'a download does not match the index',
      hint: 'the mirror may be changing; try again, or take another with --mirror',
    },
  ],
  [
    / script subprocess (returned error|was killed|failed)/,
    {
      code: 'BOOTSTRAP_SCRIPT',
      what: 'a script of a package failed',
      hint: 'the log has the words of the script',
    },
  ],
]

/** The first cause that is known to lie at the root, with the line that says it. */
export function diagnoseApt(lines: readonly string[]): Diagnosis | undefined {
  for (const [pattern, { what, ...diagnosis }] of patterns) {
    const line = lines.find((text) => pattern.test(text))
    if (line !== undefined) return { ...diagnosis, message: `${what}: ${line.trim()}` }
  }
  return undefined
}
