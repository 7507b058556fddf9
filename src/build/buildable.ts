/** A driver with what it shall build: so those who start builds need not know families. */
import type { BuildRequest, BuildResult, Driver, DriverId, SourceOutline } from './driver.ts'
import type { RepositoryFormat } from './installers/installer.ts'
import { planBuild, type BuildPlan } from './plan-build.ts'
import { outlineSource, runBuild } from './run-build.ts'

/** What one who starts several builds decides for each of them. */
export type BuildChange = Partial<
  Pick<BuildRequest, 'outputDirectory' | 'packages' | 'lock' | 'varied' | 'log' | 'signal'>
> & { readonly jobs?: number | undefined }

export interface Buildable {
  readonly driver: DriverId
  readonly request: BuildRequest
  /** The same build with something changed. */
  with(change: BuildChange): Buildable
  /** What ready packages are to those who install them there, where anybody does. */
  readonly packages: RepositoryFormat | undefined
  /** @throws NspawnError as `outlineSource()` */
  outline(change?: BuildChange): Promise<SourceOutline>
  /** @throws NspawnError as `planBuild()` */
  plan(): Promise<BuildPlan>
  /** @throws NspawnError as `runBuild()` */
  build(change?: BuildChange): Promise<BuildResult>
}

/** Puts both together. */
export function buildable<Request extends BuildRequest>(
  driver: Driver<Request>,
  request: Request,
): Buildable {
  const changed = ({ jobs, ...change }: BuildChange): Request => ({
    ...request,
    ...change,
    ...(jobs === undefined ? {} : { options: { ...request.options, jobs } }),
  })
  return {
    driver: driver.id,
    request,
    with: (change) => buildable(driver, changed(change)),
    packages: driver.installerOf(request.tree)?.repository,
    outline: async (change = {}) => outlineSource(driver, changed(change)),
    plan: async () => planBuild(driver, request),
    build: async (change = {}) => runBuild(driver, changed(change)),
  }
}
