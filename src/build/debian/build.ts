/** Builds a Debian source package in throw-away containers. */
import type { BuildResult } from '../driver.ts'
import { runBuild } from '../run-build.ts'
import { debianDriver, type DebianBuild } from './driver.ts'

/**
 * Builds the package and puts its files, the `.changes` last, with `build.log` and `build.json` into the
 * output directory.
 *
 * @throws NspawnError as `runBuild()`
 */
export async function buildDebian(build: DebianBuild): Promise<BuildResult> {
  return runBuild(debianDriver, build)
}
