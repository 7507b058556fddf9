/** Where things lie inside an Arch build container; the same in every build, so that results are too. */

/** The directory with the PKGBUILD, as makepkg calls it. */
export const startDirectory = '/startdir'

/** The home of the build user; makepkg unpacks and builds below it. */
export const homeDirectory = '/build'

/** What makepkg fetches. */
export const sourcesDirectory = '/srcdest'

/** What makepkg makes. */
export const packagesDirectory = '/pkgdest'
export const sourcePackagesDirectory = '/srcpkgdest'
export const logsDirectory = '/logdest'

/** OpenPGP keys of those who may have signed sources. */
export const keysDirectory = '/keys'

/** Collected packages lie here when they are looked at. */
export const resultsDirectory = '/results'

/** The user's own part of makepkg.conf(5). */
export const userConfiguration = `${homeDirectory}/.config/pacman/makepkg.conf`
