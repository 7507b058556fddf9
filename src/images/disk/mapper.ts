/**
 * Devices of device mapper above those of an image: checked by dm-verity, or decrypted by dm-crypt. Each goes away by itself
 * when nobody has it open any more, so nothing is left of it whatever ends us.
 *
 * @see veritysetup(8), cryptsetup(8)
 */
import { closeSync, existsSync, openSync, readdirSync } from 'node:fs'
import { NspawnError } from '../../errors.ts'
import { isLeftBehind, ownOwner } from '../../owner.ts'
import type { ProgramOptions, ProgramResult } from '../../process.ts'

/** A device that is held open. */
export interface MappedDevice extends Disposable {
  readonly path: string
}

const DIRECTORY = '/dev/mapper'
const namePattern = /^tsnspawn-(\d+-\d+)-/
let count = 0

/** Statuses of cryptsetup(8) and veritysetup(8), "RETURN CODES". */
const WRONG_PASSPHRASE = 2

export interface VerityDevices {
  readonly data: string
  readonly hashes: string
  readonly hash: string
  /** A file with the signature, for the kernel to check. */
  readonly signatureFile?: string | undefined
}

/** @throws NspawnError `IMAGE_ROOT_HASH` where the hashes are not those, `PROGRAM_…` */
export async function openVerity(devices: VerityDevices): Promise<MappedDevice> {
  const { data, hashes, hash, signatureFile } = devices
  const signed = signatureFile === undefined ? [] : [`--root-hash-signature=${signatureFile}`]
  const name = newName('verity')
  try {
    await run('veritysetup', ['open', ...signed, '--', data, name, hashes, hash])
  } catch (error) {
    const { code, message } = error as NspawnError
    if (code !== 'PROGRAM_FAILED') throw error
    throw new NspawnError(`the verity data do not fit: ${message}`, {
      code: 'IMAGE_ROOT_HASH',
      operation: 'veritysetup',
      subject: data,
      hint: 'the root hash is of another image, or somebody has changed this one',
    })
  }
  return hold('veritysetup', name)
}

/**
 * @param key a passphrase, or the path of a file with the key
 * @returns undefined for a wrong one
 * @throws NspawnError `PROGRAM_…`
 */
export async function openEncrypted(
  device: string,
  key: { readonly passphrase: string } | { readonly file: string },
  access: 'read-only' | 'read-write',
): Promise<MappedDevice | undefined> {
  const name = newName('crypt')
  const [file, input] = 'file' in key ? [key.file, undefined] : ['-', key.passphrase]
  const options = [
    '--type=luks',
    `--key-file=${file}`,
    '--batch-mode',
    ...(access === 'read-only' ? ['--readonly'] : []),
  ]
  const { status } = await run('cryptsetup', ['open', ...options, '--', device, name], {
    input,
    accept: [0, WRONG_PASSPHRASE],
  })
  return status === 0 ? hold('cryptsetup', name) : undefined
}

/** Takes away what killed runs left between the opening of a device and our holding it. */
export async function removeStaleMappings(): Promise<void> {
  // Without device mapper there is no such directory.
  for (const name of existsSync(DIRECTORY) ? readdirSync(DIRECTORY) : []) {
    if (isLeftBehind(name, namePattern))
      await run('dmsetup', ['remove', '--deferred', name], { accept: [0, 1] })
  }
}

function newName(what: string): string {
  return `tsnspawn-${ownOwner()}-${what}${count++}`
}

/** From here on the kernel takes it away with the last who has it open. */
async function hold(program: Program, name: string): Promise<MappedDevice> {
  const path = `${DIRECTORY}/${name}`
  const fd = openSync(path, 'r')
  try {
    await run(program, ['close', '--deferred', '--', name])
  } catch (error) {
    closeSync(fd)
    throw error
  }
  return { path, [Symbol.dispose]: () => closeSync(fd) }
}

type Program = 'veritysetup' | 'cryptsetup'

async function run(
  program: Program | 'dmsetup',
  args: readonly string[],
  options: Pick<ProgramOptions, 'input' | 'accept'> = {},
): Promise<ProgramResult> {
  const { runProgram } = await import('../../process.ts')
  const hint =
    program === 'dmsetup'
      ? 'install the package dmsetup'
      : 'install the package cryptsetup-bin, and see whether the kernel has device mapper'
  return await runProgram('cannot open a protected partition', [program, ...args], {
    ...options,
    hint,
  })
}
