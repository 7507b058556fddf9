/** What goes wrong in dnf, of both versions, recognised by its words and those of rpm and librepo below it. */
import type { Diagnosis } from '../strategy.ts'

interface Meaning {
  readonly code: string
  readonly what: string
  readonly hint: string
}

const together: Meaning = {
  code: 'BOOTSTRAP_PACKAGE',
  what: 'the packages cannot be installed together',
  hint: 'check --include, --exclude and --repo; the log has the words of dnf',
}

const scriptFailed: Meaning = {
  code: 'BOOTSTRAP_SCRIPT',
  what: 'a script of a package failed',
  hint: 'leave the package out with --exclude; the log has the words of the script',
}

const patterns: readonly (readonly [RegExp, Meaning])[] = [
  [
    /No space left on device|more space needed on the|needs \S+ more space|Disk quota exceeded|not enough free space|Disk Requirements:/i,
    {
      code: 'ENOSPC',
      what: 'the disk is full',
      hint: 'free some space, or put the machines directory elsewhere with --machines-dir',
    },
  ],
  [
    /is not signed|have enabled checking of packages via GPG keys|public key is not installed|GPG check FAILED|OpenPGP check for package|repomd\.xml GPG signature verification error|repomd\.xml OpenPGP signature|Bad (GPG|PGP|OpenPGP) signature|Import of (the )?key|GPG Keys? configured|Public key for .* is not installed|signatures? NOT OK|No corresponding key was found/i,
    {
      code: 'BOOTSTRAP_SIGNATURE',
      what: 'a package or the index is not signed by a trusted key',
      hint: 'give the right key with --keyring, or update the package of this host that brings it',
    },
  ],
  [
    /checksum (doesn't|does not|didn't) match|Downloading successful, but checksum|digests? (SIGNATURES )?NOT OK|payload digest|cpio: |unpacking of archive failed|Package .* is (corrupt|damaged)|Cannot open: .*\.rpm|malformed|Parse error/i,
    {
      code: 'BOOTSTRAP_CORRUPT',
      what: 'a download does not match the index, or is broken',
      hint: 'the mirror may be changing; try again, or take another with --mirror',
    },
  ],
  [
    /Cache-only enabled|cacheonly|cache-only|only using cache/i,
    {
      code: 'BOOTSTRAP_OFFLINE',
      what: 'something is not in the cache',
      hint: 'make the same tree once without --offline, which fills the cache',
    },
  ],
  [
    /Status code: 404|HTTP code: 404|Status code: 410/i,
    {
      code: 'BOOTSTRAP_SUITE',
      what: 'the mirror does not have this release, or not all of it',
      hint: 'check --release and --mirror',
    },
  ],
  [
    /Curl error|Cannot download repomd\.xml|Failed to download metadata|All mirrors were tried|Operation too slow|Couldn't open file|No more mirrors to try|Cannot prepare internal mirrorlist/i,
    {
      code: 'BOOTSTRAP_MIRROR',
      what: 'the mirror cannot be reached, or does not answer in time',
      hint: 'check the network, --mirror and --release',
    },
  ],
  [
    /Unable to find a match|No match for argument|Module or Group '.*' is not available|No match for group/i,
    {
      code: 'BOOTSTRAP_PACKAGE',
      what: 'a package is not in the repositories',
      hint: 'check --include and --exclude, and add where it is with --repo',
    },
  ],
  // The line that names the culprit comes before those that only say that there is one.
  [/nothing provides/i, together],
  [/is filtered out by exclude|conflicts with|file .* from install of .* conflicts/i, together],
  [
    /conflicting requests|cannot install the best candidate|Depsolve Error|Failed to resolve/i,
    together,
  ],
  [/%\w+\(.*\) scriptlet failed|Error in \w+ scriptlet/, scriptFailed],
]

/** The first cause that is known to lie at the root, with the line that says it, and what may have been meant. */
export function diagnoseDnf(lines: readonly string[]): Diagnosis | undefined {
  for (const [pattern, { code, what, hint }] of patterns) {
    const line = lines.find((text) => pattern.test(text) && !text.startsWith('+ '))
    if (line === undefined) continue
    return { code, message: `${what}: ${line.trim()}`, hint }
  }
  return undefined
}
