/**
 * A distribution's own tar of a tree with pacman in it. Nothing of it is unpacked before its signature was seen to
 * hold; the file is kept, and taken again as long as it is what the server's signature is for.
 */
import { createReadStream } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { linkOrCopy } from '../../link-or-copy.ts'
import { phase } from '../../log.ts'
import { missing } from '../../read-if-there.ts'
import { openPlain } from '../../transfer/decompress.ts'
import { download, fetchBytes } from '../../transfer/download.ts'
import { judgeByGpgv, readKeyring, type Judgement } from '../../transfer/open-pgp.ts'
import { isOsTree, liftOsTree } from '../../transfer/os-tree.ts'
import { verifyDetached } from '../../transfer/pull/keyring.ts'
import { unpackTar } from '../../transfer/tar/unpack.ts'
import { besideUrl, parseUrl, urlFileName, withoutSecrets } from '../../transfer/url.ts'
import type { StrategyRun } from '../strategy.ts'
import { TreeFiles } from '../tree-files.ts'

/** No image has as much, unpacked or not. */
const bytesMax = 16 * 2 ** 30

/** No detached signature has as much. */
const signatureBytesMax = 1 << 16

/** Whose images are taken. */
export interface ImageTrust {
  /** Undefined where nothing is checked. */
  readonly keyring: string | undefined
  /** A file with fingerprints of keys that count no more, one a line before a colon. */
  readonly revoked: string | undefined
}

/**
 * Fills the tree with the image.
 *
 * @throws NspawnError `BOOTSTRAP_SIGNATURE`, what `download()` and `unpackTar()` throw
 */
export async function unpackTreeImage(
  text: string,
  trust: ImageTrust,
  { paths, log, context }: StrategyRun,
): Promise<void> {
  const url = parseUrl(text)
  const file = join(paths.temporary, 'image.tar')
  await phase(context.log, `fetching ${withoutSecrets(url)}`, () =>
    fetchVerified(url, file, trust, { paths, log, context }),
  )
  const plain = await openPlain(createReadStream(file, { highWaterMark: 1 << 18 }), {
    signal: context.signal,
  })
  await phase(context.log, 'unpacking the image', () =>
    unpackTar(plain.chunks, paths.tree, {
      limits: { bytes: bytesMax },
      signal: context.signal,
      log: context.log,
    }),
  )
  // Lists of packages lie beside the tree.
  const files = new TreeFiles(paths.tree)
  if (!isOsTree(paths.tree))
    files.empty('/', (name) => files.stat(`/${name}`, 'keep')?.isDirectory() === true)
  if (!liftOsTree(paths.tree, context.log))
    throw new NspawnError(`${withoutSecrets(url)} holds no system`, { code: 'BOOTSTRAP_CORRUPT' })
  await rm(file)
}

async function fetchVerified(
  url: URL,
  file: string,
  { keyring, revoked }: ImageTrust,
  { log, context }: Pick<StrategyRun, 'paths' | 'log' | 'context'>,
): Promise<void> {
  const { signal } = context
  const fetchImage = () =>
    download({ url, destination: file, maxBytes: bytesMax, signal, log: context.log })
  if (keyring === undefined) {
    await fetchImage()
    return
  }
  const trust = { keyring, revoked }
  const signature = await fetchSignature(url, signal)
  const kept = join(context.stateDirectory, 'cache', 'tree-images', urlFileName(url))
  if (await linkOrCopy(kept, file).then(() => true, missing)) {
    if ((await judgeImage(file, signature, trust)).state === 'valid') {
      log.add(`using ${kept}`)
      return
    }
    await rm(file)
  }
  await fetchImage()
  const verdict = await judgeImage(file, signature, trust)
  if (verdict.state === 'valid') {
    log.add(`${withoutSecrets(url)} is signed by ${verdict.signers.join(', ')}`)
    await keepImage(file, kept)
    return
  }
  const why =
    verdict.state === 'bad'
      ? `has a signature that does not hold: ${verdict.why}`
      : `is signed by a key that ${keyring} does not have (${verdict.keys.join(', ')})`
  throw new NspawnError(`${withoutSecrets(url)} ${why}`, {
    code: 'BOOTSTRAP_SIGNATURE',
    operation: 'check signature',
    hint: 'give the right keys with --keyring, or take another mirror with --mirror',
  })
}

async function fetchSignature(url: URL, signal: AbortSignal | undefined): Promise<Buffer> {
  const place = besideUrl(url, `${urlFileName(url)}.sig`)
  try {
    return await fetchBytes({ url: place, maxBytes: signatureBytesMax, signal })
  } catch (error) {
    if ((error as NspawnError).code !== 'NOT_FOUND') throw error
    throw new NspawnError(`there is no signature ${withoutSecrets(place)}`, {
      code: 'BOOTSTRAP_SIGNATURE',
      operation: 'check signature',
      hint: 'take an image that nobody has signed with --no-check-signature',
      cause: error,
    })
  }
}

/** By gpgv, which reads the file as a stream; without it by what comes with us, which needs all of it at once. */
async function judgeImage(
  file: string,
  signature: Buffer,
  { keyring, revoked }: ImageTrust & { readonly keyring: string },
): Promise<Judgement> {
  const lost = new Set(
    [
      ...(revoked === undefined ? '' : await readFile(revoked, 'latin1')).matchAll(
        /^[0-9A-F]{40}/gm,
      ),
    ].map(([fingerprint]) => fingerprint),
  )
  const keys = (await readKeyring(keyring)).filter(
    (key) => !lost.has(key.getFingerprint().toUpperCase()),
  )
  const [good, detached] = [`${file}.gpg`, `${file}.sig`]
  try {
    await writeFile(good, Buffer.concat(keys.map((key) => key.toPublic().write())))
    await writeFile(detached, signature)
    try {
      const options = { expiredKeys: 'refuse' } as const
      return (await judgeByGpgv('', [good], [detached, file], options)).judgement
    } catch (error) {
      if ((error as NspawnError).code !== 'PROGRAM_NOT_FOUND') throw error
      return await verifyDetached(await readFile(file), signature, {
        path: good,
        checkedBy: 'openpgp',
      })
    }
  } finally {
    await rm(good, { force: true })
    await rm(detached, { force: true })
  }
}

/** Its name leads to a whole file or to none. */
async function keepImage(file: string, kept: string): Promise<void> {
  await mkdir(join(kept, '..'), { recursive: true, mode: 0o755 })
  const incoming = `${kept}.${process.pid}`
  try {
    await linkOrCopy(file, incoming)
    await rename(incoming, kept)
  } finally {
    await rm(incoming, { force: true })
  }
}
