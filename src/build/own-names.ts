/** Names in an output directory that are ours: a result of one of them would be lost, or taken for something else. */

export const logName = 'build.log'
export const recordName = 'build.json'
/** A directory, with the part of the log that each step has written. */
export const stepLogsName = 'build-steps'
export const provenanceName = 'build.provenance.json'

/** A directory, with what a second build has made otherwise than the first. */
export const secondBuildName = 'second-build'
/** The verdict on two builds. */
export const verdictName = 'build.reproducible.json'
export const differencesName = 'build.differences.txt'
/** The same in diffoscope's words. */
export const diffoscopeName = 'build.diffoscope.txt'

/** What lintian says of a Debian build's results, and what installing and removing them has left. */
export const lintianLogName = 'lintian.log'
export const installLogName = 'install-check.log'

const own = new Set([
  ...[logName, recordName, stepLogsName, provenanceName, 'chain.json'],
  ...[
    secondBuildName,
    differencesName,
    diffoscopeName,
    verdictName,
    lintianLogName,
    installLogName,
  ],
])

/**
 * Whether a result cannot have this name: it is ours, or of the files that we write before they get their names, or
 * has control characters, which would be taken for something else wherever names are listed.
 *
 * @param name relative to the output directory
 */
export function isOddName(name: string): boolean {
  const parts = name.split('/')
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(name)) return true
  return own.has(parts[0] ?? '') || parts.some((part) => part.startsWith('.#'))
}
