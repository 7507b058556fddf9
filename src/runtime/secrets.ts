/**
 * What a container is given and nobody else may see. It is kept out of the plan, which is printed, and reaches the
 * first child with the heap that it inherits. Plain JSON.
 */
import type { Settings } from '../settings/settings.ts'
import { loadCredentials } from './credentials.ts'
import { readPasswords } from './host-users.ts'

export interface ContainerSecrets {
  readonly credentials: readonly { readonly name: string; readonly base64: string }[]
  /** Hashed passwords of the host's users that are brought in. */
  readonly passwords: readonly { readonly user: string; readonly hash: string }[]
}

export const NO_SECRETS: ContainerSecrets = { credentials: [], passwords: [] }

/** @throws NspawnError that names what cannot be read */
export async function gatherSecrets(settings: Settings): Promise<ContainerSecrets> {
  return {
    credentials: await loadCredentials(settings.credentials),
    passwords: await readPasswords(settings.bindUsers),
  }
}
