/**
 * Installs the results of a build where nothing of it is, removes and purges them, and compares what is left with what was
 * there before; and the same after an upgrade from the version of the archives.
 */
import { join } from 'node:path'
import { compareVersions } from '../../../bootstrap/debian/version.ts'
import { NspawnError } from '../../../errors.ts'
import { describeDeb } from '../../installers/apt-repository.ts'
import { installedDpkgPackages } from '../../installers/dpkg-packages.ts'
import { installLogName } from '../../own-names.ts'
import { seeReadyPackages } from '../../ready-packages.ts'
import { askAbove, containerFacts } from '../../toolchain-layer.ts'
import {
  installSteps,
  purgeOthersStep,
  purgeStep,
  removeStep,
  resultPaths,
  type TrialPlace,
} from './install-plan.ts'
import type { Inspection } from './inspection.ts'
import { findLeftOvers, findLinks } from './left-overs.ts'
import { builtPackage, compatibleSets, type BuiltPackage } from './sets.ts'

/**
 * Tries all packages, tells and records what is found, and leaves `install-check.log` beside the results.
 *
 * @throws NspawnError `TEST_INSTALL` when a step fails or something is left; `DEPENDENCY_INSTALL` when mirrors are out of reach
 */
export async function checkInstallation(inspection: Inspection): Promise<void> {
  const { session, files } = inspection
  const debs = files.filter((file) => file.endsWith('.deb'))
  const packages = await Promise.all(
    debs.map(async (file) =>
      builtPackage(file, await describeDeb(join(session.place.results, file), session.signal)),
    ),
  )
  const findings: Finding[] = []
  let number = 0
  try {
    for (const set of compatibleSets(packages)) {
      const older = await olderVersions(inspection, set, ++number)
      findings.push(...(await tryPackages(inspection, set, `-${number}`)))
      if (older.length > 0)
        findings.push(...(await tryPackages(inspection, set, `-${number}-upgrade`, older)))
    }
  } finally {
    const lines = findings.map(({ text }) => text)
    session.note({ installCheck: lines })
    await session.report(installLogName, lines.map((line) => `${line}\n`).join(''))
  }
  for (const { text, kind } of findings)
    if (kind === 'remark') session.log({ kind: 'notice', text })
  const bad = findings.filter(({ kind }) => kind === 'failure')
  if (bad.length === 0) return
  const told = bad.slice(0, 12).map(({ text }) => `  | ${text}`)
  throw new NspawnError('the packages were built, but do not leave the system as it was before', {
    code: 'TEST_INSTALL',
    operation: 'purge',
    hint: `all findings are in ${installLogName}; postrm has to remove what the packages make, see Debian Policy 6.8`,
    cause: new NspawnError(`after the purge:\n${told.join('\n')}`, { code: 'OUTPUT' }),
  })
}

interface Finding {
  readonly kind: 'failure' | 'remark'
  readonly text: string
}

/** `name=version` of those packages that the archives have in an older version than the built one. */
async function olderVersions(
  { session, subject, toolchain }: Inspection,
  set: readonly BuiltPackage[],
  number: number,
): Promise<readonly string[]> {
  const below = [session.request.tree, toolchain.upper]
  const ask = askAbove(session, subject, below, `look-older-${number}`)
  return readMadison(await ask(['apt-cache', 'madison', ...set.map(({ name }) => name)]), set)
}

/** Of the answer of apt-cache(8) madison: the newest version of each that is older; those that depend on one another fit so. */
export function readMadison(
  lines: readonly string[],
  set: readonly Pick<BuiltPackage, 'name' | 'version'>[],
): readonly string[] {
  const rows = lines.map((line) => line.split('|').map((word) => word.trim()))
  return set.flatMap(({ name, version }) => {
    const older = rows
      .filter(([found, had]) => found === name && had !== undefined)
      .map(([, had]) => had as string)
      .filter((had) => compareVersions(had, version) < 0)
      .toSorted(compareVersions)
    const newest = older.at(-1)
    return newest === undefined ? [] : [`${name}=${newest}`]
  })
}

async function tryPackages(
  inspection: Inspection,
  set: readonly BuiltPackage[],
  mark: string,
  older: readonly string[] = [],
): Promise<readonly Finding[]> {
  const { session, subject, installer, toolchain, repository, made } = inspection
  const { tree, options } = session.request
  const writable = await session.scratch(`try${mark}`)
  const ready = repository === undefined ? [] : [repository.layer]
  const below = [tree, toolchain.upper, ...ready, made]
  const facts = containerFacts(session)
  const place: TrialPlace = { facts, below, writable, mark, limits: options.limits }
  await seeReadyPackages(session, installer, subject, {
    ...{ repository, layer: writable, mark },
    below: [tree, toolchain.upper],
  })
  const layers = [writable.upper, toolchain.upper, tree]
  const before = new Set((await installedDpkgPackages(layers)).map(({ name }) => name))
  const steps = [
    ...(older.length === 0 ? [] : installSteps(place, 'try-older', 'the older packages', older)),
    ...installSteps(place, 'try-install', 'the packages', resultPaths(set.map(({ file }) => file))),
  ]
  for (const one of steps) await session.run(one, subject)
  const dangling = await danglingLinks(inspection, place)
  const names = set.map(({ name }) => name)
  const others = (await installedDpkgPackages(layers))
    .map(({ name }) => name)
    .filter((name) => !before.has(name) && !names.includes(name))
  const fresh = names.filter((name) => !before.has(name))
  if (fresh.length > 0) await session.run(removeStep(place, fresh), subject)
  if (others.length > 0) await session.run(purgeOthersStep(place, others), subject)
  // What the tree has by itself was replaced, and stays.
  if (fresh.length < names.length) return dangling
  await session.run(purgeStep(place, names), subject)
  const left = await findLeftOvers(writable.upper, below.toReversed(), session.signal)
  const how = older.length === 0 ? '' : ', after an upgrade'
  return [
    ...dangling,
    ...left.map(({ kind, path }) => {
      return { kind: 'failure' as const, text: `${words[kind]}${how}: ${shown(path)}` }
    }),
  ]
}

const words = {
  left: 'left behind',
  changed: 'changed and not restored',
  removed: 'removed and not restored',
} as const

async function danglingLinks(
  { session, subject }: Inspection,
  { below, writable, mark }: TrialPlace,
): Promise<readonly Finding[]> {
  const links = await findLinks(writable.upper)
  if (links.length === 0) return []
  const ask = askAbove(session, subject, [...below, writable.upper], `look-links${mark}`)
  const found: string[] = []
  for (let at = 0; at < links.length; at += linksAtOnce) {
    const some = links.slice(at, at + linksAtOnce)
    found.push(...(await ask(['find', ...some, '-maxdepth', '0', '-xtype', 'l'])))
  }
  return found.map((path) => ({ kind: 'remark', text: `dangling link: ${shown(path)}` }))
}

/** Within the length of a command line. */
const linksAtOnce = 200

function shown(path: string): string {
  // eslint-disable-next-line no-control-regex
  return /[\u0000-\u001f\u007f]/.test(path) ? JSON.stringify(path) : path
}
