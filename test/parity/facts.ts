/** What the probe says, made comparable: random names, numbers and paths of the run are taken out. */

export type Facts = ReadonlyMap<string, string>

export interface Setting {
  /** Paths of this run and the word that stands for each; longer paths first. */
  readonly paths: readonly (readonly [path: string, word: string])[]
  /** Namespaces of the caller by type. */
  readonly namespaces: ReadonlyMap<string, string>
  readonly bootId: string
  /** UUIDs that were given on the command line or in the tree and so must come out again. */
  readonly knownUuids: readonly string[]
}

const uuid = /[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}/g

function general(text: string, setting: Setting): string {
  let value = text
  for (const [path, word] of setting.paths) value = value.replaceAll(path, word)
  return value
    .replaceAll(uuid, (match) => (setting.knownUuids.includes(match) ? match : '<uuid>'))
    .replaceAll(/(pipe|socket):\[\d+\]/g, '$1')
    .replaceAll(/(\.#[^/ ]*?|parity-)[0-9a-f]{16}(?![0-9a-f])/g, '$1<hex>')
    .replaceAll(/nspawn-(volatile|root|temp|pivot)-\w{6}/g, 'nspawn-$1-<random>')
}

function specific(key: string, value: string, setting: Setting): string {
  const [kind = '', name = ''] = key.split(' ')
  if (kind === 'namespace') return setting.namespaces.get(name) === value ? 'the caller’s' : 'own'
  if (key === 'boot_id') return value.startsWith(setting.bootId) ? 'the host’s' : 'another'
  return general(value, setting)
}

/**
 * Reads the probe's output, wherever it stands between other lines.
 *
 * @returns undefined when the probe did not come to its end
 */
export function readFacts(output: string, setting: Setting): Facts | undefined {
  const facts = new Map<string, string>()
  for (const line of output.split(/\r*\n/)) {
    const tab = line.indexOf('\t')
    if (tab < 0) continue
    const key = general(line.slice(0, tab), setting)
    facts.set(key, specific(key, line.slice(tab + 1), setting))
  }
  return facts.delete('end') ? facts : undefined
}

export interface Mismatch {
  readonly key: string
  readonly real: string
  readonly ours: string
}

/** Stands for a fact that one side does not have. */
export const absent = '<absent>'

/** Facts in which the two sides differ, sorted by key. */
export function compareFacts(real: Facts, ours: Facts): Mismatch[] {
  const keys = new Set([...real.keys(), ...ours.keys()])
  return [...keys]
    .toSorted()
    .map((key) => ({ key, real: real.get(key) ?? absent, ours: ours.get(key) ?? absent }))
    .filter((pair) => pair.real !== pair.ours)
}
