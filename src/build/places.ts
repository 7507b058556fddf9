/** What is the same in the containers of every build, so that results are too. */

export const buildUserName = 'builder'
export const buildUserId = 2000

/** Host name in the container; `/etc/hosts` there knows it. */
export const buildHostName = 'build'
