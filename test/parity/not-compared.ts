/** Options that no case compares with the original, and why none can. */

/** By the long name without the dashes. */
export const notCompared: ReadonlyMap<string, string> = new Map([
  ['help', 'each program has a text of its own'],
  ['version', 'each program has a version of its own'],
  ['no-ask-password', 'not in 252; came with 257'],
  ['cleanup', 'not in 252; came with 257'],
  ['system', 'not in 252; came with 260'],
  ['private-users-delegate', 'not in 252; came with 260'],
  ['background', 'not in 252; came with 256'],
  ['bind-user-shell', 'not in 252; came with 258'],
  ['bind-user-group', 'not in 252; came with 259'],
  ['print-plan', 'an addition of tsnspawn'],
  ['machines-dir', 'an addition of tsnspawn'],
  ['network-setup', 'an addition of tsnspawn'],
  ['image-key-file', 'an addition of tsnspawn'],
  ['debug', 'an addition of tsnspawn'],
  ['verity-data', 'needs an image, and the original opens one only beside udev'],
  ['image-policy', 'not in 252; came with 254'],
])
