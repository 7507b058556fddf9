/** Whose fault it is when makepkg fails: its exit statuses (makepkg(8), "Errors"), and its words where those say too little. */
import type { Verdict } from '../step-runner.ts'

const retryHint = 'check the network and the URLs of the PKGBUILD, and try again'

const byStatus: Readonly<Record<number, Verdict>> = {
  2: {
    code: 'INVALID_TREE',
    hint: 'mend etc/makepkg.conf of the tree, or build in another one',
  },
  6: {
    code: 'SOURCE_INVALID',
    hint: 'put the file that is missing beside the PKGBUILD',
  },
  8: {
    code: 'DEPENDENCY_UNSATISFIABLE',
    hint: 'name what is missing in depends, makedepends or checkdepends of the PKGBUILD',
  },
  12: { code: 'SOURCE_INVALID', hint: 'mend the PKGBUILD; the lines above say where' },
  15: {
    code: 'DEPENDENCY_UNSATISFIABLE',
    hint: 'name the package with the program in makedepends of the PKGBUILD',
  },
}

const byWords: readonly (readonly [RegExp, Verdict])[] = [
  [
    /PGP signatures could not be verified|^\s*.*unknown public key/,
    {
      code: 'SOURCE_SIGNATURE',
      hint: 'put the key into keys/pgp beside the PKGBUILD, or name it with --keyring',
    },
  ],
  [
    /did not pass the validity check|Integrity checks .* differ in size/,
    {
      code: 'SOURCE_CHECKSUM',
      hint: 'the file is not the one that the PKGBUILD names: get both again',
    },
  ],
  [
    /Integrity checks are missing/,
    { code: 'SOURCE_CHECKSUM', hint: 'write the digests into the PKGBUILD with updpkgsums' },
  ],
  [
    /Failure while (downloading|branching|updating|creating)|Could not resolve host/,
    { code: 'SOURCE_FETCH', hint: retryHint },
  ],
  [
    /Failed to extract/,
    { code: 'SOURCE_UNPACK', hint: 'the archive is broken: get it again, or tell its maintainer' },
  ],
  [
    /was not found in the build directory and is not a URL|Unable to find source file/,
    { code: 'SOURCE_INVALID', hint: 'put the file that is missing beside the PKGBUILD' },
  ],
]

/** A failure of `makepkg --verifysource`, told by its words: most of its statuses are 1. */
export function judgeSources(status: number, lines: readonly string[]): Verdict | undefined {
  const found = byWords.find(([pattern]) => lines.some((line) => pattern.test(line)))
  return found?.[1] ?? byStatus[status]
}

/** A failure of a build. The package's own functions may say anything; but when they fail, the status is another. */
export function judgeBuild(status: number, lines: readonly string[]): Verdict | undefined {
  return status === 1 ? judgeSources(status, lines) : byStatus[status]
}
