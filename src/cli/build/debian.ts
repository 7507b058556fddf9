/** What `build` can be told about Debian packages. */
import { Option } from 'commander'
import { resolve } from 'node:path'
import { buildable } from '../../build/buildable.ts'
import { debianDriver } from '../../build/debian/driver.ts'
import { refuseWithLock } from '../../build/debian/inspect/inspect-results.ts'
import { lintianSeverities, type LintianWishes } from '../../build/debian/inspect/lintian-tags.ts'
import type { BuildScope } from '../../build/debian/plan.ts'
import { readSourceArgument, type SourceRequest } from '../../build/debian/source-argument.ts'
import { readAptExtras, type ExtraWishes } from '../../build/installers/apt-extras.ts'
import { usageError } from '../../errors.ts'
import { collect, list } from '../option-values.ts'
import { readRebuild } from './rebuild.ts'
import type { BuildFamily } from './family.ts'
import {
  installCheckOption,
  keyringOption,
  nocheckOption,
  sourceTooOption,
} from './shared-options.ts'

interface DebianOptions {
  readonly profiles?: string[]
  readonly buildOptions?: string[]
  readonly archOnly?: boolean
  readonly indepOnly?: boolean
  readonly nocheck?: boolean
  readonly sourceToo?: boolean
  readonly sourceOnly?: boolean
  readonly anyAlternative?: boolean
  readonly extraRepository?: string[]
  readonly extraKey?: string[]
  readonly pin?: string[]
  readonly binnmu?: string
  readonly binnmuChangelog?: string
  readonly appendToVersion?: string
  readonly maintainer?: string
  readonly installCheck?: boolean
  readonly lintian?: boolean
  readonly lintianOpts?: string[]
  readonly lintianFailOn?: string[]
  readonly gitRef?: string
  readonly workingTree?: boolean
  readonly keyring?: string[]
  readonly requireSignature?: boolean
}

export const debianFamily: BuildFamily = {
  driver: 'debian',
  builds: 'Debian packages',
  options: [
    new Option('-P, --profiles <names>', 'build profiles, divided by commas').argParser(list),
    new Option(
      '--build-options <words>',
      'DEB_BUILD_OPTIONS: nocheck, nodoc, …; divided by commas or blanks',
    ).argParser(list),
    new Option('--arch-only', 'only packages of this architecture'),
    new Option('--indep-only', 'only packages for all architectures'),
    nocheckOption,
    sourceTooOption,
    new Option('--source-only', 'the source package alone'),
    new Option(
      '--any-alternative',
      'let apt take any alternative of a build dependency, not only the first',
    ),
    new Option(
      '--extra-repository <source>',
      'one more package source: "deb http://ARCHIVE SUITE main", or a .list or .sources file; may be repeated',
    ).argParser(collect),
    new Option(
      '--extra-key <file>',
      'public keys that vouch for extra repositories; may be repeated',
    ).argParser(collect),
    new Option(
      '--pin <pin>',
      'prefer or avoid packages: "PACKAGE… release|version|origin WHAT PRIORITY"; may be repeated',
    ).argParser(collect),
    installCheckOption,
    new Option('--lintian', 'have lintian look at the results'),
    new Option(
      '--lintian-opts <option>',
      'one more option for lintian: --lintian-opts=--pedantic; may be repeated',
    ).argParser(collect),
    new Option(
      '--lintian-fail-on <severities>',
      `status 4 for findings of these, divided by commas: ${lintianSeverities.join(', ')}`,
    ).argParser(list),
    new Option('--binnmu <n>', 'rebuild without a change of the source: the version ends in +bN'),
    new Option('--binnmu-changelog <text>', 'why, for the changelog'),
    new Option(
      '--append-to-version <suffix>',
      'give the rebuilt packages another version: ~local1',
    ),
    new Option(
      '--maintainer <name>',
      'who rebuilds: "NAME <ADDRESS>"; default DEBFULLNAME and DEBEMAIL',
    ),
    new Option('--git-ref <ref>', 'of a git checkout, the commit to build; default the last one'),
    new Option('--working-tree', 'of a git checkout, what lies there, committed or not'),
    keyringOption,
    new Option(
      '--autopkgtest',
      'run the tests that the source brings along (DEP-8) against what was built',
    ),
    new Option('--require-signature', 'no build without a good signature of a known developer'),
  ],
  read: (common, source, words, given) => {
    const options = given as DebianOptions
    if (words.length > 0)
      throw usageError('a Debian package says itself how it is built: no command is given after --')
    const told = {
      ...common.options,
      scope: scope(options),
      rebuild: readRebuild(options, process.env),
      buildOptions: buildOptions(options),
      profiles: profiles(options),
      anyAlternative: options.anyAlternative === true,
      packageSources: packageSources(options),
      lintian: lintianWishes(options),
      installCheck: options.installCheck === true,
    }
    if (common.lock?.use === 'read') refuseWithLock(told)
    return buildable(debianDriver, {
      ...common,
      source: withGitWish(readSourceArgument(source, process.cwd()), options),
      options: told,
      signature: {
        keyrings: (options.keyring ?? []).map((path) => resolve(path)),
        required: options.requireSignature === true,
      },
    })
  },
}

/** Each of the three options asks for it. */
function lintianWishes({
  lintian,
  lintianOpts: options = [],
  lintianFailOn: given = [],
}: DebianOptions): LintianWishes | undefined {
  if (lintian !== true && options.length + given.length === 0) return undefined
  const failOn = lintianSeverities.filter((severity) => given.includes(severity))
  const [unknown] = given.filter((word) => !failOn.some((severity) => severity === word))
  if (unknown !== undefined)
    throw usageError(
      `--lintian-fail-on=${unknown} is none of what lintian finds`,
      `known are ${lintianSeverities.join(', ')}`,
    )
  const own = options.find((word) => /^--(fail-on|color)\b/.test(word) || !word.startsWith('-'))
  if (own !== undefined)
    throw usageError(
      `--lintian-opts=${own} cannot be given`,
      'write options with their values, as --lintian-opts=--tags=NAME; --lintian-fail-on says what is a failure',
    )
  return { options, failOn }
}

function withGitWish(source: SourceRequest, { gitRef, workingTree }: DebianOptions): SourceRequest {
  if (gitRef === undefined && workingTree !== true) return source
  if (gitRef !== undefined && workingTree === true)
    throw usageError('give --git-ref or --working-tree, not both')
  if (source.kind !== 'directory')
    throw usageError(
      `${gitRef === undefined ? '--working-tree' : '--git-ref'} is for git checkouts`,
      'give the directory of one',
    )
  const git =
    gitRef === undefined
      ? { kind: 'working-tree' as const }
      : { kind: 'commit' as const, ref: gitRef }
  return { ...source, git }
}

/** Read once here, so that what cannot be used is refused before anything is done. */
function packageSources({
  extraRepository = [],
  extraKey = [],
  pin: pins = [],
}: DebianOptions): ExtraWishes | undefined {
  if (extraRepository.length + extraKey.length + pins.length === 0) return undefined
  const isFile = (text: string) => /^\S+\.(list|sources)$/.test(text)
  const wishes = {
    repositories: extraRepository.map((text) => (isFile(text) ? resolve(text) : text)),
    keys: extraKey.map((path) => resolve(path)),
    pins,
  }
  readAptExtras(wishes)
  return wishes
}

/** Profiles for which packages look at the word of the same name in DEB_BUILD_OPTIONS, too. */
const wordsOfProfiles = ['nocheck', 'nodoc']

/** Without tests there is no need for what only tests need. */
function profiles({ profiles: named = [], nocheck }: DebianOptions): readonly string[] {
  return nocheck === true ? [...new Set([...named, 'nocheck'])] : named
}

/** Debian Policy 4.9.1. */
function buildOptions(options: DebianOptions): readonly string[] {
  const more = wordsOfProfiles.filter((word) => profiles(options).includes(word))
  return [...new Set([...(options.buildOptions ?? []), ...more])]
}

/** Packages for all architectures are the same everywhere, so that none of them can be rebuilt for one. */
function scope(options: DebianOptions): BuildScope {
  const { archOnly, indepOnly, sourceToo, sourceOnly } = options
  if ((options.binnmu ?? options.appendToVersion) !== undefined) {
    if ([indepOnly, sourceToo, sourceOnly].includes(true))
      throw usageError('a rebuild makes packages of this architecture alone, and no source package')
    return { any: true, all: false, source: false }
  }
  const given = { '--arch-only': archOnly, '--indep-only': indepOnly, '--source-only': sourceOnly }
  const names = Object.entries(given).flatMap(([name, is]) => (is === true ? [name] : []))
  if (names.length > 1) throw usageError(`give ${names.join(' or ')}, not both`)
  if (sourceOnly === true) return { any: false, all: false, source: true }
  return { any: indepOnly !== true, all: archOnly !== true, source: sourceToo === true }
}
