/** How the `build` verb hands its options to a driver: each family adds its own, and reads them. */
import type { Command, Option } from 'commander'
import type { Buildable } from '../../build/buildable.ts'
import type { BuildOptions, BuildRequest, DriverId } from '../../build/driver.ts'

/** Everything but what is particular to a family. */
export type CommonRequest = Omit<BuildRequest, 'options'> & { readonly options: BuildOptions }

export interface BuildFamily {
  readonly driver: DriverId
  /** What it builds, for help and messages: "Debian packages". */
  readonly builds: string
  /** Its options; one that other families have too is the same object, from `shared-options.ts`. */
  readonly options: readonly Option[]
  /**
   * Reads what is to be built, and what the family's options say.
   *
   * @param source the argument as it was given
   * @param words the command after `--`
   * @throws NspawnError `USAGE`, `SOURCE_NOT_FOUND`, `SOURCE_INVALID` before anything is changed
   */
  read(
    common: CommonRequest,
    source: string,
    words: readonly string[],
    options: Readonly<Record<string, unknown>>,
  ): Buildable
}

/** Adds the options of all families, each under a heading that says whose it is. */
export function addFamilyOptions(command: Command, families: readonly BuildFamily[]): void {
  for (const option of new Set(families.flatMap(({ options }) => options))) {
    const owners = families.filter(({ options }) => options.includes(option))
    command.addOption(option.helpGroup(`${owners.map(({ builds }) => builds).join(', ')}:`))
  }
}

/** Long names of options that were typed and belong to other families than `family`. */
export function foreignOptions(
  command: Command,
  family: BuildFamily,
  families: readonly BuildFamily[],
): readonly { readonly option: string; readonly builds: string }[] {
  return families
    .filter(({ driver }) => driver !== family.driver)
    .flatMap(({ options, builds }) =>
      options
        .filter((option) => !family.options.includes(option))
        .filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
        .map((option) => ({ option: option.long ?? option.flags, builds })),
    )
}
