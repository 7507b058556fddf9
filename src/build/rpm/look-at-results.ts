/** What may be done with the packages of an rpm build before they are handed out. */
import { describeError, NspawnError } from '../../errors.ts'
import { overlay } from '../containers.ts'
import { fillLayer } from '../fill-layer.ts'
import { installerStep } from '../toolchain-layer.ts'
import { commonLayers, installerLayers, type BuildRoot } from './build-root.ts'
import { dependencyKey } from './layer-keys.ts'
import { rpmlintStep } from './plan.ts'

/**
 * Installs the packages above the toolchain, where nothing else is that the build has had.
 *
 * @param built host directory with what the build has written
 * @param paths of the packages in the container
 * @throws NspawnError `TEST_INSTALL`
 */
export async function checkInstallation(
  root: BuildRoot,
  built: string,
  paths: readonly string[],
): Promise<void> {
  const { session, installer, subject, plan } = root
  const command = installer.installFiles(
    paths,
    { fileLists: true },
    {
      id: 'install-check',
      title: 'install the packages',
      failure: 'DEPENDENCY_UNSATISFIABLE',
      hint: 'the packages were built, and need something that the repositories of the tree do not have',
    },
  )
  const writable = await session.scratch(command.id)
  const layers = overlay([...installerLayers(root), built], writable, command.id, false)
  const verdict = () => ({ code: 'TEST_INSTALL' })
  await session.run({ ...installerStep(command, plan, layers), verdict }, subject)
}

/** Has rpmlint look at them. What it says is told and recorded; whatever happens, the packages stay. */
export async function askRpmlint(
  root: BuildRoot,
  built: string,
  paths: readonly string[],
): Promise<void> {
  const { session, installer, toolchain, subject, plan } = root
  try {
    const below = commonLayers(root)
    const wanted = { requires: ['rpmlint'], conflicts: [] }
    const key = toolchain.key === undefined ? undefined : dependencyKey(toolchain.key, wanted)
    const { upper } = await session.layer({
      kind: 'rpmlint',
      key,
      database: installer.database,
      fill: async (layer) => {
        await fillLayer(session, installer, subject, layer, (lent, mark) => {
          const id = `install-rpmlint${mark}`
          const layers = overlay([...lent, ...below], layer, id, true)
          return [installerStep({ ...installer.install(['rpmlint']), id }, plan, layers)]
        })
        return key
      },
    })
    const writable = await session.scratch('rpmlint')
    const step = rpmlintStep(plan, { layers: [...below, upper, built], writable }, paths)
    const lines = await session.read(step, subject)
    const lint = lines.filter((line) => /: [EW]: /.test(line))
    session.note({ lint })
    for (const text of lint) session.log({ kind: 'notice', text: `rpmlint: ${text}` })
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
    session.log({ kind: 'warning', text: `rpmlint did not look: ${describeError(error)}` })
  }
}
