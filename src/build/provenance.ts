/**
 * The record of a build in the form that other programs read: an in-toto statement about its results, with SLSA's
 * provenance as what is stated. It is not signed: whoever signs knows for whom.
 *
 * @see https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
 * @see https://slsa.dev/spec/v1.0/provenance
 */
import type { InstalledPackage } from './installers/installer.ts'
import type { BuildRecord } from './record.ts'

export interface ResourceDescriptor {
  readonly name?: string
  readonly uri?: string
  readonly digest?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, unknown>>
}

export interface ProvenanceStatement {
  readonly _type: 'https://in-toto.io/Statement/v1'
  readonly subject: readonly ResourceDescriptor[]
  readonly predicateType: 'https://slsa.dev/provenance/v1'
  readonly predicate: {
    readonly buildDefinition: {
      readonly buildType: string
      /** What the caller has asked for. */
      readonly externalParameters: Readonly<Record<string, unknown>>
      readonly internalParameters: Readonly<Record<string, unknown>>
      readonly resolvedDependencies: readonly ResourceDescriptor[]
    }
    readonly runDetails: {
      readonly builder: { readonly id: string; readonly version: Readonly<Record<string, string>> }
      readonly metadata: {
        readonly invocationId: string
        readonly startedOn: string
        readonly finishedOn: string
      }
      readonly byproducts: readonly ResourceDescriptor[]
    }
  }
}

/**
 * States where the results of a build come from. Pure.
 *
 * @param id of the build
 * @param byproducts files beside the results, with their digests
 */
export function provenanceOf(
  record: BuildRecord,
  id: string,
  byproducts: readonly ResourceDescriptor[],
): ProvenanceStatement {
  const { driver, tool, base, layers, options, repository } = record
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: record.outputs.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: `tsnspawn-build:${driver}/v1`,
        externalParameters: { source: originOf(record.source), tree: base?.path, options },
        internalParameters: {
          layers,
          commands: record.steps.map(({ id: step, command, user, network }) => {
            return { step, command, user, network }
          }),
        },
        resolvedDependencies: [
          ...sourcesOf(record.source),
          ...(base === undefined
            ? []
            : [
                {
                  name: base.path,
                  digest: { sha256: base.identity },
                  annotations: { os: base.os },
                },
              ]),
          ...packagesOf(record),
          ...describeFiles(repository),
        ],
      },
      runDetails: {
        builder: { id: 'tsnspawn-build:host', version: { [tool.name]: tool.version } },
        metadata: { invocationId: id, startedOn: record.started, finishedOn: record.finished },
        byproducts,
      },
    },
  }
}

/** Drivers describe their sources themselves; these fields mean the same with all that have them. */
interface SourceFacts {
  readonly origin?: unknown
  readonly treeSha256?: unknown
  readonly files?: unknown
  readonly git?: unknown
}

function originOf(source: unknown): unknown {
  return isObject(source) ? (source as SourceFacts).origin : undefined
}

function sourcesOf(source: unknown): readonly ResourceDescriptor[] {
  if (!isObject(source)) return []
  const { origin, treeSha256, files, git } = source as SourceFacts
  // No digest that others know: of names, modes and contents of a directory.
  const tree = typeof treeSha256 === 'string' ? [{ ...where(origin), digest: { treeSha256 } }] : []
  return [...tree, ...commitOf(origin, git), ...describeFiles(files)]
}

/** Where a commit was built; what was changed since has the digest of its directory. */
function commitOf(origin: unknown, git: unknown): readonly ResourceDescriptor[] {
  if (!isObject(git) || git['taken'] !== 'commit' || typeof git['commit'] !== 'string') return []
  return [{ ...where(origin), digest: { gitCommit: git['commit'] } }]
}

function describeFiles(files: unknown): readonly ResourceDescriptor[] {
  if (!Array.isArray(files)) return []
  return files.flatMap((file: unknown) => {
    if (!isObject(file)) return []
    const { name, file: fileName, from, sha256 } = file
    if (typeof sha256 !== 'string') return []
    const called = typeof fileName === 'string' ? fileName : name
    const text = typeof called === 'string' ? { name: called } : {}
    return [{ ...text, ...where(from), digest: { sha256 } }]
  })
}

/** A URL as it is; a path is a name, for nobody else can go there. */
function where(from: unknown): ResourceDescriptor {
  if (typeof from !== 'string') return {}
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(from) ? { uri: from } : { name: from }
}

const purlTypes: Readonly<Record<string, string>> = { deb: 'deb', arch: 'alpm', rpm: 'rpm' }
/** By the `ID` of os-release, where the driver does not say it. */
const families: readonly (readonly [RegExp, string])[] = [
  [/^(debian|ubuntu|devuan|raspbian|kali|linuxmint|pop)$/, 'deb'],
  [/^(arch|archarm|manjaro|artix|endeavouros)$/, 'arch'],
  [/^(fedora|rhel|centos|rocky|almalinux|opensuse.*|sles|mageia|openmandriva|amzn|ol)$/, 'rpm'],
]

/** @see https://github.com/package-url/purl-spec */
function packagesOf({ driver, packages, base }: BuildRecord): readonly ResourceDescriptor[] {
  const id = base?.os.id ?? 'linux'
  const family =
    driver === 'debian' ? 'deb' : driver === 'command' ? familyOf(id) : (driver as 'arch' | 'rpm')
  const type = purlTypes[family ?? '']
  return ((packages ?? []) as readonly InstalledPackage[]).map((one) => {
    const { name, version, architecture } = one
    const path = [id, name].map(encodeURIComponent).join('/')
    const annotations = { version, architecture }
    if (type === undefined) return { name, annotations }
    const arch = encodeURIComponent(architecture)
    return {
      name,
      uri: `pkg:${type}/${path}@${encodeURIComponent(version)}?arch=${arch}`,
      annotations,
    }
  })
}

function familyOf(id: string): string | undefined {
  return families.find(([ids]) => ids.test(id))?.[1]
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
