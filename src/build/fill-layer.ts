/** Runs a package manager's steps into a layer, with the packages at hand that earlier layers have fetched. */
import { join } from 'node:path'
import { lendPackages } from './download-pool.ts'
import type { BuildRequest, Subject } from './driver.ts'
import type { Installer } from './installers/installer.ts'
import type { Writable } from './layers.ts'
import type { BuildSession } from './session.ts'
import type { Step } from './step-runner.ts'

/**
 * The steps.
 *
 * @param lent layers that belong below all others
 * @param mark ends the ids of the steps, which must not come twice
 */
export type FillingSteps = (lent: readonly string[], mark: string) => readonly Step[]

/**
 * Fills a layer. A damaged package of the pool is no reason to fail: it is fetched again, once.
 *
 * @throws NspawnError as `runStep()`
 */
export async function fillLayer<Request extends BuildRequest>(
  session: BuildSession<Request>,
  installer: Installer,
  subject: Subject,
  layer: Writable,
  steps: FillingSteps,
): Promise<void> {
  const { downloads } = installer
  const { request, place } = session
  if (downloads === undefined) {
    for (const step of steps([], '')) await session.run(step, subject)
    return
  }
  const pool = join(request.stateDirectory, 'cache', await downloads.pool(request.tree))
  const lent = await lendPackages(downloads, pool, join(place.directory, 'packages'))
  const again = steps([lent.layer], '-again')
  try {
    for (const [index, step] of steps([lent.layer], '').entries()) {
      try {
        await session.run(step, subject)
      } catch (error) {
        const damaged = await lent.dropDamaged(layer.upper)
        const second = again[index]
        if (damaged.length === 0 || second === undefined) throw error
        const text = `kept packages were damaged, and are fetched again: ${damaged.join(', ')}`
        session.log({ kind: 'notice', text })
        await session.run(second, subject)
      }
    }
  } finally {
    // What was fetched before a failure need not be fetched again.
    await lent.takeBack(layer.upper)
  }
}
