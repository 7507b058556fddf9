/**
 * The file `sources` that Fedora's and CentOS's package repositories have beside a spec: what the files are
 * that were too large for the repository.
 *
 * @see https://docs.fedoraproject.org/en-US/package-maintainers/Package_Maintenance_Guide/
 */
import { NspawnError } from '../../errors.ts'

export interface Checksum {
  readonly name: string
  readonly algorithm: 'sha256' | 'sha512'
  /** Lower case. */
  readonly digest: string
}

const digits = { SHA256: 64, SHA512: 128 } as const

/**
 * Reads the file. Its older form has MD5, which vouches for nothing; such lines are refused.
 *
 * @throws NspawnError `SOURCE_INVALID`
 */
export function parseSourcesFile(text: string): readonly Checksum[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, kind, name, digest = ''] =
        /^(SHA256|SHA512) \(([^()/]+)\) = ([0-9a-fA-F]+)$/.exec(line) ?? []
      const length = kind === 'SHA256' || kind === 'SHA512' ? digits[kind] : undefined
      if (name === undefined || digest.length !== length) {
        throw new NspawnError(`cannot read the checksums: ${JSON.stringify(line)}`, {
          code: 'SOURCE_INVALID',
          operation: 'read sources',
          subject: 'sources',
          hint: 'lines are "SHA512 (NAME) = HEX", as fedpkg new-sources writes them',
        })
      }
      const algorithm = kind === 'SHA256' ? 'sha256' : 'sha512'
      return { name, algorithm, digest: digest.toLowerCase() }
    })
}
