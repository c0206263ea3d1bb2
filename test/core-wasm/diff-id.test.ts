import { diffIDSuite } from './suites/diff-id.ts'

diffIDSuite()
