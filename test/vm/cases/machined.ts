import { group } from '../guest/group.ts'

export const machined = group('machined', () => {})
