/** All settings, a row each; see option.ts for what a row says. */
import type { Option } from './option.ts'
import { additionalOptions } from './options/additions.ts'
import { executionOptions } from './options/execution.ts'
import { generalOptions } from './options/general.ts'
import { identityOptions } from './options/identity.ts'
import { imageOptions } from './options/image.ts'
import { integrationOptions } from './options/integration.ts'
import { mountOptions } from './options/mounts.ts'
import { networkOptions } from './options/network.ts'
import { securityOptions } from './options/security.ts'
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
  ...additionalOptions,
]

/** Long names, aliases included, without the dashes. */
export const byName: ReadonlyMap<string, Option> = new Map(
  options.flatMap((option) =>
    [option.name, ...(option.aliases ?? [])].flatMap((name) =>
      name === undefined ? [] : [[name, option] as const],
    ),
  ),
)

/** One-letter names. */
export const byLetter: ReadonlyMap<string, Option> = new Map(
  options.flatMap((option) =>
    option.short === undefined ? [] : [[option.short, option] as const],
  ),
)
