/** Files below /run/host that the outer child makes and the inner one binds over parts of /proc. */

export const KMSG_FIFO = '/run/host/proc-kmsg'
export const BOOT_ID_FILE = '/run/host/proc-sys-kernel-random-boot-id'
