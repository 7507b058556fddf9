/** Whether somebody who is trusted has signed a root hash. @see systemd-nspawn(1), `--root-hash-sig=` */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where certificates (PEM) of those are who may sign; the first directory with a name hides the others. */
const directories = ['/etc', '/run', '/usr/local/lib', '/usr/lib'].map((top) => `${top}/verity.d`)

/** The certificates of this host. */
export function trustedCertificates(): readonly string[] {
  const found = new Map<string, string>()
  for (const directory of directories) {
    for (const name of namesIn(directory)) {
      if (name.endsWith('.crt') && !found.has(name)) found.set(name, join(directory, name))
    }
  }
  return [...found.values()]
}

/**
 * Checks a detached signature (PKCS#7) of the hash, as text in hexadecimal digits.
 *
 * @returns the certificate that vouches for it; undefined when none of them does
 */
export async function findSigner(
  hash: string,
  der: Buffer,
  certificates: readonly string[] = trustedCertificates(),
): Promise<string | undefined> {
  if (certificates.length === 0) return undefined
  const { runProgram } = await import('../../process.ts')
  const directory = mkdtempSync(join(tmpdir(), 'tsnspawn-signature-'))
  try {
    const [signature, content] = [join(directory, 'p7s'), join(directory, 'hash')]
    writeFileSync(signature, der)
    writeFileSync(content, hash)
    for (const certificate of certificates) {
      // Who is trusted is decided by the file that lies there, not by who signed that one.
      const words = ['-verify', '-binary', '-noverify', '-nointern', '-inform', 'DER']
      const files = ['-in', signature, '-content', content, '-certfile', certificate]
      const { status } = await runProgram(
        'cannot check the signature of a root hash',
        ['openssl', 'smime', ...words, ...files, '-out', '/dev/null'],
        { accept: [0, 1, 2, 3, 4], hint: 'install the package openssl' },
      )
      if (status === 0) return certificate
    }
    return undefined
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).toSorted()
  } catch {
    return []
  }
}
