/** Has lintian look at the results of a build, above a layer of its own, as the build user and without a network. */
import { describeError, NspawnError } from '../../../errors.ts'
import { builderSettings, overlay } from '../../containers.ts'
import { fillLayer } from '../../fill-layer.ts'
import { lintianLogName } from '../../own-names.ts'
import { buildUserName } from '../../places.ts'
import { containerFacts, installerStep } from '../../toolchain-layer.ts'
import { dependencyKey } from '../layer-keys.ts'
import { homeDirectory, resultsDirectory } from '../places.ts'
import type { Inspection } from './inspection.ts'
import {
  countTags,
  lintianCommand,
  readLintianTags,
  type LintianTag,
  type LintianWishes,
} from './lintian-tags.ts'

/**
 * Asks it, tells and records what it says, and leaves `lintian.log` beside the results.
 *
 * @throws NspawnError `TEST_LINTIAN` when there is what shall be a failure; what keeps it from looking, when anything shall be
 */
export async function askLintian(inspection: Inspection, wishes: LintianWishes): Promise<void> {
  const { session } = inspection
  const { failOn } = wishes
  try {
    const tags = await findTags(inspection, wishes)
    const text = `lintian: ${countTags(tags)}`
    session.log({ kind: 'notice', text })
    const bad = tags.filter(({ severity }) => failOn.includes(severity))
    if (bad.length === 0) return
    const shown = bad.slice(0, 12).map((tag) => `  | ${tag.text}`)
    throw new NspawnError(`the packages were built, but lintian has found ${countTags(bad)}`, {
      code: 'TEST_LINTIAN',
      operation: 'lintian',
      hint: `all that it says is in ${lintianLogName}; "lintian-explain-tags TAG" tells more`,
      cause: new NspawnError(`its findings:\n${shown.join('\n')}`, { code: 'OUTPUT' }),
    })
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
    // Nobody may take what was not looked at for what is good.
    if (failOn.length > 0) throw error
    session.log({ kind: 'warning', text: `lintian did not look: ${describeError(error)}` })
  }
}

async function findTags(
  { session, installer, subject, toolchain, made, files }: Inspection,
  wishes: LintianWishes,
): Promise<readonly LintianTag[]> {
  const { tree } = session.request
  const below = [tree, toolchain.upper]
  const facts = containerFacts(session)
  const key =
    toolchain.key === undefined
      ? undefined
      : dependencyKey(toolchain.key, { 'Build-Depends': 'lintian' }, ['lintian'])
  const { upper } = await session.layer({
    kind: 'lintian',
    key,
    database: installer.database,
    fill: async (layer) => {
      await fillLayer(session, installer, subject, layer, (lent, mark) => {
        const id = `install-lintian${mark}`
        const root = overlay([...lent, ...below], layer, id, true)
        return [installerStep({ ...installer.install(['lintian']), id }, facts, root)]
      })
      return key
    },
  })
  const changes = files.find((name) => name.endsWith('.changes'))
  if (changes === undefined) throw new Error('there is no .changes')
  const settings = builderSettings(facts, {
    root: overlay([...below, upper, made], await session.scratch('lintian'), 'lintian', false),
    command: lintianCommand(wishes, `${resultsDirectory}/${changes}`),
    user: buildUserName,
    directory: '/',
    environment: { HOME: homeDirectory },
    options: { ...session.request.options, network: 'none', environment: {} },
  })
  const step = {
    id: 'lintian',
    title: 'look for mistakes of packaging',
    settings,
    failure: 'TEST_LINTIAN',
    hint: 'lintian itself has failed; its lines above say why',
  } as const
  const lines = await session.read(step, subject)
  await session.report(lintianLogName, lines.map((line) => `${line}\n`).join(''))
  const tags = readLintianTags(lines)
  session.note({ lint: tags.map(({ text }) => text) })
  return tags
}
