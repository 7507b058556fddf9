/** How large images may become, unless somebody says otherwise: whoever made them must not fill the disk. */

/** Of an unpacked image, and of a file that is fetched. */
export const unpackedBytesMax = 64 * 1024 ** 3
