/**
 * What is different for the second of two builds that shall give the same: everything that tells one machine from
 * the next and that a container can have otherwise. Time passes by itself.
 */

/** What can be otherwise. */
export const circumstances = [
  'path',
  'hostname',
  'user',
  'locale',
  'timezone',
  'umask',
  'jobs',
  'environment',
] as const
export type Circumstance = (typeof circumstances)[number]

/** Of the second build. */
export type Varied = ReadonlySet<Circumstance>

export const variation = {
  hostname: 'elsewhere',
  /** The same number under another name: what was unpacked before belongs to it. */
  user: 'somebody',
  /** In the place of the last part of the build's path. */
  directory: 'elsewhere',
  umask: '0002',
} as const

const variables = {
  locale: { LANG: 'C', LC_ALL: 'C' },
  // In a form that needs no database: fourteen hours before Greenwich, so it is mostly another day.
  timezone: { TZ: 'ELSE-14' },
  environment: { BUILD_VARIATION: 'second' },
} as const

/** Variables that the second build has otherwise, or more. */
export function variedVariables(varied: Varied): Readonly<Record<string, string>> {
  const names = ['locale', 'timezone', 'environment'] as const
  return Object.assign({}, ...names.filter((name) => varied.has(name)).map((one) => variables[one]))
}

/** How much the second build does at once. */
export function variedJobs(jobs: number): number {
  return jobs === 1 ? 2 : jobs - 1
}

/** What was otherwise, for people. */
export function describeVaried(varied: Varied): string {
  const others = {
    ...(varied.has('path') ? { path: `…/${variation.directory}` } : {}),
    ...(varied.has('hostname') ? { 'host name': variation.hostname } : {}),
    ...(varied.has('user') ? { user: variation.user } : {}),
    ...(varied.has('umask') ? { umask: variation.umask } : {}),
    ...variedVariables(varied),
  }
  return Object.entries(others)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

/** The command with another umask(2) than the runtime's own. */
export function withOtherUmask(command: readonly string[]): readonly string[] {
  return ['/bin/sh', '-c', `umask ${variation.umask} && exec "$@"`, 'sh', ...command]
}
