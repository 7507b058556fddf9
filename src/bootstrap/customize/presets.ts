/**
 * Units that were enabled or disabled for a tree stay so: on the first boot systemd applies the distribution's presets
 * to all units, and in Fedora and its like takes away what these do not enable, systemd-networkd among it.
 */
import type { TreeFiles } from '../tree-files.ts'

const units = '/etc/systemd/system'

/** Read before those of packages, see systemd.preset(5). */
const preset = '/etc/systemd/system-preset/10-tsnspawn.preset'

/** What is enabled: links to units, by the directories of those that want them. */
export function enabledUnits(files: TreeFiles): ReadonlySet<string> {
  const wanted = files
    .list(units)
    .filter((name) => /\.(wants|requires|upholds)$/.test(name))
    .flatMap((directory) => files.list(`${units}/${directory}`))
  return new Set(wanted)
}

/** Has the first boot leave alone what has been enabled or disabled since `before`. */
export function keepEnabled(files: TreeFiles, before: ReadonlySet<string>): void {
  const now = enabledUnits(files)
  const lines = [
    ...presetLines(
      'enable',
      [...now].filter((unit) => !before.has(unit)),
    ),
    ...presetLines(
      'disable',
      [...before].filter((unit) => !now.has(unit)),
    ),
  ]
  if (lines.length > 0) files.write(preset, lines.map((line) => `${line}\n`).join(''))
}

/** Instances are named behind their template. */
function presetLines(verb: string, names: readonly string[]): string[] {
  const byUnit = new Map<string, string[]>()
  for (const name of names.toSorted()) {
    const [, template, instance, type] = /^([^@]*@)(.+)(\.\w+)$/.exec(name) ?? []
    const unit = template === undefined ? name : `${template}${type}`
    byUnit.set(unit, [...(byUnit.get(unit) ?? []), ...(instance === undefined ? [] : [instance])])
  }
  return [...byUnit].map(([unit, instances]) => [verb, unit, ...instances].join(' '))
}
