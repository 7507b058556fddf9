/**
 * Who signed something, by keyring files: read with openpgp.js, or obeyed by gpgv as the distribution's own tools
 * obey them. Both judge alike, so that callers choose by what the host has and what the user named.
 */
import { readFile, rm, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Key, VerifyMessageResult } from 'openpgp'
import { NspawnError } from '../errors.ts'
import { runProgram } from '../process.ts'

/** What the signatures are worth. */
export type Judgement =
  /** Key ids or fingerprints, hexadecimal upper case, of the signatures that hold. */
  | { readonly state: 'valid'; readonly signers: readonly string[] }
  /** Signed, but by no key of the keyrings. */
  | { readonly state: 'unknown-key'; readonly keys: readonly string[] }
  /** A signature by a known key that does not hold: somebody changed the text, or it is out of date. */
  | { readonly state: 'bad'; readonly why: string }

export interface JudgeOptions {
  /**
   * Whether a key that has expired since still vouches for what it signed before: yes for what is kept for years, as
   * source packages are, no for what a server hands out today. Default `accept`.
   */
  readonly expiredKeys?: 'accept' | 'refuse' | undefined
}

/** The public keys of a file: binary, or armoured in any number of blocks with any text around them. */
export async function readKeyring(path: string): Promise<Key[]> {
  const openpgp = await import('openpgp')
  try {
    const bytes = await readFile(path)
    if (isBinary(bytes)) return await openpgp.readKeys({ binaryKeys: bytes })
    // Files of several keys are often made by putting armoured ones together, with words around them.
    const blocks = bytes.toString('utf8').match(armouredKeys) ?? ['']
    const keys = blocks.map((armoredKeys) => openpgp.readKeys({ armoredKeys }))
    return (await Promise.all(keys)).flat()
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** One good signature is enough, as for gpgv and apt: archives sign with old and new keys at once. */
export async function judge(
  signatures: VerifyMessageResult['signatures'],
  keys: readonly Key[],
  options: JudgeOptions = {},
): Promise<Judgement> {
  const signers: string[] = []
  const unknown: string[] = []
  let why: string | undefined
  for (const one of signatures) {
    const id = one.keyID.toHex().toUpperCase()
    const key = keys.find((candidate) => candidate.getKeys(one.keyID).length > 0)
    try {
      await one.verified
      if (key !== undefined && (await isRevoked(key, one.keyID))) why = `key ${id} was revoked`
      else if (options.expiredKeys === 'refuse' && key !== undefined && (await hasExpired(key)))
        why = `key ${id} has expired`
      else signers.push(id)
    } catch (error) {
      if (key === undefined) unknown.push(id)
      else why = (error as Error).message.toLowerCase()
    }
  }
  if (signers.length > 0) return { state: 'valid', signers }
  if (why !== undefined) return { state: 'bad', why }
  return { state: 'unknown-key', keys: unknown }
}

/** Whether the key is out of date by now, or was never made whole. */
export async function hasExpired(key: Key): Promise<boolean> {
  const at = await key.getExpirationTime()
  return at === null || (at instanceof Date && at.getTime() <= Date.now())
}

/** As of now: whoever stole a key can date a signature back. */
async function isRevoked(key: Key, keyId: Parameters<Key['getSubkeys']>[0]): Promise<boolean> {
  if (await key.isRevoked()) return true
  for (const subkey of key.getSubkeys(keyId)) {
    // Without a signature to compare with, any revocation of the subkey counts; the types know no such call.
    if (await subkey.isRevoked(null as never, null as never)) return true
  }
  return false
}

/**
 * Runs gpgv.
 *
 * @param files what stands behind the keyrings: a signature and the signed file, `-` for stdin
 * @returns its judgement, and what it wrote to stdout
 * @throws NspawnError `PROGRAM_NOT_FOUND` when there is no gpgv
 */
export async function judgeByGpgv(
  input: Uint8Array | string,
  keyrings: readonly string[],
  files: readonly string[],
  options: JudgeOptions = {},
): Promise<{ readonly judgement: Judgement; readonly stdout: string }> {
  const { status, stdout, stderr } = await runProgram(
    'cannot check the signature',
    ['gpgv', '--status-fd', '2', ...keyrings.flatMap((path) => ['--keyring', path]), ...files],
    { input, accept: [0, 1, 2], hint: 'install gpgv' },
  )
  return { judgement: readStatus(stderr, status, options), stdout }
}

/** @see GnuPG's doc/DETAILS, "Format of the --status-fd output" */
function readStatus(stderr: string, status: number, options: JudgeOptions): Judgement {
  const said = [...stderr.matchAll(/^\[GNUPG:\] (\w+) ?(\S*)/gm)].map(
    ([, word = '', argument = '']) => ({ word, argument }),
  )
  const argumentsOf = (word: string) =>
    said.filter((line) => line.word === word).map(({ argument }) => argument)
  const [changed] = argumentsOf('BADSIG')
  if (changed !== undefined) return { state: 'bad', why: `bad signature of key ${changed}` }
  // VALIDSIG says only that the mathematics hold: it comes after REVKEYSIG too, and gpgv ends with 0 then.
  const good = options.expiredKeys === 'refuse' ? ['GOODSIG'] : ['GOODSIG', 'EXPKEYSIG']
  const signers: string[] = []
  let holds = false
  for (const { word, argument } of said) {
    if (word === 'VALIDSIG' && holds) signers.push(argument)
    else if (word === 'NEWSIG' || word.endsWith('SIG')) holds = good.includes(word)
  }
  // It ends with 2 when a key of another signature is not there.
  if (signers.length > 0 && (status === 0 || status === 2)) return { state: 'valid', signers }
  const why =
    argumentsOf('REVKEYSIG').map((key) => `key ${key} was revoked`)[0] ??
    argumentsOf('EXPSIG').map((key) => `the signature of key ${key} has expired`)[0] ??
    argumentsOf('EXPKEYSIG').map((key) => `key ${key} has expired`)[0]
  if (why !== undefined) return { state: 'bad', why }
  const unknown = argumentsOf('NO_PUBKEY')
  if (unknown.length > 0) return { state: 'unknown-key', keys: unknown }
  return {
    state: 'bad',
    why: stderr.replaceAll(/^\[GNUPG:\].*\n?/gm, '').trim() || `gpgv ended with status ${status}`,
  }
}

/** A place for files that a program reads, for as long as it runs. */
export interface ScratchDirectory {
  /** @returns the file's path */
  write(name: string, bytes: Uint8Array): Promise<string>
}

/** Runs `use` with keyrings that gpgv can read: it takes no armour. */
export async function withBinaryKeyrings<T>(
  paths: readonly string[],
  use: (paths: readonly string[], scratch: ScratchDirectory) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'tsnspawn-keys-'))
  const write = async (name: string, bytes: Uint8Array): Promise<string> => {
    const path = join(directory, name)
    await writeFile(path, bytes)
    return path
  }
  try {
    const binary: string[] = []
    for (const [index, path] of paths.entries()) {
      const bytes = await readFile(path).catch((error: unknown) => {
        throw unreadable(path, error)
      })
      if (isBinary(bytes)) {
        binary.push(path)
        continue
      }
      const keys = await readKeyring(path)
      const copy = Buffer.concat(keys.map((key) => key.toPublic().write()))
      binary.push(await write(`${index}.gpg`, copy))
    }
    return await use(binary, { write })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

const armouredKeys =
  /^-----BEGIN PGP PUBLIC KEY BLOCK-----[\s\S]*?^-----END PGP PUBLIC KEY BLOCK-----/gm

/**
 * Whether keys or a signature are not armoured: a packet's first byte has its highest bit set, RFC 9580 §4.2, and that
 * of one of GnuPG's keyboxes is of a length.
 */
export function isBinary(bytes: Uint8Array): boolean {
  const [first = 0x20] = bytes
  return first >= 0x80 || first < 0x09
}

function unreadable(path: string, error: unknown): NspawnError {
  if (error instanceof NspawnError) return error
  const { code, syscall, message } = error as NodeJS.ErrnoException
  return new NspawnError(
    code === undefined ? `cannot read keyring: ${message.toLowerCase()}` : 'cannot read keyring',
    { code: code ?? 'BAD_KEYRING', operation: syscall ?? 'read keyring', subject: path },
  )
}
