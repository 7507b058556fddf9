/** Files that are made while the tree is assembled, and bound over parts of /proc once that is mounted. */

export const KMSG_FIFO = '/run/.#proc-kmsg'
export const BOOT_ID_FILE = '/run/host/proc-sys-kernel-random-boot-id'
