/** Where things lie inside a Debian build container; the same in every build, so that results are too. */

/** Sources are unpacked and results appear here, as on Debian's build daemons. */
export const buildDirectory = '/build/reproducible-path'

/** A source directory that was given as it is lies below this until it is a source package. */
export const sourceDirectory = '/build/source'

/** The changelog entry of a rebuild, where there is one. */
export const changelogEntryPath = '/build/changelog-entry'

/** Collected results lie here while they are tried and looked at. */
export const resultsDirectory = '/build/results'

/** The home of the build user, which must not exist: a build that writes there fails. */
export const homeDirectory = '/nonexistent'
