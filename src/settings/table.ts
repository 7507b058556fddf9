/** All settings, a row each; see option.ts for what a row says. */
import type { Option } from './option.ts'
import { additionalOptions } from './options/additions.ts'
import { credentialOptions } from './options/credentials.ts'
import { executionOptions } from './options/execution.ts'
import { generalOptions } from './options/general.ts'
import { identityOptions } from './options/identity.ts'
import { imageOptions } from './options/image.ts'
import { integrationOptions } from './options/integration.ts'
import { mountOptions } from './options/mounts.ts'
import { networkOptions } from './options/network.ts'
import { securityOptions } from './options/security.ts'
import { userOptions } from './options/users.ts'
import { userNamespaceOptions } from './options/user-namespace.ts'

/** In the order of `--help`. */
export const options: readonly Option[] = [
  ...generalOptions,
  ...imageOptions,
  ...executionOptions,
  ...identityOptions,
  ...userNamespaceOptions,
  ...networkOptions,
  ...securityOptions,
  ...integrationOptions,
  ...mountOptions,
  ...userOptions,
  ...credentialOptions,
  ...additionalOptions,
]

/** Long names, aliases included, without the dashes. */
export const byName: ReadonlyMap<string, Option> = indexed(({ name, aliases = [] }) =>
  name === undefined ? aliases : [name, ...aliases],
)

/** One-letter names. */
export const byLetter: ReadonlyMap<string, Option> = indexed(({ short }) =>
  short === undefined ? [] : [short],
)

function indexed(names: (option: Option) => readonly string[]): ReadonlyMap<string, Option> {
  const index = new Map<string, Option>()
  for (const option of options) for (const name of names(option)) index.set(name, option)
  return index
}
