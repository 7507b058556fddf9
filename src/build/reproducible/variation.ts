/**
 * What is different for the second of two builds that shall give the same: everything that tells one machine from
 * the next and that a container can have otherwise. Time passes by itself.
 */

/** Of the second build. */
export const variation = {
  hostname: 'elsewhere',
  /** The same number under another name: what was unpacked before belongs to it. */
  user: 'somebody',
  environment: {
    LANG: 'C',
    LC_ALL: 'C',
    // In a form that needs no database: fourteen hours before Greenwich, so it is mostly another day.
    TZ: 'ELSE-14',
    BUILD_VARIATION: 'second',
  },
  umask: '0002',
} as const

/** How much the second build does at once. */
export function variedJobs(jobs: number): number {
  return jobs === 1 ? 2 : jobs - 1
}

/** The command with another umask(2) than the runtime's own. */
export function withOtherUmask(command: readonly string[]): readonly string[] {
  return ['/bin/sh', '-c', `umask ${variation.umask} && exec "$@"`, 'sh', ...command]
}
