/** Where things lie in the containers of an rpm build; as mock has them, so that paths in results are the same. */

/** Home of the build user. */
export const homeDirectory = '/builddir'

/** rpmbuild's `%_topdir`. */
export const topDirectory = '/builddir/build'

export const sourcesDirectory = `${topDirectory}/SOURCES`
export const specsDirectory = `${topDirectory}/SPECS`
export const sourcePackagesDirectory = `${topDirectory}/SRPMS`
export const packagesDirectory = `${topDirectory}/RPMS`

/** What rpmbuild wants to find below its top. */
export const topDirectories = ['BUILD', 'BUILDROOT', 'RPMS', 'SOURCES', 'SPECS', 'SRPMS'] as const

/** A source package that was given lies here. */
export const originalsDirectory = '/builddir/originals'

/** The package that stands for all build dependencies is made here, where no code of the source has been. */
export const requiresDirectory = '/build/requires'
export const requiresPackageName = 'tsnspawn-build-requires'
export const requiresPackage = `${requiresDirectory}/requires.rpm`
