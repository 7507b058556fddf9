/** What a staged Debian source makes and needs, so that several can be built in an order. */
import { createReadStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseDeb822, type Paragraph } from '../../bootstrap/debian/deb822.ts'
import { parseRelations } from '../../bootstrap/debian/relation.ts'
import { NspawnError } from '../../errors.ts'
import { readTarMember } from '../archive-member.ts'
import type { SourceOutline } from '../driver.ts'
import { readTreeFile } from '../tree-path.ts'
import { askedRelations } from './asked-packages.ts'
import { buildNeeds, type BuildCase } from './build-relations.ts'
import { buildDirectory, sourceDirectory } from './places.ts'
import type { DebianBuildOptions } from './plan.ts'
import type { SourceControl } from './source-control.ts'
import type { StagedSource } from './staged-source.ts'

const controlLimitBytes = 4 * 1024 ** 2

/**
 * Reads it from the layer of sources.
 *
 * @param layer absolute host directory that the source was staged in
 * @throws NspawnError `SOURCE_INVALID` when debian/control cannot be read
 */
export async function outlineStaged(
  layer: string,
  source: StagedSource,
  options: Pick<DebianBuildOptions, 'scope' | 'profiles' | 'anyAlternative'>,
  architecture: string,
  signal: AbortSignal | undefined,
): Promise<SourceOutline> {
  const { name, version } = source.control
  const buildCase = { architecture, profiles: options.profiles }
  try {
    return {
      name,
      version,
      makes: namesOfPackages(await readPackages(layer, source, signal)),
      needs: needsOf(askedRelations(source.control, options, buildCase), buildCase),
    }
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
    throw new NspawnError('cannot see what the source makes', {
      code: 'SOURCE_INVALID',
      operation: 'read debian/control',
      subject: source.origin,
      cause: error,
    })
  }
}

/** What the fields ask for in a case; conflicts order nothing. */
export function needsOf(
  asked: SourceControl['buildDepends'],
  buildCase: BuildCase,
): SourceOutline['needs'] {
  return Object.entries(asked)
    .filter(([field]) => field.startsWith('Build-Depends'))
    .flatMap(([, value]) => buildNeeds(value, buildCase))
}

/** The names of packages and of what they provide; those that only dpkg-gencontrol will know are left out. */
export function namesOfPackages(paragraphs: readonly Paragraph[]): readonly string[] {
  const names = paragraphs.flatMap((paragraph) => {
    const name = paragraph.get('Package')
    if (name === undefined) return []
    const provides = (paragraph.folded('Provides') ?? '')
      .split(',')
      .filter((one) => one.trim() !== '' && !one.includes('${'))
      .join(',')
    return [name, ...parseRelations(provides, name).map(([target]) => target.name)]
  })
  return [...new Set(names)].toSorted()
}

/** The paragraphs about packages, or what stands for them. */
async function readPackages(
  layer: string,
  { form, control }: StagedSource,
  signal: AbortSignal | undefined,
): Promise<readonly Paragraph[]> {
  const subject = 'debian/control'
  const place = join(layer, buildDirectory)
  if (form.kind !== 'package') {
    const parent = form.kind === 'tree' ? sourceDirectory : buildDirectory
    return parseDeb822((await readTreeFile(join(layer, parent, form.name), subject)) ?? '', subject)
  }
  // Only the archive with debian/ has what packages provide.
  const isArchive =
    control.format === '3.0 (native)' ? /\.tar\.[a-z0-9]+$/ : /\.debian\.tar\.[a-z0-9]+$/
  const archive = (await readdir(place)).find((name) => isArchive.test(name))
  const text =
    archive === undefined
      ? undefined
      : await readTarMember(createReadStream(join(place, archive)), {
          isWanted: (path) => /^(\.\/)?([^/]+\/)?debian\/control$/.test(path),
          maxBytes: controlLimitBytes,
          signal,
        })
  if (text !== undefined) return parseDeb822(text, subject)
  return binariesOfDsc(await readFile(join(place, form.dsc), 'utf8'))
}

/** The names in the field Binary, a paragraph each. */
function binariesOfDsc(dsc: string): readonly Paragraph[] {
  const folded = /^Binary:((?:.*)(?:\n[ \t].*)*)/im.exec(dsc)?.[1] ?? ''
  return parseDeb822(
    folded
      .split(/[\s,]+/)
      .filter((name) => name !== '')
      .map((name) => `Package: ${name}\n`)
      .join('\n'),
    'Binary',
  )
}
