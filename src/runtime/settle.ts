/** The settings of a command line with the machine's `.nspawn` file or an OCI bundle in them: the one place that joins them. */
import { readBundle } from '../images/bundle.ts'
import { machineNameForRoot } from '../images/names.ts'
import { findSettingsFile } from '../images/settings-file.ts'
import type { ReadCommandLine, SettledCommandLine } from '../settings/argv.ts'
import { parseSettingsFile, type SettingsFile } from '../settings/file/settings-file.ts'
import { locateTree } from './locate-tree.ts'

/** @throws NspawnError for a file that cannot be read, and where file and command line make no sense together */
export async function settleWithFile(line: ReadCommandLine): Promise<SettledCommandLine> {
  const { bundle } = line.program
  if (bundle !== undefined) {
    // Only now: reading the schema costs every start that needs none.
    const { parseBundle } = await import('../settings/oci/bundle.ts')
    return line.settle(parseBundle(readBundle(bundle)))
  }
  // What is left over of a machine does not depend on how the next run is set.
  const unread = line.program.settingsFile === 'no' || line.program.cleanUp
  return line.settle(unread ? undefined : settingsFileOf(line))
}

function settingsFileOf({ tree, program, caller }: ReadCommandLine): SettingsFile | undefined {
  const { path, kind } = locateTree(tree, program.machinesDirectory)
  const found = findSettingsFile(tree.machine ?? machineNameForRoot(path, kind), path)
  return found === undefined ? undefined : parseSettingsFile(found, caller)
}
