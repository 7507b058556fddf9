/** Where things lie inside the container of a command build. */

/** The source directory is copied here, and the command starts in it. */
export const sourceDirectory = '/build/source'

/** The home of the build user; empty at first. */
export const homeDirectory = '/build/home'
