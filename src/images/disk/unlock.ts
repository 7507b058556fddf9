/** Opens encrypted partitions with what somebody knows. @see systemd-nspawn(1), `--image=` */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { missing } from '../../read-if-there.ts'
import { askSecret } from './ask-secret.ts'
import { openEncrypted, type MappedDevice } from './mapper.ts'

export interface Keys {
  /** Absolute path of a file with a key. */
  readonly keyFile: string | undefined
  /** Whether a person may be asked. */
  readonly ask: boolean
}

const ATTEMPTS = 3

/** Remembers the passphrase for the next partition of the same image. */
export class Unlocker {
  private known: string | undefined
  private readonly image: string
  private readonly keys: Keys

  constructor(image: string, keys: Keys) {
    this.image = image
    this.keys = keys
  }

  /**
   * Tries the key file alone where one is given; else the passphrase that has fitted before, the credential
   * `dissect.passphrase`, and what a person says.
   *
   * @throws NspawnError `IMAGE_PASSPHRASE`
   */
  async open(
    device: string,
    designator: string,
    access: 'read-only' | 'read-write',
  ): Promise<MappedDevice> {
    const { keyFile, ask } = this.keys
    if (keyFile !== undefined) {
      const opened = await openEncrypted(device, { file: keyFile }, access)
      if (opened !== undefined) return opened
      throw this.refused(designator, `the key in ${keyFile} does not open it`)
    }
    for (const passphrase of [this.known, credential()]) {
      if (passphrase === undefined) continue
      const opened = await openEncrypted(device, { passphrase }, access)
      if (opened !== undefined) return opened
    }
    if (!ask) throw this.refused(designator, 'nobody may be asked for its passphrase')
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const passphrase = askSecret(`Passphrase of the ${designator} partition of ${this.image}:`)
      if (passphrase === undefined)
        throw this.refused(designator, 'there is no terminal to ask for its passphrase')
      const opened = await openEncrypted(device, { passphrase }, access)
      if (opened === undefined) continue
      this.known = passphrase
      return opened
    }
    throw this.refused(designator, `${ATTEMPTS} passphrases were wrong`)
  }

  private refused(designator: string, why: string): NspawnError {
    return new NspawnError(`the ${designator} partition is encrypted, and ${why}`, {
      code: 'IMAGE_PASSPHRASE',
      operation: 'cryptsetup',
      subject: this.image,
      hint: 'name a file with the key with --image-key-file=, or run it at a terminal',
    })
  }
}

/** What the service manager handed to us. @see systemd-nspawn(1), "Credentials" */
function credential(): string | undefined {
  const directory = process.env['CREDENTIALS_DIRECTORY']
  if (directory === undefined) return undefined
  try {
    return readFileSync(join(directory, 'dissect.passphrase'), 'utf8')
  } catch (error) {
    return missing(error)
  }
}
